"""Conversations in Redis: an append-only log a session, submissions that happen once.

What is atomic is a Lua script beside this file. Knows nothing of who runs turns; see ``queue``.
"""

import asyncio
import hashlib
import secrets
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import cast

from redis.asyncio import Redis

from assistant.clock import rfc3339
from assistant.domain.errors import Conflict, InvalidRequest, LimitReached, NotFound
from assistant.domain.events import Event, MessageCreated, SessionUpdated, TurnQueued, TurnState, read_event
from assistant.domain.messages import Message
from assistant.domain.sessions import SessionInfo, SessionPage, first_words
from assistant.domain.summaries import Summary
from assistant.domain.turns import Submission, new_turn_id
from assistant.ports.conversations import (
    Accepted,
    Bell,
    ConversationStore,
    Cursor,
    Dropped,
    LogEntry,
    Record,
    TurnRecord,
)
from assistant.ports.surroundings import Clock
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import Entries, Script, entries, reporting
from assistant.stores.jobs import Jobs

MOST_WAITING_TURNS = 4
SLACK_SECONDS = 86400
"""A conversation outlives its last message by its answer; its place in the list, by this."""
SESSION_NOT_FOUND = NotFound("session_not_found", "There is no such conversation. Open a new one.")
TURN_NOT_FOUND = NotFound("turn_not_found", "There is no such turn in this conversation.")
MESSAGE_NOT_FOUND = NotFound(
    "message_not_found", "There is no such message in this conversation. Name one by the id that its event has."
)


