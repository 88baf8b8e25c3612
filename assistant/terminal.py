"""The terminal: a chat with a running assistant, and tools run on the spot. Answers appear as they are made."""

import asyncio
import contextlib
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from assistant.client import Client, ServerRefused, Session
from assistant.domain.errors import InvalidRequest
from assistant.domain.events import (
    Event,
    MessageCreated,
    TurnDelta,
    TurnFinished,
    TurnProgress,
    TurnStarted,
)
from assistant.domain.messages import Message
from assistant.ports.engine import Looked, Token
from assistant.ports.tools import ToolDone
from assistant.settings import Settings
from assistant.terminal_sessions import carry_out

SHOWN_CHARACTERS = 160
"""How much is shown of what was read."""
_notes = Console(stderr=True, highlight=False)


def _note(text: str, style: str = "dim", *, end: str = "\n") -> None:
    """A line beside the answer, as it is: brackets are no markup, and only a terminal wraps it."""
    _notes.print(Text(text, style=style), soft_wrap=True, end=end)


def read_text(path: Path) -> str:
    """The text of a file, or of standard input for ``-``.

    Raises:
        InvalidRequest: it cannot be read, or is no UTF-8 text.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest("file_unreadable", f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest("file_not_text", f"{path} is not a UTF-8 text file.") from error


async def talk(url: str, question: str, images: list[Path], session_id: str | None, token: str | None = None) -> None:
    """Ask one question, or hold a conversation until the end of input."""
    async with Client(url, token=token) as client:
        session = await client.open(session_id)
        pictures = [await client.upload(_read_bytes(path)) for path in images]
        if question or (pictures and not sys.stdin.isatty()):
            if not await _taught(client, session, question, pictures):
                await _ask(session, question, pictures)
            return
        _note(f"conversation {session.session_id} — Ctrl-C stops an answer, Ctrl-D ends")
        _note("/sessions /rename TITLE /export FILE /retry /delete")
        async for line in _lines():
            if await _told(client, session, line, pictures):
                if session.is_deleted:
                    return
            elif line.strip() == "/retry":
                await _retry(session)
            elif line.strip() or pictures:
                await _ask(session, line, pictures)
                pictures = []


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest("file_unreadable", f"Cannot read {path}: {error.strerror}.") from error


async def _lines() -> AsyncIterator[str]:
    while True:
        try:
            yield await asyncio.to_thread(input, "> " if sys.stdin.isatty() else "")
        except EOFError:
            return


async def _told(client: Client, session: Session, line: str, pictures: list[str]) -> bool:
    """As ``_taught``, but what is refused is said, and the conversation goes on."""
    try:
        return await _taught(client, session, line, pictures) or await _kept(client, session, line)
    except (InvalidRequest, ServerRefused) as error:
        _note(str(error), "red")
        return True


async def _kept(client: Client, session: Session, line: str) -> bool:
    """Carry out a command about conversations as a whole. False: it is none."""
    command, _, said = line.strip().partition(" ")
    lines = await carry_out(client, session, command, said)
    for told in lines or ():
        print(told, flush=True)
    return lines is not None


async def _taught(client: Client, session: Session, line: str, pictures: list[str]) -> bool:
    """Carry out a command of the memory, with the pictures at hand or those asked about last. False: it is none."""
    command, _, said = line.strip().partition(" ")
    match command:
        case "/remember":
            shown = pictures or _last_pictures(session)
            if not shown:
                raise InvalidRequest("image_missing", "There is no picture to remember: give one with --image.")
            taught = [await client.remember(picture, said) for picture in shown]
            pictures.clear()
            print(f"Remembered: {taught[0].text}", flush=True)
        case "/memories":
            for memory in (kept := await client.memories()):
                print(f"{memory.language}  {memory.text}", flush=True)
            if not kept:
                _note("nothing is remembered yet")
        case "/forget":
            gone = await client.forget(said)
            print(f"Forgotten: {gone[0].text}", flush=True)
        case _:
            return False
    return True


def _last_pictures(session: Session) -> list[str]:
    """The pictures of the newest message that has any."""
    return next((list(message.image_ids) for message in reversed(session.messages) if message.image_ids), [])


async def _ask(session: Session, text: str, pictures: list[str]) -> None:
    """Show one answer while it comes; Ctrl-C stops it and nothing else."""
    await _show(session, session.ask(text, images=pictures))


async def _retry(session: Session) -> None:
    """Have the last message answered again."""
    if session.branch:
        await _show(session, session.regenerate(session.branch[-1].message_id))
    else:
        _note("nothing was asked yet", "red")


async def _show(session: Session, events: AsyncIterator[Event]) -> None:
    turn = _Turn(session)
    with _on_interrupt(turn.cancel):
        async for event in events:
            turn.show(event)
        turn.end()


class _Turn:
    """One answer on the screen."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turn_id: str | None = None
        self._shown = ""
        self._ended = False
        self._stopping: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        if self._turn_id is not None and self._stopping is None:
            self._stopping = asyncio.create_task(self._session.cancel(self._turn_id, len(self._shown)))

    def show(self, event: Event) -> None:
        match event:
            case MessageCreated(message=message):
                self._turn_id = message.turn_id
                if message.role == "assistant":
                    self._complete(message)
            case TurnStarted(turn_id=turn_id, restart=restart):
                self._turn_id = turn_id
                if restart:
                    self._begin_again()
            case TurnProgress(stage=stage) if not self._shown and _notes.is_terminal:
                _note(f"{stage} ...", end="\r")
            case TurnDelta(text=text):
                self._print(text)
            case TurnFinished():
                self.end()
                _after(event)

    def end(self) -> None:
        """No more events come: the answer's last line ends, whether or not it was said how the turn ended."""
        if not self._ended:
            self._ended = True
            print(flush=True)

    def _print(self, text: str) -> None:
        self._shown += text
        print(text, end="", flush=True)

    def _complete(self, message: Message) -> None:
        """Show of the committed answer what did not come as it was made."""
        if not message.text.startswith(self._shown):
            self._begin_again()
        self._print(message.text[len(self._shown) :])

    def _begin_again(self) -> None:
        """The text so far is void: leave it, and say so."""
        if self._shown:
            print(flush=True)
        _note("(the answer begins again)")
        self._shown = ""


