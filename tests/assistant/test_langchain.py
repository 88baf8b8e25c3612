import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from assistant.domain.errors import InvalidRequest, PictureError
from assistant.engines.scripted import ScriptedEngine
from assistant.langchain import langchain_tools
from tests import pictures

Tools = dict[str, StructuredTool]


@pytest.fixture
def tools() -> Tools:
    return {tool.name: tool for tool in langchain_tools(ScriptedEngine(delay_ms=0))}


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.jpg"
    path.write_bytes(pictures.jpeg())
    return str(path)


def test_the_three_tools_have_the_schema_used_everywhere(tools: Tools) -> None:
    assert list(tools) == ["caption", "translate", "summarise"]
    schema = convert_to_openai_tool(tools["translate"])["function"]
    assert schema["name"] == "translate"
    assert set(schema["parameters"]["required"]) == {"to"}
    assert schema["parameters"]["properties"]["to"]["enum"] == ["en", "es", "fr", "de", "it", "pt"]
    assert all("description" in field for field in schema["parameters"]["properties"].values())


def test_invoke(tools: Tools, photo: str) -> None:
    result = tools["caption"].invoke({"images": [photo], "style": "alt"})
    assert result["text"].endswith(".")
    assert (result["images_seen"], result["notes"]) == (1, [])
    assert 0 <= result["image_weight"] <= 1
    json.dumps(result)


async def test_ainvoke_gives_the_same(tools: Tools) -> None:
    result = await tools["translate"].ainvoke({"text": "a cat", "to": "es"})
    assert result["language"] == "es"
    assert result["notes"] == ["This engine is a script: it does not translate."]
    assert result["images_seen"] == 0
    again = await tools["translate"].ainvoke({"text": "a cat", "to": "es", "source": "en", "images": []})
    assert again == result


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("translate", {"text": "a"}), ("translate", {"text": "a", "to": "xx"}), ("summarise", {"text": 5})],
)
def test_wrong_arguments_are_refused_before_anything_runs(tools: Tools, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        tools[name].invoke(arguments)


def test_a_tool_without_anything_to_work_on_says_so(tools: Tools) -> None:
    with pytest.raises(InvalidRequest, match="needs a text, or a picture of one"):
        tools["summarise"].invoke({"text": ""})


def test_a_file_that_is_not_there_or_is_no_picture(tools: Tools, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="There is no file"):
        tools["caption"].invoke({"images": [str(tmp_path / "none.jpg")]})
    with pytest.raises(InvalidRequest, match="needs a picture"):
        tools["caption"].invoke({})
    (tmp_path / "words.jpg").write_text("words")
    with pytest.raises(PictureError):
        tools["caption"].invoke({"images": [str(tmp_path / "words.jpg")]})


async def test_invoke_where_a_loop_runs_already(tools: Tools) -> None:
    problem = ""
    try:
        tools["summarise"].invoke({"text": "long"})
    except RuntimeError as error:
        problem = str(error)
    assert problem == ""