@reporting
class RedisConversations(ConversationStore):
    """``ConversationStore`` on Redis 6.2 or later, or Valkey.

    Args:
        ttl_seconds: a conversation that nobody touches for so long is forgotten.
    """

    def __init__(self, client: Redis, bells: Bells, clock: Clock, *, ttl_seconds: int = 30 * 86400) -> None:
        self._redis = client
        self._bells = bells
        self._jobs = Jobs(client)
        self._clock = clock
        self._ttl = ttl_seconds
        self._reading = asyncio.Lock()
        """Held while a log is read, which may be long: the deltas of others go between one and the next. More at a time
        would not be faster, for one server carries them out and one loop takes them in."""
        self._submit, self._cancel, self._summarise = map(Script.named, ("submit", "cancel", "summarise"))
        self._touch, self._rename, self._delete = map(Script.named, ("touch", "rename", "delete"))
        self._turn = Script.named("turn")

    async def create(self, owner: str) -> tuple[str, Cursor]:
        session_id = f"s_{secrets.token_urlsafe(18)}"
        epoch = f"e_{secrets.token_urlsafe(6)}"
        name = keys.meta(session_id)
        async with self._redis.pipeline() as pipe:
            pipe.hset(name, mapping={"owner": owner, "epoch": epoch, "seq": 0, "created": rfc3339(self._clock.now())})
            pipe.expire(name, self._ttl)
            await pipe.execute()
        return session_id, Cursor(epoch, 0)

    async def head(self, owner: str, session_id: str) -> Cursor:
        async with self._reading:
            kept_owner, epoch, seq = await self._redis.hmget(keys.meta(session_id), ["owner", "epoch", "seq"])
        if kept_owner != owner or epoch is None or seq is None:
            raise SESSION_NOT_FOUND
        return Cursor(str(epoch), int(seq))

    async def submit(
        self, owner: str, session_id: str, submission: Submission, *, turn_id: str | None = None
    ) -> Accepted:
        turn_id = turn_id or new_turn_id()
        now = self._clock.now()
        message = Message(
            message_id=f"m_{secrets.token_urlsafe(12)}",
            role="user",
            parts=submission.parts(),
            turn_id=turn_id,
            created_at=now,
        )
        answer = await self._submit.run(
            self._redis,
            [
                keys.meta(session_id),
                keys.events(session_id),
                keys.live(session_id),
                keys.idem(session_id),
                keys.pending(session_id),
                keys.turn(session_id, turn_id),
                keys.named(session_id),
            ],
            [
                owner,
                submission.client_message_id,
                _body(submission),
                turn_id,
                message.message_id,
                session_id,
                rfc3339(now),
                MessageCreated(message=message).to_json(),
                submission.options.to_json(),
                _queued_head(turn_id),
                MOST_WAITING_TURNS,
                self._ttl,
                keys.bell(session_id),
                first_words(message),
                submission.parent or "",
                submission.regenerates or "",
            ],
        )
        return await self._promised(owner, session_id, answer)

    async def accepted(self, owner: str, session_id: str, submission: Submission) -> Accepted | None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(keys.meta(session_id), ["owner", "unclaimed"])
            pipe.hget(keys.idem(session_id), submission.client_message_id)
            (kept_owner, unclaimed), before = await pipe.execute()
        if kept_owner != owner:
            raise SESSION_NOT_FOUND
        if before is None:
            return None
        body, turn_id, message_id = str(before).split(" ")
        same = body == _body(submission)
        answer = ["duplicate", turn_id, message_id, unclaimed or ""] if same else ["conflict"]
        return await self._promised(owner, session_id, answer)

    async def _promised(self, owner: str, session_id: str, answer: list[str]) -> Accepted:
        """What was accepted, once all is done that goes with it. Raises for what was not."""
        accepted, unclaimed = _accepted(answer)
        if unclaimed:
            await self._jobs.put(session_id, unclaimed)
        # In the owner's slot, so not in the script; whoever was cut off before this sends the message again.
        await self._touch.run(self._redis, [keys.sessions(owner)], [session_id, self._ttl + SLACK_SECONDS])
        return accepted

    async def sessions(self, owner: str, before: str | None, limit: int) -> SessionPage:
        index = keys.sessions(owner)
        oldest = self._clock.now() - timedelta(seconds=self._ttl + SLACK_SECONDS)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(index, "-inf", f"({_microseconds(oldest)}")
            pipe.zrevrangebyscore(index, _below(before), "-inf", start=0, num=limit, withscores=True)
            _, found = await pipe.execute()
        async with self._redis.pipeline(transaction=False) as pipe:
            for session_id, _ in found:
                pipe.hmget(keys.meta(session_id), ["owner", "title", "created", "messages"])
            known = await pipe.execute()
        # What has expired meanwhile is passed over here, and dropped from the index by its age.
        infos = [
            SessionInfo(
                session_id=session_id,
                title=title,
                created_at=created,
                updated_at=datetime.fromtimestamp(score / 1e6, UTC),
                messages=int(messages),
            )
            for (session_id, score), (kept_owner, title, created, messages) in zip(found, known, strict=True)
            if kept_owner == owner
        ]
        return SessionPage(sessions=tuple(infos), before=f"{found[-1][1]:.0f}" if len(found) == limit else None)

    async def rename(self, owner: str, session_id: str, title: str) -> None:
        arguments: list[str | int] = [
            owner,
            session_id,
            rfc3339(self._clock.now()),
            title,
            SessionUpdated(title=title).to_json(),
            self._ttl,
            keys.bell(session_id),
        ]
        names = [keys.meta(session_id), keys.events(session_id)]
        if await self._rename.run(self._redis, names, arguments) == ["not_found"]:
            raise SESSION_NOT_FOUND

    async def delete(self, owner: str, session_id: str) -> Dropped:
        names = [part(session_id) for part in (keys.meta, keys.events, keys.live, keys.idem, keys.pending, keys.named)]
        prefixes = [keys.turn(session_id, ""), keys.cancel(session_id, "")]
        answer = await self._delete.run(self._redis, names, [owner, *prefixes, keys.bell(session_id)])
        if answer == ["not_found"]:
            raise SESSION_NOT_FOUND
        _, begun, *waiting = answer
        # A job that stands for one of its turns holds two ids and no more, and goes with the next look of any worker.
        await self._redis.zrem(keys.sessions(owner), session_id)
        return Dropped(begun=(begun,) if begun else (), waiting=tuple(waiting))

    async def cancel(self, owner: str, session_id: str, turn_id: str, seen_chars: int) -> None:
        names = [keys.meta(session_id), keys.turn(session_id, turn_id)]
        channel = keys.cancel(session_id, turn_id)
        if await self._cancel.run(self._redis, names, [owner, seen_chars, channel]) == ["not_found"]:
            raise TURN_NOT_FOUND

    async def read(self, session_id: str, after: int, limit: int = 500) -> list[LogEntry]:
        async with self._reading, self._redis.pipeline(transaction=True) as pipe:
            for name in (keys.events(session_id), keys.live(session_id)):
                pipe.xrange(name, min=f"{after + 1}-0", count=limit)
            pipe.exists(keys.meta(session_id))
            lasting, live, there = await pipe.execute()
        if not there:
            raise SESSION_NOT_FOUND
        return _merge(lasting, live, limit)

    async def messages(self, session_id: str) -> list[Message]:
        async with self._reading:
            log = entries(await self._redis.xrange(keys.events(session_id)))
        return [
            MessageCreated.model_validate_json(_without_place(fields["e"])).message
            for _, fields in log
            if '"type":"message.created"' in fields["e"]
        ]

    async def record(self, owner: str, session_id: str) -> Record:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(keys.meta(session_id), ["owner", "title", "created"])
            pipe.xrange(keys.events(session_id))
            (kept_owner, title, created), log = await pipe.execute()
        if kept_owner != owner:
            raise SESSION_NOT_FOUND
        events = tuple(read_event(fields["e"]) for _, fields in entries(log))
        return Record(session_id, title or "", datetime.fromisoformat(created), events)

    async def turn(self, owner: str, session_id: str, turn_id: str) -> TurnRecord:
        names = [part(session_id) for part in (keys.meta, keys.events, keys.live)]
        async with self._reading:
            answer = await self._turn.run(self._redis, [*names, keys.turn(session_id, turn_id)], [owner])
        if len(answer) == 1:
            raise TURN_NOT_FOUND if answer == ["no_turn"] else SESSION_NOT_FOUND
        _, status, message_id, epoch, seq, *log = answer
        placed = (read_event(json) for json in log if f'"{turn_id}"' in json)
        mine = [one for one in placed if _turn_of(one.event) == turn_id]
        events = tuple(sorted(mine, key=lambda one: one.place.seq))
        return TurnRecord(turn_id, message_id, cast("TurnState", status), events, Cursor(epoch, int(seq)))

    async def summary(self, session_id: str) -> Summary | None:
        kept = await self._redis.hget(keys.meta(session_id), "summary")
        return None if kept is None else Summary.model_validate_json(kept)

    async def keep_summary(self, owner: str, session_id: str, summary: Summary) -> None:
        await self._summarise.run(self._redis, [keys.meta(session_id)], [owner, summary.to_json()])

    def watch(self, session_id: str) -> AbstractAsyncContextManager[Bell]:
        return self._bells.watch(keys.bell(session_id))