def _after(end: TurnFinished) -> None:
    """What the reader should know beside the text."""
    if end.error is not None:
        _note(end.error.message, "red")
    elif end.status != "completed":
        _note("(stopped)" if end.status == "cancelled" else "(the answer was cut: longest length)")
    for note in end.notes or ():
        _note(note)
    for use in end.images:
        if not use.seen:
            _note(f"a picture was not looked at: {use.reason}")
        _note_read(use.read)


def _note_read(read: str | None) -> None:
    """The beginning of what was read in a picture."""
    if read:
        _note(f'read in the picture: "{textwrap.shorten(read, SHOWN_CHARACTERS, placeholder=" ...")}"')


@contextlib.contextmanager
def _on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, action)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def run_tool(name: str, arguments: dict[str, Any], settings: Settings) -> None:
    """Run a tool in this process and show its text while it comes, then its notes."""
    from assistant.bootstrap import load_prompts, make_engine
    from assistant.local import LocalTools, check
    from assistant.tools import all_tools

    tools = all_tools(load_prompts())
    check(tools[name], arguments)  # before the model is loaded
    engine = await asyncio.to_thread(make_engine, settings, _note)
    try:
        async for event in LocalTools(engine, tools).stream(name, arguments):
            match event:
                case Token(text):
                    print(text, end="", flush=True)
                case Looked(pictures) if not all(use.seen for use in pictures):
                    _note("not every picture is looked at")
                case ToolDone(result):
                    print(flush=True)
                    _note_read(getattr(result, "read", None))
                    for note in getattr(result, "notes", ()):
                        _note(note)
    finally:
        await engine.close()
