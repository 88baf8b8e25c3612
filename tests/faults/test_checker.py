"""The checker sees each promise broken, and none where all are kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.faults.checker import check
from tests.faults.history import Acked, Complaint, Fault, History, Invoked, Recovered, Seen


def event(seq: int, kind: str, **fields: Any) -> str:
    at = datetime.fromtimestamp(seq, UTC).isoformat()
    place = {"session_id": "s", "epoch": "e", "seq": seq, "at": at, "type": kind}
    return json.dumps({**place, **fields}, separators=(",", ":"))


def message(seq: int, role: str, text: str, turn: str = "t") -> str:
    parts = [{"type": "text", "text": text}]
    return event(seq, "message.created", message={"role": role, "parts": parts, "turn_id": turn})


def started(seq: int, attempt: int = 1, *, restart: bool = False, turn: str = "t") -> str:
    return event(seq, "turn.started", turn_id=turn, attempt=attempt, restart=restart)


def delta(seq: int, text: str) -> str:
    return event(seq, "turn.delta", turn_id="t", text=text)


def finished(seq: int, status: str = "completed", turn: str = "t") -> str:
    return event(seq, "turn.finished", turn_id=turn, status=status)


EVENTS = [
    message(1, "user", "k"),
    started(2),
    delta(3, "an "),
    delta(4, "answer"),
    message(5, "assistant", "an answer"),
]
EVENTS.append(finished(6))


def history(
    log: list[str] | None = None, seen: list[str] | None = None, faults: list[tuple[str, float]] | None = None
) -> History:
    """A message, acknowledged at 1; its events are seen a second apart from 2 on, and kept, unless said otherwise."""
    made = History([Invoked("c", "s", "k", 0.0), Acked("c", "s", "k", "t", 1.0)])
    frames = [Seen("c", "s", frame, 2.0 + number) for number, frame in enumerate(EVENTS if seen is None else seen)]
    made.records += sorted([*frames, *(Fault(*fault) for fault in faults or [])], key=lambda record: record.at)
    made.logs["s"] = EVENTS if log is None else log
    return made


def test_a_history_in_which_all_is_well() -> None:
    verdict = check(history(faults=[("worker", 3.5)]))
    assert not verdict.problems
    assert (verdict.turns, verdict.acked, verdict.failed) == (1, 1, 0)
    assert (verdict.slowest, verdict.worst_recovery) == (6.0, 6.0)
    assert dict(verdict.faults) == {"worker": 1}


def test_frames_that_come_twice_are_dropped_by_the_client() -> None:
    assert not check(history(seen=[*EVENTS[:4], *EVENTS[2:]])).problems


@pytest.mark.parametrize("log", [[], EVENTS[:1], EVENTS[:5], [*EVENTS[:4], EVENTS[5]]])
def test_an_acknowledged_message_that_is_not_there_or_not_answered_is_lost(log: list[str]) -> None:
    assert check(history(log, seen=[])).lost == {"k"}


def test_a_failure_that_says_so_is_an_end() -> None:
    log = [*EVENTS[:2], finished(3, "failed")]
    verdict = check(history(log, seen=log))
    assert not verdict.problems
    assert verdict.failed == 1


def test_a_message_that_was_not_acknowledged_may_be_gone() -> None:
    made = history([], seen=[])
    made.records = made.records[:1]
    assert not check(made).problems


@pytest.mark.parametrize(
    "more",
    [
        [message(7, "user", "k", "t2"), finished(8, turn="t2")],
        [message(7, "assistant", "an answer")],
        [finished(7)],
    ],
)
def test_a_second_question_answer_or_end_is_a_duplicate(more: list[str]) -> None:
    assert check(history([*EVENTS, *more], seen=[])).duplicated == {"k"}


def test_an_acknowledgement_names_the_turn() -> None:
    made = history()
    made.records[1] = Acked("c", "s", "k", "t_other", 1.0)
    assert check(made).problems == ["k was acknowledged as t_other, and is t"]


def test_a_turn_ends_in_time_after_everything_ran_again() -> None:
    made = history(faults=[("all", 2.5)])
    assert not check(made, patience=7).problems
    assert check(made, patience=5).problems == ["a turn ended only 6.0 s after everything ran again"]
    made.records.insert(-1, Recovered(5.0))
    verdict = check(made, patience=5)
    assert not verdict.problems
    assert (verdict.worst_recovery, verdict.slowest) == (2.0, 6.0)


def test_a_number_stands_for_one_event() -> None:
    seen = [*EVENTS[:3], delta(4, "lie"), *EVENTS[4:]]
    made = history()
    made.records += [Seen("d", "s", frame, 9.0) for frame in seen]
    assert check(made).problems == ["4 in s stands for two events", "d in s: the deltas of t are not its message"]


def test_numbers_of_a_log_go_up() -> None:
    assert "numbers go back in the log of s" in check(history([EVENTS[0], *EVENTS])).problems


def test_a_lasting_event_that_was_jumped_over_was_missed() -> None:
    assert check(history(seen=[*EVENTS[:4], EVENTS[5]])).problems == ["c in s missed message.created 5"]


def test_a_snapshot_stands_for_what_was_before_it() -> None:
    snapshot = event(5, "session.snapshot", messages=[])
    assert not check(history(seen=[EVENTS[0], snapshot, EVENTS[5]])).problems


@pytest.mark.parametrize("missing", [2, 3])
def test_a_missing_delta_is_noticed(missing: int) -> None:
    seen = [*EVENTS[:missing], *EVENTS[missing + 1 :]]
    assert check(history(seen=seen)).problems == ["c in s: the deltas of t are not its message"]


def test_deltas_may_be_forgotten_only_at_the_end_and_only_with_redis() -> None:
    end_missing, start_missing = [*EVENTS[:3], *EVENTS[4:]], [*EVENTS[:2], *EVENTS[3:]]
    assert not check(history(seen=end_missing, faults=[("redis", 4.5)])).problems
    assert check(history(seen=end_missing, faults=[("worker", 4.5)])).problems
    assert check(history(seen=end_missing, faults=[("redis", 0.5)])).problems
    assert check(history(seen=start_missing, faults=[("redis", 4.5)])).problems


def test_a_restart_makes_the_text_before_it_void_and_a_takeover_does_not() -> None:
    again = [*EVENTS[:3], started(4, 2, restart=True), delta(5, "an answer"), message(6, "assistant", "an answer")]
    assert not check(history([*again, finished(7)], seen=[*again, finished(7)])).problems
    on = [*EVENTS[:3], started(4, 2), delta(5, "answer"), message(6, "assistant", "an answer"), finished(7)]
    assert not check(history(on, seen=on)).problems


def test_what_a_client_was_refused_is_a_problem() -> None:
    made = history()
    made.records.append(Complaint("c", "no", 9.0))
    assert check(made).problems == ["c: no"]
