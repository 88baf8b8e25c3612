import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.bootstrap import load_prompts
from assistant.domain.errors import EngineError, Unavailable
from assistant.domain.events import Event, ToolCalled, ToolFinished, TurnDelta, TurnProgress
from assistant.domain.messages import Message, TextPart, ToolCallPart, ToolResultPart
from assistant.domain.turns import TurnOptions
from assistant.ports.engine import Engine, Progress, Token
from assistant.ports.memories import Style
from assistant.ports.queue import LostClaim
from assistant.service import turns
from assistant.service.memories import Memories
from assistant.service.turns import MOST_ATTEMPTS, TurnRunner
from assistant.tools import all_tools
from tests.assistant.fakes import (
    OWNER,
    FakeConversations,
    FakeEngine,
    FakeLimits,
    FakeMemories,
    FakePictures,
    FakeQueue,
    FixedClock,
    answer,
    claim,
    end,
    info,
    looked,
    question,
    until,
    words,
)

PROMPTS = load_prompts()
TOOLS = all_tools(PROMPTS)
SYSTEM = PROMPTS["system"].render()
CAPTION = ToolCallPart(name="caption", arguments={"style": "short", "images": []})


class House:
    """A runner over fakes."""

    def __init__(self, engine: Engine, *history: Message, pictures: FakePictures | None = None) -> None:
        self.queue = FakeQueue()
        self.conversations = FakeConversations(*(history or (question(),)))
        self.pictures = pictures or FakePictures("i_1", "i_2")
        self.memories = FakeMemories()
        self.limits = FakeLimits()
        self.runner = TurnRunner(
            engine,
            self.conversations,
            self.queue,
            self.pictures,
            self.memories,
            self.limits,
            TOOLS,
            PROMPTS,
            FixedClock(),
        )

    async def run(self, **changes: Any) -> FakeQueue:
        async with asyncio.timeout(5):
            await self.runner.run(claim(**changes))
        return self.queue

    def start(self, **changes: Any) -> "asyncio.Task[None]":
        return asyncio.create_task(self.runner.run(claim(**changes)))


def check_text(queue: FakeQueue, committed: str = "") -> None:
    """What every turn keeps: the deltas joined are the message, byte for byte."""
    assert queue.answer is not None
    assert queue.answer.text.encode() == (committed + queue.text).encode()


async def forever() -> None:
    await asyncio.Event().wait()


# --- Plain answers --------------------------------------------------------------------------------------------------


async def test_an_answer() -> None:
    engine = FakeEngine(Progress("prefill", 1, 2), *words("A café 🐈."), end())
    house = House(engine, question("first"), answer("yes"), question("What?", turn=2))
    queue = await house.run(turn_id="t_2", options=TurnOptions(seed=5))
    assert [message.text for message in engine.requests[0].messages] == [
        SYSTEM,
        "first",
        "yes",
        "What?",
    ]
    assert (engine.requests[0].options.seed, engine.requests[0].prefix) == (5, "")
    assert queue.status == "completed"
    assert queue.answer == Message(
        message_id="m_user2.t_2",
        role="assistant",
        parts=(TextPart(text="A café 🐈."),),
        turn_id="t_2",
        created_at=FixedClock().now(),
        parent="m_user2",
    )
    assert queue.appended[0] == TurnProgress(turn_id="t_2", stage="prefill", done=1, total=2)
    check_text(queue)
    usage = queue.last.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.engine_first_token_ms, usage.engine_ms) == (7, 3, 1, 2)
    assert (queue.last.images, queue.last.error, engine.closed) == ((), None, 1)


async def test_an_answer_cut_by_its_length() -> None:
    queue = await House(FakeEngine(*words("A"), end("length"))).run()
    assert (queue.status, queue.last.status) == ("length", "length")
    check_text(queue)


async def test_an_answer_of_no_words_is_a_message_all_the_same() -> None:
    queue = await House(FakeEngine(Token(""), end())).run()
    assert queue.appended == []
    assert queue.answer is not None
    assert queue.answer.parts == (TextPart(text=""),)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=12), st.text(max_size=5), st.sampled_from(["stop", "length", "raise"]))
