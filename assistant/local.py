"""Run a tool in this process, without a server: what the command line and LangChain do."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from assistant.domain.errors import InvalidRequest
from assistant.images import normalise
from assistant.ports.engine import Engine, EnginePicture
from assistant.ports.tools import Tool, ToolContext, ToolDone, ToolEvent
from assistant.service.commands import check_call


class LocalTools:
    """Tools on an engine of this process; pictures are paths of files."""

    def __init__(self, engine: Engine, tools: Mapping[str, Tool]) -> None:
        self.engine = engine
        self.tools = tools

    async def stream(self, name: str, arguments: Mapping[str, Any]) -> AsyncGenerator[ToolEvent]:
        """Run a tool; ends with ``ToolDone``.

        Raises:
            InvalidRequest: arguments that do not fit, or a file that is not there.
            PictureError: a file is no picture.
            EngineError: the model could not answer.
        """
        tool = self.tools[name]
        checked, paths = check(tool, arguments)
        pictures = [await asyncio.to_thread(read_picture, path) for path in paths]
        async with aclosing(tool.run(checked, ToolContext(self.engine, tuple(pictures)))) as stream:
            async for event in stream:
                yield event

    async def run(self, name: str, arguments: Mapping[str, Any]) -> BaseModel:
        """Run a tool and return its typed result. Raises as ``stream``."""
        async with aclosing(self.stream(name, arguments)) as stream:
            async for event in stream:
                if isinstance(event, ToolDone):
                    return event.result
        raise RuntimeError(f"{name} ended without a result")


def check(tool: Tool, arguments: Mapping[str, Any]) -> tuple[BaseModel, list[Path]]:
    """The validated arguments of a call and the files it names. Raises ``InvalidRequest``."""
    call = check_call(tool, arguments)
    paths = [Path(path) for path in call.arguments.get("images", ())]
    checked = tool.arguments.model_validate(call.arguments)
    tool.check(checked, pictured=bool(paths))
    for path in paths:
        if not path.is_file():
            raise InvalidRequest("file_unreadable", f"There is no file {path}.")
    return checked, paths


def read_picture(path: Path) -> EnginePicture:
    """A file as a picture for an engine; the same intake as the server's.

    Raises:
        InvalidRequest: the file cannot be read.
        PictureError: it is no picture.
        LimitReached: it is too large.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest("file_unreadable", f"Cannot read {path}: {error.strerror}.") from error
    picture = normalise(data)
    image_id = f"i_{hashlib.sha256(data).hexdigest()[:24]}"
    return EnginePicture(image_id, picture.sha256, picture.data, picture.width, picture.height)
