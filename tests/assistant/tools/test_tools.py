from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from assistant.bootstrap import load_prompts
from assistant.domain.errors import EngineError, InvalidRequest
from assistant.domain.turns import TurnOptions
from assistant.ports.engine import EnginePicture, Looked, PictureUse, Progress, Token
from assistant.ports.tools import Tool, ToolContext, ToolDone, ToolEvent
from assistant.tools import all_tools
from assistant.tools.answer import TextResult
from tests.assistant.fakes import FakeEngine, end, info, looked, words

TOOLS = all_tools(load_prompts())
PICTURE = EnginePicture("i_1", "sha", b"bytes", 64, 48)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "caption": {},
    "translate": {"text": "a red bus", "to": "es"},
    "summarise": {"text": "long text"},
}


def checked(tool: Tool, **arguments: Any) -> BaseModel:
    return tool.arguments.model_validate(ARGUMENTS[tool.name] | arguments)


async def run(tool: Tool, context: ToolContext, **arguments: Any) -> list[ToolEvent]:
    return [event async for event in tool.run(checked(tool, **arguments), context)]


def result_of(events: list[ToolEvent]) -> TextResult:
    done = events[-1]
    assert isinstance(done, ToolDone)
    assert isinstance(done.result, TextResult)
    return done.result


def test_there_are_three_and_each_knows_its_name() -> None:
    assert list(TOOLS) == ["caption", "translate", "summarise"]
    assert all(tool.name == name and tool.description.endswith(".") for name, tool in TOOLS.items())


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_every_argument_is_described_for_models_and_people(tool: Tool) -> None:
    schema = tool.arguments.model_json_schema()
    assert schema["additionalProperties"] is False
    assert all(field.get("description") for field in schema["properties"].values())
    assert "images" in schema["properties"]


@pytest.mark.parametrize("name", ["translate", "summarise"])
@pytest.mark.parametrize(("text", "pictured"), [("a text", False), ("", True), ("  ", True)])
def test_a_text_or_a_picture_of_one_is_enough(name: str, text: str, pictured: bool) -> None:
    TOOLS[name].check(checked(TOOLS[name], text=text), pictured=pictured)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("caption", {}, "image_missing"),
        ("translate", {"text": " "}, "text_missing"),
        ("summarise", {"text": ""}, "text_missing"),
    ],
)
def test_a_tool_needs_something_to_work_on(name: str, arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name} needs a ") as refused:
        TOOLS[name].check(checked(TOOLS[name], **arguments), pictured=False)
    assert refused.value.code == code


async def test_without_a_text_of_its_own_a_tool_works_on_what_is_written_in_the_picture() -> None:
    use = PictureUse("i_1", seen=True, read="Mind the step", notes=("letterboxed",))
    for name in ("translate", "summarise"):
        engine = FakeEngine(Looked((use,)), *words("A"), end())
        result = result_of(await run(TOOLS[name], ToolContext(engine, (PICTURE,)), text=" "))
        assert (result.read, result.notes) == ("Mind the step", ("letterboxed",))
        engine_with_text = FakeEngine(looked("i_1"), *words("A"), end())
        assert result_of(await run(TOOLS[name], ToolContext(engine_with_text, (PICTURE,)))).read is None
        assert [engine.requests[0].reading, engine_with_text.requests[0].reading] == ["text", "never"]
    engine = FakeEngine(Looked((use,)), *words("A"), replace(end(), confidence=0.61))
    result = result_of(await run(TOOLS["caption"], ToolContext(engine, (PICTURE,)), language="fr"))
    assert (result.read, result.confidence) == ("Mind the step", 0.61)
    assert engine.requests[0].messages[0].text.endswith("Answer in French.")
    assert engine.requests[0].reading == "quote"


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
async def test_a_tool_streams_and_ends_with_its_typed_result(tool: Tool) -> None:
    engine = FakeEngine(Progress("encoding", 0, 1), looked("i_1"), Token("A", 0.2), Token(" cat", 0.4), end())
    events = await run(tool, ToolContext(engine, (PICTURE,), TurnOptions(seed=3)))
    assert [type(event) for event in events] == [Progress, Looked, Token, Token, ToolDone]
    result = result_of(events)
    assert type(result) is tool.result
    assert (result.text, result.image_weight, result.images_seen, result.notes) == ("A cat", 0.3, 1, ())
    done = events[-1]
    assert isinstance(done, ToolDone)
    assert done.end == end()
    request = engine.requests[0]
    assert [(message.role, message.pictures) for message in request.messages] == [("user", (PICTURE,))]
    assert (request.options.seed, request.prefix, engine.closed) == (3, "", 1)
    assert tool.result.model_validate(result.model_dump(mode="json")) == result


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
async def test_what_was_sent_before_is_part_of_the_result(tool: Tool) -> None:
    engine = FakeEngine(*words(" cat"), end())
    events = await run(tool, ToolContext(engine, prefix="A grey"))
    assert result_of(events).text == "A grey cat"
    assert engine.requests[0].prefix == "A grey"
    assert "".join(event.text for event in events if isinstance(event, Token)) == " cat"