def test_the_deltas_joined_are_always_the_message(tokens: list[str], committed: str, ending: str) -> None:
    last = {"stop": end(), "length": end("length"), "raise": EngineError("engine_failed", "It failed.")}[ending]

    async def play() -> None:
        engine = FakeEngine(*(Token(text) for text in tokens), last)
        queue = await House(engine).run(committed=committed, attempt=2)
        if queue.answer is None:
            assert queue.status == "failed"
            assert committed + queue.text == ""
        else:
            check_text(queue, committed)

    asyncio.run(play())


# --- Pictures -------------------------------------------------------------------------------------------------------


async def test_which_pictures_were_seen() -> None:
    engine = FakeEngine(looked("i_1"), Token("A", 0.5), end())
    queue = await House(engine, question("What?", "i_1")).run()
    use = queue.last.images[0]
    assert (use.image_id, use.seen, use.width, use.height, use.reason) == ("i_1", True, 64, 48, None)
    assert engine.requests[0].messages[-1].pictures[0].data == b"bytes of i_1"


async def test_a_picture_that_was_not_seen_says_why() -> None:
    engine = FakeEngine(looked("i_1", seen=False, reason="too many"), *words("A"), end())
    queue = await House(engine, question("What?", "i_1")).run()
    assert (queue.last.images[0].seen, queue.last.images[0].reason) == (False, "too many")


async def test_pictures_of_earlier_turns_that_were_looked_back_on_are_told() -> None:
    engine = FakeEngine(looked("i_1", "i_2"), *words("A"), end())
    house = House(engine, question("", "i_1"), answer(), question("And?", "i_2", turn=2))
    queue = await house.run(turn_id="t_2")
    assert {use.image_id for use in queue.last.images} == {"i_1", "i_2"}


async def test_a_picture_that_nobody_came_to_look_at_is_not_passed_over() -> None:
    engine = FakeEngine(EngineError("engine_failed", "It failed."))
    queue = await House(engine, question("", "i_1", "i_2")).run()
    assert [(use.image_id, use.seen) for use in queue.last.images] == [("i_1", False), ("i_2", False)]
    assert all("failed" in (use.reason or "") for use in queue.last.images)


async def test_a_picture_that_is_gone_fails_the_turn_with_its_name() -> None:
    queue = await House(FakeEngine(), question("", "i_gone")).run()
    assert queue.last.error is not None
    assert (queue.status, queue.last.error.code, queue.answer) == ("failed", "image_not_found", None)


# --- Failures -------------------------------------------------------------------------------------------------------


async def test_an_engine_that_refuses_ends_the_turn_and_keeps_what_was_said() -> None:
    queue = await House(FakeEngine(*words("A gr"), EngineError("engine_failed", "It failed."))).run()
    assert queue.last.error is not None
    assert (queue.status, queue.last.error.code, queue.last.error.message) == ("failed", "engine_failed", "It failed.")
    assert queue.text == "A gr"
    check_text(queue)


async def test_a_failure_before_the_first_word_has_no_message() -> None:
    queue = await House(FakeEngine(EngineError("engine_failed", "It failed."))).run()
    assert (queue.answer, len(queue.finished[0][0])) == (None, 1)


async def test_what_was_left_out_of_the_conversation_is_told() -> None:
    engine = FakeEngine(*words("Hm."), end(), info_=info(context_tokens=200, default_max_tokens=120))
    queue = await House(engine, question("a " * 75), answer(), question("And?", turn=2)).run(turn_id="t_2")
    assert queue.last.notes == (
        "The first 2 messages of this conversation no longer fit: the answer knows a summary of them.",
    )
    assert TurnProgress(turn_id="t_2", stage="summarising", done=0, total=1) in queue.appended
    assert len(engine.requests) == 2


