"""The contract of ``Engine``: on the script and on the packaged model."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest

from assistant.domain.turns import TurnOptions
from assistant.engines.scripted import ScriptedEngine
from assistant.engines.vlbm import VlbmEngine
from assistant.ports.engine import (
    End,
    Engine,
    EngineEvent,
    EngineMessage,
    EnginePicture,
    EngineRequest,
    Looked,
    Progress,
    Taught,
    Token,
)
from tests import pictures


@pytest.fixture(scope="module", params=["scripted", "vlbm"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine = (
        ScriptedEngine(delay_ms=5) if request.param == "scripted" else VlbmEngine.load("packaged", lambda _: None)
    )
    yield made
    asyncio.run(made.close())


def picture(image_id: str = "i_1") -> EnginePicture:
    return EnginePicture(image_id, image_id.ljust(64, "0"), pictures.jpeg(), 64, 48)


def asked(text: str, *given: EnginePicture, prefix: str = "", most: int = 12) -> EngineRequest:
    return EngineRequest((EngineMessage("user", text, given),), TurnOptions(max_tokens=most), prefix)


async def collect(engine: Engine, request: EngineRequest) -> list[EngineEvent]:
    async with aclosing(engine.generate(request)) as stream:
        return [event async for event in stream]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


async def test_an_answer_is_tokens_and_one_end(engine: Engine) -> None:
    events = await collect(engine, asked("Name three colours."))
    assert isinstance(events[-1], End)
    assert sum(isinstance(event, End) for event in events) == 1
    assert text_of(events)
    end = events[-1]
    assert end.completion_tokens <= 12
    assert end.prompt_tokens > 0
    assert 0 < end.first_token_ms <= end.total_ms
    assert not any(isinstance(event, Looked) for event in events)
    assert all(event.image_weight is None for event in events if isinstance(event, Token))


async def test_the_longest_length_is_said(engine: Engine) -> None:
    events = await collect(engine, asked("Write a long story.", most=3))
    assert isinstance(events[-1], End)
    assert (events[-1].reason, events[-1].completion_tokens) == ("length", 3)


async def test_pictures_are_accounted_for_before_the_first_token(engine: Engine) -> None:
    events = await collect(engine, asked("What is this?", picture("i_1")))
    kinds = [type(event) for event in events]
    assert Progress in kinds
    looked = next(event for event in events if isinstance(event, Looked))
    assert kinds.index(Looked) < kinds.index(Token)
    assert [(use.image_id, use.seen) for use in looked.pictures] == [("i_1", True)]
    weights = [event.image_weight for event in events if isinstance(event, Token)]
    assert weights
    assert all(weight is not None and 0 <= weight <= 1 for weight in weights)
    assert isinstance(events[-1], End)
    assert events[-1].image_cells > 0


async def test_a_pictures_owner_may_name_it_twice(engine: Engine) -> None:
    one = picture("i_1")
    other = EnginePicture("i_2", one.sha256, one.data, one.width, one.height)
    events = await collect(engine, asked("What are these?", one, other))
    looked = next(event for event in events if isinstance(event, Looked))
    assert [use.image_id for use in looked.pictures] == ["i_1", "i_2"]


async def test_the_same_question_has_the_same_answer(engine: Engine) -> None:
    request = asked("Name three colours.")
    assert text_of(await collect(engine, request)) == text_of(await collect(engine, request))


async def test_an_answer_goes_on_from_its_prefix(engine: Engine) -> None:
    request = asked("Name three colours.", most=24)
    events = await collect(engine, request)
    whole = text_of(events)
    head = "".join(event.text for event in [event for event in events if isinstance(event, Token)][:4])
    rest = text_of(await collect(engine, asked("Name three colours.", prefix=head, most=24)))
    assert rest
    assert (head + rest).startswith(whole[: len(head) + 5])


async def test_closing_the_stream_stops_within_a_token(engine: Engine) -> None:
    stream = engine.generate(asked("Write a long story about the sea.", most=512))
    async with asyncio.timeout(30):
        async for event in stream:
            if isinstance(event, Token):
                break
        await stream.aclose()
    async with asyncio.timeout(30):  # the slot is free again
        assert text_of(await collect(engine, asked("Hello.", most=2)))


async def test_answers_are_made_at_the_same_time(engine: Engine) -> None:
    assert engine.info.slots > 1
    came: list[int] = []

    async def answer(number: int) -> None:
        async with aclosing(engine.generate(asked(f"Tell story number {number}.", most=24))) as stream:
            async for event in stream:
                if isinstance(event, Token):
                    came.append(number)  # noqa: PERF401 (in the order that they come)

    await asyncio.gather(answer(0), answer(1))
    changes = sum(one != other for one, other in pairwise(came))
    assert changes > 4, "one answer waited for the other"


async def test_the_event_loop_is_not_held_up(engine: Engine) -> None:
    worst = 0.0
    loop = asyncio.get_running_loop()

    async def beat() -> None:
        nonlocal worst
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            worst = max(worst, loop.time() - before)

    beating = asyncio.create_task(beat())
    await collect(engine, asked("Tell me about rivers.", most=16))
    beating.cancel()
    assert worst < 1.0, "generation ran on the event loop"


async def test_tokens_are_counted(engine: Engine) -> None:
    short = engine.count_tokens([EngineMessage("user", "hello")])
    long = engine.count_tokens([EngineMessage("user", "hello " * 50)])
    assert 0 < short < long


async def test_a_message_adds_as_many_tokens_wherever_it_stands(engine: Engine) -> None:
    nothing = EngineMessage("system", "")
    said = [
        EngineMessage("system", "You are kind.\n"),
        EngineMessage("user", " What is this?", (picture(),)),
        EngineMessage("assistant", "A cat. 🐈\n\n"),
        EngineMessage("user", "\tWhat does it do?"),
    ]
    empty = engine.count_tokens([nothing])
    adds = [engine.count_tokens([nothing, message]) - empty for message in said[1:]]
    assert engine.count_tokens(said) == engine.count_tokens(said[:1]) + sum(adds)


async def test_a_picture_is_looked_at_once_and_taught_with_what_was_made_of_it(engine: Engine) -> None:
    style = await engine.look_at(picture())
    assert style == await engine.look_at(picture())
    assert engine.info.encoder
    memory = (Taught(picture().sha256, "our dog Rex", "en", style),)
    request = EngineRequest((EngineMessage("user", "What is this?", (picture(),)),), TurnOptions(max_tokens=4))
    before = text_of(await collect(engine, request))
    assert text_of(await collect(engine, replace(request, memory=memory)))
    assert text_of(await collect(engine, request)) == before, "what one request brought along was left behind"