async def test_a_tool_without_a_picture_has_no_weight() -> None:
    result = result_of(await run(TOOLS["summarise"], ToolContext(FakeEngine(*words("A"), end()))))
    assert (result.image_weight, result.images_seen) == (None, 0)


async def test_a_picture_that_was_not_seen_is_not_counted() -> None:
    engine = FakeEngine(looked("i_1", seen=False, reason="too many"), *words("A"), end())
    assert result_of(await run(TOOLS["caption"], ToolContext(engine, (PICTURE,)))).images_seen == 0


async def test_what_the_model_does_badly_is_said_in_the_result() -> None:
    cautious = info(cautions={"translate": "Check every word."})
    for name, notes in (("translate", ("Check every word.",)), ("summarise", ())):
        engine = FakeEngine(*words("A"), end(), info_=cautious)
        assert result_of(await run(TOOLS[name], ToolContext(engine))).notes == notes


async def test_a_stream_that_breaks_off_is_no_result() -> None:
    with pytest.raises(EngineError) as broken:
        await run(TOOLS["summarise"], ToolContext(FakeEngine(*words("A"))))
    assert broken.value.code == "engine_cut_off"


async def test_leaving_early_closes_the_engine_s_stream() -> None:
    engine = FakeEngine(*words("ABC"), end())
    stream = TOOLS["summarise"].run(checked(TOOLS["summarise"]), ToolContext(engine))
    assert isinstance(await anext(stream), Token)
    await stream.aclose()
    assert engine.closed == 1


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("caption", {}, ["Describe this picture."]),
        ("caption", {"style": "detailed"}, ["in detail"]),
        ("caption", {"style": "alt"}, ["alternative text"]),
        ("translate", {"to": "de", "source": "fr"}, ["from French", "into German", "a red bus"]),
        ("translate", {"text": "$text costs ${5}"}, ["from English into Spanish", "$text costs ${5}"]),
        ("summarise", {"length": "short"}, ["one sentence", "long text"]),
        ("summarise", {"length": "medium"}, ["three sentences"]),
        ("summarise", {"length": "long"}, ["two paragraphs"]),
    ],
)
async def test_the_prompt_says_what_was_asked(name: str, arguments: dict[str, Any], said: list[str]) -> None:
    engine = FakeEngine(end())
    await run(TOOLS[name], ToolContext(engine, (PICTURE,)), **arguments)
    prompt = engine.requests[0].messages[-1].text
    assert all(part in prompt for part in said)


async def test_a_translation_says_its_language() -> None:
    events = await run(TOOLS["translate"], ToolContext(FakeEngine(*words("A"), end())), to="it")
    assert result_of(events).model_dump()["language"] == "it"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("caption", {"style": "loud"}),
        ("caption", {"text": "x"}),
        ("translate", {"to": "tlh"}),
        ("translate", {"source": None}),
        ("summarise", {"text": 5}),
        ("summarise", {"length": "endless"}),
    ],
)
def test_arguments_are_checked(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        checked(TOOLS[name], **arguments)