async def test_a_message_too_long_for_the_model_fails_with_the_numbers() -> None:
    engine = FakeEngine(info_=info(context_tokens=12, default_max_tokens=4))
    queue = await House(engine, question("a b c d e f g")).run()
    assert queue.last.error is not None
    assert queue.last.error.code == "prompt_too_long"
    assert f"{7 + len(SYSTEM.split())} tokens" in queue.last.error.message
    assert engine.requests == []


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Unavailable("unavailable", "Redis is away.")])
async def test_what_is_nobody_s_fault_leaves_the_turn_to_the_next_attempt(error: Exception) -> None:
    engine = FakeEngine(*words("A gr"), error)
    house = House(engine)
    with pytest.raises(type(error)):
        await house.run()
    assert house.queue.finished == []
    assert house.queue.text == "A gr", "what was said is not lost"
    assert engine.closed == 1
    assert _left_over() == []


async def test_an_engine_that_ends_without_an_end_has_not_completed() -> None:
    queue = await House(FakeEngine(*words("A gr"))).run()
    assert queue.status == "failed"
    assert queue.last.error is not None
    assert queue.last.error.code == "engine_cut_off"
    check_text(queue)


async def test_a_tool_whose_engine_ends_without_an_end_has_failed() -> None:
    queue = await House(FakeEngine(*words("A gr")), question("", "i_1", tool=CAPTION)).run()
    assert queue.last.error is not None
    assert (queue.status, queue.last.error.code) == ("failed", "engine_cut_off")
    check_text(queue)


async def test_an_engine_that_looked_at_a_picture_nobody_sent() -> None:
    queue = await House(FakeEngine(looked("i_else"), *words("A"), end())).run()
    assert queue.status == "completed"


# --- Lost and late --------------------------------------------------------------------------------------------------


async def test_a_writer_that_lost_its_claim_writes_nothing_more() -> None:
    engine = FakeEngine(*words("A"), lambda: asyncio.sleep(0.01), *words("BC"), forever)
    house = House(engine)

    async def lose(_: Sequence[Event]) -> None:
        raise LostClaim

    house.queue.before_append = lose
    with pytest.raises(LostClaim):
        await house.run()
    assert (house.queue.appended, house.queue.finished, engine.closed) == ([], [], 1)


async def test_a_claim_lost_after_the_first_delta() -> None:
    house = House(FakeEngine(*words("A"), lambda: asyncio.sleep(0.05), *words("B"), lambda: asyncio.sleep(0.05), end()))

    async def lose(_: Sequence[Event]) -> None:
        if house.queue.text:
            raise LostClaim

    house.queue.before_append = lose
    with pytest.raises(LostClaim):
        await house.run()
    assert (house.queue.text, house.queue.finished) == ("A", [])


async def test_a_claim_lost_at_the_very_end() -> None:
    house = House(FakeEngine(*words("A"), end()))

    async def lose() -> None:
        raise LostClaim

    house.queue.before_finish = lose
    with pytest.raises(LostClaim):
        await house.run()


async def test_a_silent_engine_keeps_its_claim_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "HEARTBEAT_SECONDS", 0.01)
    house = House(FakeEngine(lambda: until(lambda: len(house.queue.appended) >= 3), *words("A"), end()))
    queue = await house.run()
    beats = [event for event in queue.appended if isinstance(event, TurnProgress)]
    assert [(beat.stage, beat.done) for beat in beats[:3]] == [("working", 1), ("working", 2), ("working", 3)]
    assert queue.status == "completed"


async def test_a_claim_lost_while_the_engine_is_silent_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "HEARTBEAT_SECONDS", 0.01)
    engine = FakeEngine(forever)
    house = House(engine)

    async def lose(_: Sequence[Event]) -> None:
        raise LostClaim

    house.queue.before_append = lose
    with pytest.raises(LostClaim):
        await house.run()
    assert engine.closed == 1
    assert _left_over() == []


async def test_taken_over_with_committed_text() -> None:
    engine = FakeEngine(*words(" cat"), end())
    queue = await House(engine).run(attempt=2, committed="A grey")
    assert engine.requests[0].prefix == "A grey"
    assert queue.text == " cat"
    check_text(queue, committed="A grey")


