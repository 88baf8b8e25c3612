"""Whatever is done in whatever order, the store does as a small model of it does: on Valkey and Redis.

Hypothesis chooses the steps. The model is a list of events a session and, of each turn, who may write.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from assistant.bootstrap import open_stores
from assistant.clock import SystemClock
from assistant.domain.errors import Conflict, LimitReached, NotFound
from assistant.domain.events import Event, MessageCreated, TurnDelta, TurnFinished, read_event
from assistant.domain.messages import Message, TextPart
from assistant.domain.turns import Submission
from assistant.ports.engine import EngineInfo
from assistant.ports.queue import Claim, LostClaim
from assistant.stores import keys, sweeper
from assistant.stores.bells import Bells
from assistant.stores.connection import open_client
from assistant.stores.conversations import MOST_WAITING_TURNS
from assistant.stores.jobs import Jobs
from assistant.stores.queue import RedisQueue
from tests import servers

ENGINE = EngineInfo("test", "test-1", context_tokens=100, default_max_tokens=10, slots=1)
OWNER = "anonymous"
LEASE = 600.0
WAIT, IDLE = 0.01, 0.05
"""Seconds. Jobs that are held are looked at again after ``IDLE``: were it as short as a look, others had none."""
Result = TypeVar("Result")


@dataclass
class Turn:
    """A turn in the model. ``holder`` is the claim that may write; ``free``: its lease is over, or there was none."""

    turn_id: str
    text: str = ""
    attempts: int = 0
    failures: int = 0
    holder: Claim | None = None
    free: bool = True


@dataclass
class Conversation:
    """A session in the model: unfinished turns in order, what was submitted, and (type, detail) of each event."""

    session_id: str
    epoch: str
    open: list[Turn] = field(default_factory=list)
    submitted: dict[str, tuple[str, str]] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)


class Store(RuleBasedStateMachine):
    """Steps on the real store, each beside its model."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.conversations: list[Conversation] = []
        self.claims: list[Claim] = []
        self.do(self._open(url))

    async def _open(self, url: str) -> None:
        self.client = await open_client(url)
        await self.client.flushall()
        self.opened = open_stores(url, None)
        self.stores = await self.opened.__aenter__()
        self.bells = Bells(self.client)
        self.queue = RedisQueue(self.client, self.bells, SystemClock(), lease_seconds=LEASE)
        self.queue._jobs = Jobs(self.client, idle_seconds=IDLE)

    def teardown(self) -> None:
        async def close() -> None:
            await self.bells.close()
            await self.client.aclose()
            await self.opened.__aexit__(None, None, None)

        self.do(close())
        self.loop.close()

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def conversation_of(self, claim: Claim) -> Conversation:
        return next(one for one in self.conversations if one.session_id == claim.session_id)

    def held(self, claim: Claim) -> Turn | None:
        """The turn that this claim may write to."""
        active = self.conversation_of(claim).open[:1]
        return next((turn for turn in active if turn.holder is claim), None)

    @precondition(lambda self: len(self.conversations) < 3)
    @rule()
    def open_session(self) -> None:
        session_id, cursor = self.do(self.stores.conversations.create(OWNER))
        self.conversations.append(Conversation(session_id, cursor.epoch))

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), number=st.integers(0, 9), text=st.sampled_from(["one", "two"]))
    def submit(self, data: st.DataObject, number: int, text: str) -> None:
        into = data.draw(st.sampled_from(self.conversations))
        key = f"c-{number}"
        work = self.stores.conversations.submit(OWNER, into.session_id, Submission(client_message_id=key, text=text))
        before = into.submitted.get(key)
        if before and before[0] != text:
            with pytest.raises(Conflict):
                self.do(work)
        elif before:
            again = self.do(work)
            assert (again.turn_id, again.duplicate) == (before[1], True)
        elif len(into.open) > MOST_WAITING_TURNS:
            with pytest.raises(LimitReached):
                self.do(work)
        else:
            accepted = self.do(work)
            assert not accepted.duplicate
            into.submitted[key] = text, accepted.turn_id
            into.log.append(("message.created", text))
            if into.open:
                into.log.append(("turn.queued", str(len(into.open))))
            into.open.append(Turn(accepted.turn_id))

    @precondition(lambda self: any(one.submitted for one in self.conversations))
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        into = data.draw(st.sampled_from([one for one in self.conversations if one.submitted]))
        key = data.draw(st.sampled_from(sorted(into.submitted)))
        text, turn_id = into.submitted[key]
        again = Submission(client_message_id=key, text=text)
        accepted = self.do(self.stores.conversations.submit(OWNER, into.session_id, again))
        assert (accepted.turn_id, accepted.duplicate) == (turn_id, True)

    @rule()
    def claim(self) -> None:
        free = {one.open[0].turn_id: one for one in self.conversations if one.open and one.open[0].free}
        claim = self.do(self._claimed(tries=200 if free else 4))
        if claim is None:
            assert not free, "a turn that nobody has was not handed out"
            return
        assert claim.turn_id in free
        turn = free[claim.turn_id].open[0]
        turn.attempts += 1
        assert (claim.attempt, claim.failures, claim.committed) == (turn.attempts, turn.failures, turn.text)
        turn.failures += 1
        turn.holder, turn.free = claim, False
        free[claim.turn_id].log.append(("turn.started", str(turn.attempts)))
        self.claims.append(claim)

    async def _claimed(self, tries: int) -> Claim | None:
        for _ in range(tries):
            if (claim := await self.queue.claim("w", ENGINE, WAIT)) is not None:
                return claim
        return None

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), text=st.sampled_from(["a", "é", "猫 "]))
    def append(self, data: st.DataObject, text: str) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        work = self.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text=text)])
        if turn := self.held(claim):
            self.do(work)
            turn.text += text
            turn.free = False  # the lease is renewed
            self.conversation_of(claim).log.append(("turn.delta", text))
        else:
            with pytest.raises(LostClaim):
                self.do(work)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        turn = self.held(claim)
        text = turn.text if turn else "a lie"
        parts = (TextPart(text=text),)
        message = Message(
            message_id="m", role="assistant", parts=parts, turn_id=claim.turn_id, created_at=SystemClock().now()
        )
        events: list[Event] = [MessageCreated(message=message)]
        events.append(TurnFinished(turn_id=claim.turn_id, status="completed"))
        work = self.queue.finish(claim, events, "completed")
        if turn:
            self.do(work)
            conversation = self.conversation_of(claim)
            conversation.open.pop(0)
            conversation.log += [("message.created", text), ("turn.finished", "completed")]
        else:
            with pytest.raises(LostClaim):
                self.do(work)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        work = self.queue.release(claim)
        if turn := self.held(claim):
            self.do(work)
            turn.holder, turn.free = None, True
            turn.failures -= 1
        else:
            with pytest.raises(LostClaim):
                self.do(work)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), dies=st.booleans())
    def lease_ends(self, data: st.DataObject, dies: bool) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        if turn := self.held(claim):
            self.do(_awaited(self.client.hset(keys.turn(claim.session_id, claim.turn_id), "deadline", 0)))
            turn.free = True
        if dies:
            self.claims.remove(claim)
            if turn:
                turn.free = True

    @precondition(lambda self: any(one.submitted for one in self.conversations))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from([one for one in self.conversations if one.submitted]))
        _, turn_id = data.draw(st.sampled_from(sorted(of.submitted.values())))
        self.do(self.stores.conversations.cancel(OWNER, of.session_id, turn_id, 0))
        with pytest.raises(NotFound):
            self.do(self.stores.conversations.cancel("eve", of.session_id, turn_id, 0))
        holder = of.open[0].holder if of.open and of.open[0].turn_id == turn_id else None
        if holder:
            self.do(self._rung(holder))

    async def _rung(self, claim: Claim) -> None:
        async with asyncio.timeout(5), self.queue.watch_cancel(claim) as bell:
            await bell.wait()

    @rule()
    def lose_the_jobs(self) -> None:
        self.do(_awaited(self.client.delete(keys.JOBS)))
        self.do(self.stores.sweeper.sweep())

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), limit=st.integers(1, 5))
    def read(self, data: st.DataObject, limit: int) -> None:
        of = data.draw(st.sampled_from(self.conversations))
        after = data.draw(st.integers(0, len(of.log)))
        seen: list[tuple[str, str]] = []
        place = after
        while entries := self.do(self.stores.conversations.read(of.session_id, place, limit)):
            assert [entry.seq for entry in entries] == list(range(place + 1, place + 1 + len(entries)))
            seen += [_told(entry.json) for entry in entries]
            place = entries[-1].seq
        assert seen == of.log[after:]

    @invariant()
    def numbers_have_no_gaps(self) -> None:
        for one in self.conversations:
            head = self.do(self.stores.conversations.head(OWNER, one.session_id))
            assert (head.epoch, head.seq) == (one.epoch, len(one.log))


async def _awaited(work: Any) -> Any:
    return await work


def _told(json: str) -> tuple[str, str]:
    """An event as the model has it."""
    event: Any = read_event(json).event
    match event.type:
        case "message.created":
            return event.type, event.message.text
        case "turn.queued":
            return event.type, str(event.position)
        case "turn.started":
            return event.type, str(event.attempt)
        case "turn.delta":
            return event.type, event.text
    return event.type, event.status


@pytest.fixture(scope="module", params=["valkey", "debian"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.running(tmp_path_factory.mktemp(request.param), request.param) as url:
        yield url


def test_the_store_does_as_its_model(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "PAGE_RESTS", 0)
    steps = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: Store(url), settings=steps)  # type: ignore[arg-type]  # takes any factory
