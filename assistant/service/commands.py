"""Slash commands: ``/caption``, ``/translate es some text``. A text that names no known tool is plain chat."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from assistant.domain.errors import InvalidRequest
from assistant.domain.messages import ToolCallPart
from assistant.ports.tools import Tool


def parse_command(text: str, tools: Mapping[str, Tool]) -> ToolCallPart | None:
    """The tool call that a text stands for, or None.

    Raises:
        InvalidRequest: a known command with arguments that do not fit; the message gives the usage.
    """
    if not text.startswith("/"):
        return None
    name, _, rest = text[1:].partition(" ")
    tool = tools.get(name.strip().lower())
    return None if tool is None else check_call(tool, tool.from_command(rest.strip()))


def check_call(tool: Tool, arguments: Mapping[str, Any]) -> ToolCallPart:
    """A call with its arguments validated and completed by their defaults.

    Raises:
        InvalidRequest: an argument is missing, unknown or of a wrong value; each is named.
    """
    try:
        checked = tool.arguments.model_validate(arguments)
    except ValidationError as error:
        raise InvalidRequest("invalid_arguments", f"{tool.name}: {describe(error)}") from error
    return ToolCallPart(name=tool.name, arguments=checked.model_dump(mode="json"))


def describe(error: ValidationError) -> str:
    """What is wrong, field by field, without the values (they may be a user's words)."""
    return "; ".join(f"{'.'.join(map(str, part['loc'])) or 'value'}: {part['msg']}" for part in error.errors())