async def test_attempts_that_are_used_up_fail_without_the_engine() -> None:
    engine = FakeEngine(*words("never"), end())
    queue = await House(engine).run(failures=MOST_ATTEMPTS, committed="A gr")
    assert queue.last.error is not None
    assert (queue.status, queue.last.error.code, engine.requests) == ("failed", "attempts_exhausted", [])
    check_text(queue, committed="A gr")


async def test_the_last_attempt_is_still_one() -> None:
    assert (await House(FakeEngine(end())).run(failures=MOST_ATTEMPTS - 1)).status == "completed"


async def test_a_turn_that_cannot_even_be_read_is_given_up_at_last() -> None:
    house = House(FakeEngine(end()), question(turn=7))
    queue = await house.run(failures=MOST_ATTEMPTS)
    assert queue.status == "failed"


# --- Cancelling -----------------------------------------------------------------------------------------------------


async def test_stop_means_now_and_keeps_what_was_said() -> None:
    engine = FakeEngine(*words("A gr"), forever)
    house = House(engine, question("", "i_1"))
    running = house.start()
    await until(lambda: house.queue.text == "A gr")
    house.queue.cancel.rung.set()
    async with asyncio.timeout(5):
        await running
    assert (house.queue.status, house.queue.last.error) == ("cancelled", None)
    assert house.queue.last.images[0].reason == "the answer was cancelled before"
    assert engine.closed == 1
    check_text(house.queue)
    assert _left_over() == []


async def test_cancelled_before_it_began() -> None:
    house = House(FakeEngine(lambda: asyncio.sleep(0.05), *words("A"), end()))
    house.queue.cancel.rung.set()
    queue = await house.run()
    assert (queue.status, queue.text) == ("cancelled", "")
    check_text(queue)


async def test_cancelled_while_a_write_is_under_way() -> None:
    house, started = House(FakeEngine(*words("A gr"), forever)), asyncio.Event()

    async def slow(_: Sequence[Event]) -> None:
        started.set()
        await asyncio.sleep(0.03)

    house.queue.before_append = slow
    running = house.start()
    await started.wait()
    house.queue.cancel.rung.set()
    await running
    assert (house.queue.status, house.queue.text) == ("cancelled", "A gr")
    check_text(house.queue)


@pytest.mark.parametrize("rounds", range(12))
async def test_cancel_and_the_last_word_at_the_same_moment(rounds: int) -> None:
    """Whichever wins, the turn ends once, with one text."""
    house = House(FakeEngine(*words("A"), lambda: asyncio.sleep(0), *words("B"), end()))
    running = house.start()
    for _ in range(rounds):
        await asyncio.sleep(0)
    house.queue.cancel.rung.set()
    await running
    assert len(house.queue.finished) == 1
    assert house.queue.status in ("cancelled", "completed")
    assert house.queue.status == house.queue.last.status
    check_text(house.queue)


async def test_a_stop_that_comes_after_the_answer_changes_nothing() -> None:
    house = House(FakeEngine(*words("A"), end()))

    async def ring(_: Sequence[Event]) -> None:
        house.queue.cancel.rung.set()
        await asyncio.sleep(0.01)

    house.queue.before_append = ring
    assert (await house.run()).status == "completed"


async def test_a_bell_that_fails_is_not_a_cancel() -> None:
    house = House(FakeEngine(*words("A"), lambda: asyncio.sleep(0.05), *words("B"), end()))
    house.queue.cancel.error = ConnectionError("redis is away")
    house.queue.cancel.rung.set()
    with contextlib.suppress(Unavailable, ConnectionError):
        await house.run()
    assert [status for _, status in house.queue.finished] in ([], ["completed"])


async def test_a_bell_that_cannot_be_had_leaves_no_turn_running() -> None:
    house = House(FakeEngine(*words("A"), forever))
    house.queue.watch_error = Unavailable("unavailable", "Redis is away.")
    with pytest.raises(Unavailable):
        await house.run()
    left = _left_over()
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert left == []


async def test_a_worker_that_stops_leaves_the_turn_as_it_is() -> None:
    engine = FakeEngine(*words("A gr"), forever)
    house = House(engine)
    running = house.start()
    await until(lambda: house.queue.text == "A gr")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (house.queue.finished, engine.closed) == ([], 1)
    assert _left_over() == []


