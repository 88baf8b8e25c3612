"""Decides from a history whether a promise was broken. Pure: knows nothing of processes, sockets or Redis.

The promises are those of docs/protocol.md: an acknowledged message is kept, answered once, and ended in time; a number
stands for one event for ever; a client that drops what is not above its last number sees every lasting event in order;
the deltas of a turn joined, from the last restart on, are its message.
"""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.faults.history import Acked, Complaint, Fault, History, Invoked, Recovered, Seen

LASTING = ("message.created", "turn.started", "tool.called", "tool.finished", "turn.finished")
PATIENCE = 30.0
Frame = dict[str, Any]


@dataclass(slots=True)
class Verdict:
    """What the checker found.

    Attributes:
        lost: keys that were acknowledged and have no question, end, or (unless failed) answer in the log.
        duplicated: keys, or turns, of which the log has more than one question, answer or end.
        failed: turns that ended with an error that says so.
        worst_recovery: seconds from the acknowledgement, or the last recovery if later, to the end of a turn.
        slowest: seconds from the acknowledgement to the end of a turn, faults included.
        problems: everything that is wrong, a sentence each.
    """

    faults: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    acked: int = 0
    lost: set[str] = field(default_factory=set)
    duplicated: set[str] = field(default_factory=set)
    failed: int = 0
    worst_recovery: float = 0.0
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)


def check(history: History, *, patience: float = PATIENCE) -> Verdict:
    """Look for broken promises."""
    verdict = Verdict(faults=Counter(record.kind for record in history.records if isinstance(record, Fault)))
    logs = {session: [json.loads(text) for text in texts] for session, texts in history.logs.items()}
    _check_turns(history, logs, verdict, patience)
    _check_numbers(history, logs, verdict)
    for (client, session), frames in _by_client(history).items():
        _check_client(f"{client} in {session}", frames, logs.get(session, []), history, verdict)
    complaints = (record for record in history.records if isinstance(record, Complaint))
    verdict.problems += [f"{record.client}: {record.text}" for record in complaints]
    verdict.problems += [f"lost: {key}" for key in sorted(verdict.lost)]
    verdict.problems += [f"duplicated: {key}" for key in sorted(verdict.duplicated)]
    return verdict


# --- What the log must hold ------------------------------------------------------------------------------------------


def _check_turns(history: History, logs: dict[str, list[Frame]], verdict: Verdict, patience: float) -> None:
    questions: dict[str, list[str]] = defaultdict(list)
    answers: Counter[str] = Counter()
    ends: dict[str, list[str]] = defaultdict(list)
    for event in (event for log in logs.values() for event in log):
        if event["type"] == "message.created" and event["message"]["role"] == "user":
            questions[_text(event)].append(event["message"]["turn_id"])
        elif event["type"] == "message.created":
            answers[event["message"]["turn_id"]] += 1
        elif event["type"] == "turn.finished":
            ends[event["turn_id"]].append(event["status"])
    invoked = {record.key for record in history.records if isinstance(record, Invoked)}
    acks = {record.key: record for record in reversed(history.records) if isinstance(record, Acked)}
    verdict.turns, verdict.acked = len(invoked), len(acks)
    verdict.failed = sum(statuses == ["failed"] for statuses in ends.values())
    for key, turns in questions.items():
        if len(turns) > 1 or any(len(ends[turn]) > 1 or answers[turn] > 1 for turn in turns):
            verdict.duplicated.add(key)
    for key, ack in acks.items():
        turn = next(iter(questions.get(key, [])), "")
        if not ends.get(turn) or (answers[turn] == 0 and ends[turn][0] != "failed"):
            verdict.lost.add(key)
        if turn and ack.turn_id not in questions[key]:
            verdict.problems.append(f"{key} was acknowledged as {ack.turn_id}, and is {turn}")
    _check_times(history, {turns[0]: acks[key].at for key, turns in questions.items() if key in acks}, verdict)
    if verdict.worst_recovery > patience:
        verdict.problems.append(f"a turn ended only {verdict.worst_recovery:.1f} s after everything ran again")


def _check_times(history: History, acked: dict[str, float], verdict: Verdict) -> None:
    """When clients first saw turns end, against when they were acknowledged and when everything ran again."""
    recovered, ended = 0.0, set()
    for record in history.records:
        if isinstance(record, Recovered):
            recovered = record.at
        elif isinstance(record, Seen) and '"type":"turn.finished"' in record.frame:
            turn = json.loads(record.frame)["turn_id"]
            if turn in acked and turn not in ended:
                ended.add(turn)
                verdict.slowest = max(verdict.slowest, record.at - acked[turn])
                verdict.worst_recovery = max(verdict.worst_recovery, record.at - max(acked[turn], recovered))