def _body(submission: Submission) -> str:
    """What tells two submissions of one client message id apart."""
    return hashlib.sha256(submission.to_json().encode()).hexdigest()


def _queued_head(turn_id: str) -> str:
    """The ``turn.queued`` event up to its position, which only the script knows."""
    return TurnQueued(turn_id=turn_id, position=1).to_json().removesuffix(',"position":1}')


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _below(before: str | None) -> str:
    if before is None:
        return "+inf"
    if not (before.isascii() and before.isdigit() and len(before) <= 16):
        raise InvalidRequest("invalid_before", "Give as `before` what came with the page before, or leave it out.")
    return f"({before}"


def _accepted(answer: list[str]) -> tuple[Accepted, str]:
    """What was accepted, and the session's turn that nobody has claimed, if there is one."""
    match answer:
        case ["accepted" | "duplicate" as outcome, turn_id, message_id, unclaimed]:
            return Accepted(turn_id, message_id, duplicate=outcome == "duplicate"), unclaimed
        case ["conflict"]:
            raise Conflict(
                "client_message_id_reused",
                "This client_message_id was used for another message. Send a new message under a new id.",
            )
        case ["no_message"]:
            raise MESSAGE_NOT_FOUND
        case ["busy"]:
            raise LimitReached(
                "too_many_turns",
                f"{MOST_WAITING_TURNS} messages of this conversation wait for an answer already. Send this one later.",
                retry_after=2.0,
            )
        case _:
            raise SESSION_NOT_FOUND


def _turn_of(event: Event) -> str | None:
    return event.message.turn_id if isinstance(event, MessageCreated) else getattr(event, "turn_id", None)


def _merge(lasting: Entries, live: Entries, limit: int) -> list[LogEntry]:
    """Two streams of one count into one list in order, up to where both are known."""
    known = [_seq(part[-1]) for part in (lasting, live) if len(part) == limit]
    merged = sorted((LogEntry(_seq(entry), entry[1]["e"]) for entry in (*lasting, *live)), key=lambda entry: entry.seq)
    return [entry for entry in merged if not known or entry.seq <= min(known)]


def _seq(entry: tuple[str, dict[str, str]]) -> int:
    return int(entry[0].split("-")[0])


def _without_place(event: str) -> str:
    """The event as it was made: the store writes the place before the first field of its own, ``type``."""
    return "{" + event[event.index('"type":') :]