async def test_a_worker_that_stops_while_a_turn_ends_ends_it() -> None:
    house, going = House(FakeEngine(*words("A"), end())), asyncio.Event()
    house.queue.before_finish = going.wait
    running = house.start()
    await until(lambda: house.limits.settled != [])
    running.cancel()
    await asyncio.sleep(0.01)
    assert not running.done()
    going.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert house.queue.status == "completed"


# --- Tools ----------------------------------------------------------------------------------------------------------


def caption_house(*script: Any) -> House:
    return House(FakeEngine(*script), question("old"), answer("x"), question("", "i_1", turn=2, tool=CAPTION))


async def test_a_tool_turn() -> None:
    house = caption_house(Progress("encoding", 0, 1), looked("i_1"), Token("A", 0.25), Token(" cat", 0.75), end())
    queue = await house.run(turn_id="t_2")
    called, progress, *deltas = queue.appended
    assert called == ToolCalled(turn_id="t_2", name="caption", arguments=CAPTION.arguments)
    assert isinstance(progress, TurnProgress)
    assert all(isinstance(delta, TurnDelta) for delta in deltas)
    finished = queue.finished[0][0][0]
    assert isinstance(finished, ToolFinished)
    assert (finished.result["text"], finished.result["image_weight"]) == ("A cat", 0.5)
    assert finished.result["images_seen"] == 1
    assert queue.answer is not None
    result = ToolResultPart(name="caption", result=finished.result)
    assert queue.answer.parts == (CAPTION, result, TextPart(text="A cat"))
    check_text(queue)
    assert queue.last.images[0].seen


async def test_a_tool_sees_its_own_pictures_and_not_the_conversation() -> None:
    engine = FakeEngine(*words("A"), end())
    house = House(engine, question("", "i_2"), answer("x"), question("", "i_1", turn=2, tool=CAPTION))
    await house.run(turn_id="t_2")
    asked = engine.requests[0].messages
    assert [(message.role, [p.image_id for p in message.pictures]) for message in asked] == [("user", ["i_1"])]


async def test_a_tool_turn_taken_over_is_not_called_again() -> None:
    house = caption_house(*words(" cat"), end())
    queue = await house.run(turn_id="t_2", attempt=2, committed="A")
    assert not any(isinstance(event, ToolCalled) for event in queue.appended)
    finished = queue.finished[0][0][0]
    assert isinstance(finished, ToolFinished)
    assert finished.result["text"] == "A cat"
    check_text(queue, committed="A")


async def test_a_tool_that_fails_has_no_result_but_keeps_its_text() -> None:
    house = caption_house(*words("A"), EngineError("engine_failed", "It failed."))
    queue = await house.run(turn_id="t_2")
    assert [event.type for event in queue.finished[0][0]] == ["message.created", "turn.finished"]
    assert queue.answer is not None
    assert queue.answer.parts == (CAPTION, TextPart(text="A"))
    check_text(queue)


async def test_a_tool_that_is_cancelled() -> None:
    house = caption_house(*words("A"), forever)
    running = house.start(turn_id="t_2")
    await until(lambda: house.queue.text == "A")
    house.queue.cancel.rung.set()
    await running
    assert house.queue.status == "cancelled"
    assert [event.type for event in house.queue.finished[0][0]] == ["message.created", "turn.finished"]
    check_text(house.queue)


async def test_a_tool_cut_by_its_length() -> None:
    queue = await caption_house(*words("A"), end("length")).run(turn_id="t_2")
    assert queue.status == "length"


async def test_a_text_too_long_for_a_tool_s_model_fails_with_the_numbers() -> None:
    engine = FakeEngine(*words("A"), end(), info_=info(context_tokens=30, default_max_tokens=10))
    call = ToolCallPart(name="summarise", arguments={"text": "word " * 100, "length": "short", "images": []})
    queue = await House(engine, question("", tool=call)).run()
    assert queue.last.error is not None
    assert queue.last.error.code == "prompt_too_long"


