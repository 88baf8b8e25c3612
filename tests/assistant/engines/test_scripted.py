import time

import pytest

from assistant.domain.turns import TurnOptions
from assistant.engines.scripted import ScriptedEngine
from assistant.ports.engine import (
    End,
    EngineEvent,
    EngineMessage,
    EnginePicture,
    EngineRequest,
    Looked,
    Progress,
    Token,
)

PICTURE = EnginePicture("i_1", "sha", b"", 1, 1)


def request(text: str = "hello", *pictures: EnginePicture, prefix: str = "", **options: int) -> EngineRequest:
    return EngineRequest((EngineMessage("user", text, pictures),), TurnOptions.model_validate(options), prefix)


async def generate(engine: ScriptedEngine, asked: EngineRequest) -> list[EngineEvent]:
    return [event async for event in engine.generate(asked)]


def text(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(delay_ms=0)


async def test_the_same_question_has_the_same_answer(engine: ScriptedEngine) -> None:
    first = text(await generate(engine, request("a")))
    assert first == text(await generate(ScriptedEngine(delay_ms=0), request("a")))
    assert first != text(await generate(engine, request("b")))
    assert first != text(await generate(engine, request("a", PICTURE)))
    assert first != text(await generate(ScriptedEngine(delay_ms=0, seed=1), request("a")))
    assert 12 <= len(first.split()) <= 40
    assert first.endswith(".")


async def test_an_answer_ends_once_and_counts_its_words(engine: ScriptedEngine) -> None:
    *said, last = await generate(engine, request())
    assert isinstance(last, End)
    assert all(isinstance(event, Token) and event.image_weight is None for event in said)
    assert (last.reason, last.completion_tokens, last.image_cells) == ("stop", len(said), 0)
    assert last.prompt_tokens == engine.count_tokens(request().messages) > 0
    assert 0 <= last.first_token_ms <= last.total_ms


async def test_pictures_are_looked_at_before_the_first_word(engine: ScriptedEngine) -> None:
    other = EnginePicture("i_2", "sha2", b"", 1, 1)
    first, second, *rest = await generate(engine, request("x", PICTURE, other))
    assert first == Progress("encoding", 0, 2)
    assert isinstance(second, Looked)
    assert [(use.image_id, use.seen) for use in second.pictures] == [("i_1", True), ("i_2", True)]
    assert all(0 <= (token.image_weight or 0) <= 1 for token in rest if isinstance(token, Token))
    end = rest[-1]
    assert isinstance(end, End)
    assert end.image_cells == 98


@pytest.mark.parametrize("most", [1, 5, 12])
async def test_no_more_words_than_asked_for(engine: ScriptedEngine, most: int) -> None:
    events = await generate(engine, request("hello", max_tokens=most))
    end = events[-1]
    assert isinstance(end, End)
    assert (end.reason, end.completion_tokens) == ("length", most)
    assert text(await generate(engine, request())).startswith(text(events))


async def test_a_script_of_a_set_length() -> None:
    events = await generate(ScriptedEngine(delay_ms=0, tokens=3), request())
    assert len(text(events).split()) == 3
    exact = (await generate(ScriptedEngine(delay_ms=0, tokens=3), request(max_tokens=3)))[-1]
    assert isinstance(exact, End)
    assert exact.reason == "stop"


async def test_it_goes_on_after_any_prefix_of_whole_words(engine: ScriptedEngine) -> None:
    tokens = [event.text for event in await generate(engine, request()) if isinstance(event, Token)]
    for count in range(len(tokens) + 1):
        prefix = "".join(tokens[:count])
        events = await generate(engine, request(prefix=prefix))
        assert prefix + text(events) == "".join(tokens)
        end = events[-1]
        assert isinstance(end, End)
        assert end.completion_tokens == len(tokens)


async def test_closing_the_stream_ends_it() -> None:
    stream = ScriptedEngine(delay_ms=1).generate(request())
    assert isinstance(await anext(stream), Token)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_pace_is_kept() -> None:
    start = time.perf_counter()
    await generate(ScriptedEngine(delay_ms=5, tokens=10), request())
    assert time.perf_counter() - start >= 0.05


async def test_it_says_what_it_is(engine: ScriptedEngine) -> None:
    assert (engine.info.name, engine.info.model) == ("scripted", "scripted-1")
    assert "translate" in engine.info.cautions
    await engine.close()
