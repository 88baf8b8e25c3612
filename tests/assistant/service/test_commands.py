import pytest

from assistant.bootstrap import load_prompts
from assistant.domain.errors import InvalidRequest
from assistant.service.commands import check_call, parse_command
from assistant.tools import all_tools

TOOLS = all_tools(load_prompts())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        " /caption",
        "/",
        "/ caption",
        "//caption",
        "/fly me",
        "/captions",
        "caption",
        "/caption\nshort",
        "/usr/bin/python is a path",
        "/猫",
    ],
)
def test_a_text_that_names_no_tool_is_chat(text: str) -> None:
    assert parse_command(text, TOOLS) is None


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("/caption", "caption", {"style": "short", "language": "en", "images": []}),
        ("/caption ", "caption", {"style": "short", "language": "en", "images": []}),
        ("/CAPTION  alt ", "caption", {"style": "alt", "language": "en", "images": []}),
        ("/caption de detailed", "caption", {"style": "detailed", "language": "de", "images": []}),
        ("/translate es  two  words ", "translate", {"to": "es", "source": "en", "text": "two  words", "images": []}),
        ("/translate fr a\nb", "translate", {"to": "fr", "source": "en", "text": "a\nb", "images": []}),
        ("/translate es", "translate", {"to": "es", "source": "en", "text": "", "images": []}),
        ("/summarise", "summarise", {"text": "", "length": "medium", "images": []}),
        ("/summarise /caption", "summarise", {"text": "/caption", "length": "medium", "images": []}),
    ],
)
def test_a_slash_command_is_a_checked_call(text: str, name: str, arguments: dict[str, object]) -> None:
    call = parse_command(text, TOOLS)
    assert call is not None
    assert (call.name, call.arguments) == (name, arguments)


@pytest.mark.parametrize(
    "text",
    ["/caption loud", "/caption alt alt", "/caption es fr", "/translate", "/translate xx hello", "/translate ES hi"],
)
def test_a_command_used_wrongly_is_answered_with_its_usage(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^Usage: /") as refused:
        parse_command(text, TOOLS)
    assert refused.value.code == "invalid_arguments"
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("caption", {"style": "SECRET"}, "style:"),
        ("caption", {"images": "SECRET"}, "images:"),
        ("caption", {"images": [1]}, "images.0:"),
        ("translate", {"text": "SECRET"}, "to:"),
        ("translate", {"text": "SECRET", "to": "xx"}, "to:"),
        ("summarise", {"text": ["SECRET"]}, "text:"),
        ("summarise", {"text": "SECRET", "lenght": "short"}, "lenght:"),
    ],
)
def test_wrong_arguments_are_named_but_not_repeated(name: str, arguments: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_call(TOOLS[name], arguments)
    assert refused.value.code == "invalid_arguments"
    assert refused.value.message.startswith(f"{name}: ")
    assert named in refused.value.message
    assert "SECRET" not in refused.value.message


def test_a_checked_call_can_be_checked_again() -> None:
    call = check_call(TOOLS["translate"], {"text": "a", "to": "es"})
    assert check_call(TOOLS["translate"], call.arguments) == call