# --- What is logged -------------------------------------------------------------------------------------------------


async def test_no_word_of_a_user_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine = FakeEngine(*words("SECRET"), EngineError("engine_failed", "It failed."))
    await House(engine, question("SECRET", "i_1")).run()
    assert "SECRET" not in caplog.text


def _left_over() -> list["asyncio.Task[Any]"]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


# --- What the owner has taught --------------------------------------------------------------------------------------


async def test_an_answer_about_a_picture_uses_what_the_owner_has_taught() -> None:
    for asked in (question("What is this?", "i_2"), question("", "i_2", tool=CAPTION)):
        engine = FakeEngine(looked("i_2"), *words("Rex."), end())
        house = House(engine, asked)
        await Memories(house.memories, house.pictures, FixedClock()).add(OWNER, "i_1", "our dog Rex", None)
        queue = await house.run()
        assert [taught.text for taught in engine.requests[0].memory] == ["our dog Rex"]
        assert TurnProgress(turn_id="t_1", stage="remembering", done=0, total=1) in queue.appended
        assert (queue.status, queue.last.notes) == ("completed", None)


async def test_an_answer_without_a_picture_needs_none_of_it() -> None:
    engine = FakeEngine(*words("Hello."), end())
    house = House(engine, question("hi"))
    house.memories.error = AssertionError("the memory was asked for")
    await house.run()
    assert engine.requests[0].memory == ()


async def test_what_of_it_cannot_be_used_is_said_at_the_end() -> None:
    engine = FakeEngine(looked("i_2"), *words("A dog."), end())
    house = House(engine, question("What is this?", "i_2"))
    await Memories(house.memories, house.pictures, FixedClock()).add(OWNER, "i_1", "our dog Rex", None)
    house.memories.made = dict.fromkeys(house.memories.kept, Style("another", b""))
    queue = await house.run()
    assert (queue.status, engine.requests[0].memory) == ("completed", ())
    assert queue.last.notes is not None
    assert 'Not remembered in this answer: "our dog Rex"' in queue.last.notes[0]


async def test_nothing_is_said_of_it_where_no_picture_was_looked_at() -> None:
    engine = FakeEngine(looked("i_2", seen=False, reason="not asked about"), *words("A joke."), end())
    house = House(engine, question("What is this?", "i_2"), answer("A dog."), question("Tell me a joke.", turn=2))
    await Memories(house.memories, house.pictures, FixedClock()).add(OWNER, "i_1", "our dog Rex", None)
    house.memories.made = dict.fromkeys(house.memories.kept, Style("another", b""))
    assert (await house.run(turn_id="t_2")).last.notes is None


async def test_what_was_generated_is_settled_before_the_end_is_told() -> None:
    house = House(FakeEngine(*words("abc"), end()))
    order: list[str] = []

    async def before_finish() -> None:
        order.extend(turn for turn, _, _ in house.limits.settled)

    house.queue.before_finish = before_finish
    await house.run()
    assert order == ["t_1"]
    assert house.limits.settled == [("t_1", 3, False)]


async def test_an_answer_that_broke_off_is_settled_by_what_came() -> None:
    house = House(FakeEngine(*words("ab"), EngineError("broken", "It broke.")))
    await house.run()
    assert house.limits.settled == [("t_1", 2, False)]


async def test_limits_that_are_away_keep_no_answer_back() -> None:
    house = House(FakeEngine(*words("abc"), end()))
    house.limits.error = Unavailable("unavailable", "away")
    assert (await house.run()).status == "completed"


async def test_an_answer_about_a_picture_that_moves_says_what_was_looked_at() -> None:
    kept = FakePictures("i_1", "i_2")
    picture, data = kept.kept["i_2"]
    kept.kept["i_2"] = replace(picture, animated=True), data
    for image_id, notes in (("i_1", None), ("i_2", ("Only the first frame of an animated picture was looked at.",))):
        engine = FakeEngine(looked(image_id), *words("A cat."), end())
        queue = await House(engine, question("What is this?", image_id), pictures=kept).run()
        assert queue.last.notes == notes