def _check_numbers(history: History, logs: dict[str, list[Frame]], verdict: Verdict) -> None:
    """A number stands for one event, whoever sees it and whenever."""
    for session, log in logs.items():
        if any(later["seq"] <= earlier["seq"] for earlier, later in itertools.pairwise(log)):
            verdict.problems.append(f"numbers go back in the log of {session}")
    known: dict[tuple[str, str, int], Frame] = {}
    for event in _events(history, logs):
        before = known.setdefault((event["session_id"], event["epoch"], event["seq"]), event)
        if before != event:
            verdict.problems.append(f"{event['seq']} in {event['session_id']} stands for two events")


def _events(history: History, logs: dict[str, list[Frame]]) -> Iterator[Frame]:
    yield from (event for log in logs.values() for event in log)
    for record in history.records:
        if isinstance(record, Seen) and (frame := json.loads(record.frame))["type"] != "session.snapshot":
            yield frame


# --- What a client must see ------------------------------------------------------------------------------------------


def _by_client(history: History) -> dict[tuple[str, str], list[tuple[float, Frame]]]:
    frames: dict[tuple[str, str], list[tuple[float, Frame]]] = defaultdict(list)
    for record in history.records:
        if isinstance(record, Seen):
            frames[record.client, record.session].append((record.at, json.loads(record.frame)))
    return frames


def _check_client(
    who: str, frames: list[tuple[float, Frame]], log: list[Frame], history: History, verdict: Verdict
) -> None:
    taken, covered, last = _take(frames)
    numbers = {event["seq"] for _, event in taken}
    for event in log:
        if event["type"] in LASTING and covered < event["seq"] <= last and event["seq"] not in numbers:
            verdict.problems.append(f"{who} missed {event['type']} {event['seq']}")
    messages = {event["message"]["turn_id"]: _text(event) for event in log if _is_answer(event)}
    kills = [record.at for record in history.records if isinstance(record, Fault) and record.kind in ("redis", "all")]
    for turn, (text, start, end) in _joined(taken, covered).items():
        if turn not in messages or text == messages[turn]:
            continue
        forgotten = any(start <= at <= end for at in kills)  # deltas are kept in memory only
        if not (forgotten and messages[turn].startswith(text)):
            verdict.problems.append(f"{who}: the deltas of {turn} are not its message")


def _take(frames: Iterable[tuple[float, Frame]]) -> tuple[list[tuple[float, Frame]], int, int]:
    """What a client takes by the protocol's rule; up to which number a snapshot stood for events; the last number."""
    taken: list[tuple[float, Frame]] = []
    epoch, last, covered = "", 0, 0
    for at, frame in frames:
        if frame["type"] == "session.snapshot":
            epoch, last = frame["epoch"], frame["seq"]
            covered = max(covered, last)
        elif frame["epoch"] != epoch or frame["seq"] > last:
            epoch, last = frame["epoch"], frame["seq"]
            taken.append((at, frame))
    return taken, covered, last


def _joined(taken: list[tuple[float, Frame]], covered: int) -> dict[str, tuple[str, float, float]]:
    """Turns that were seen from their first start to their end: text of their deltas, when it began, and
    when the client saw the end."""
    texts: dict[str, tuple[str, float, float]] = {}
    ended: dict[str, tuple[str, float, float]] = {}
    for at, event in taken:
        turn = event.get("turn_id", "")
        if event["type"] == "turn.started" and event["seq"] > covered:
            began = datetime.fromisoformat(event["at"]).timestamp()  # the client may have read of it later
            text, start, _ = texts.get(turn, ("", began, at))
            if event["attempt"] == 1 or event["restart"] or turn in texts:
                texts[turn] = ("" if event["restart"] else text, start, at)
        elif event["type"] == "turn.delta" and turn in texts:
            text, start, _ = texts[turn]
            texts[turn] = (text + event["text"], start, at)
        elif event["type"] == "turn.finished" and turn in texts:
            ended[turn] = (*texts[turn][:2], at)
    return ended


def _is_answer(event: Frame) -> bool:
    return bool(event["type"] == "message.created" and event["message"]["role"] == "assistant")


def _text(event: Frame) -> str:
    return "".join(part["text"] for part in event["message"]["parts"] if part["type"] == "text")
