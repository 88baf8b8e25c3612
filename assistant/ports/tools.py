"""Typed pieces of work that engines are used for."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from assistant.domain.turns import TurnOptions
from assistant.ports.engine import End, Engine, EnginePicture, Looked, Progress, Taught, Token


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may use: the engine, the pictures given with the call, how to answer, what was already sent, and what
    the owner has taught; and the owner.
    """

    engine: Engine
    pictures: tuple[EnginePicture, ...] = ()
    options: TurnOptions = TurnOptions()
    prefix: str = ""
    memory: tuple[Taught, ...] = ()
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ToolDone:
    """The typed result of a tool, with the end of the engine's last answer."""

    result: BaseModel
    end: End


ToolEvent = Progress | Looked | Token | ToolDone


class Tool(Protocol):
    """A typed piece of work: validated arguments in, streamed text and a typed result out."""

    name: str
    description: str
    arguments: type[BaseModel]
    result: type[BaseModel]

    def from_command(self, text: str) -> dict[str, Any]:
        """Arguments of the slash command ``/name text``. Raises ``InvalidRequest`` with the usage."""

    def check(self, arguments: BaseModel, *, pictured: bool) -> None:
        """Raises ``InvalidRequest`` where arguments and pictures together give nothing to work on."""

    def run(self, arguments: BaseModel, context: ToolContext) -> AsyncGenerator[ToolEvent]:
        """Do it. Ends with ``ToolDone``; closing the iterator stops the work within one token."""
