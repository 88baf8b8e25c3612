"""One conversation as a client sees it: ask, read events in order, stop."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from assistant.client.errors import ClientError
from assistant.domain.events import (
    Event,
    MessageCreated,
    Place,
    SessionUpdated,
    TurnDelta,
    TurnFinished,
    TurnStarted,
    read_event,
)
from assistant.domain.messages import Message
from assistant.domain.turns import newest_branch
from assistant.gateway.wire.answers import SessionSnapshot
from assistant.ports.conversations import Cursor

log = logging.getLogger(__name__)
Command = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Jumped:
    """A snapshot took the place of events: of those that were not fed, only its messages are known."""

    messages: tuple[Message, ...]


_Item = Event | ClientError | _Jumped


class Session:
    """An open session. Events seen before (``seq`` not above the cursor) are dropped, as the protocol asks.

    Events of a kind that is not known, and fields that are not known, are ignored: a later server may send them.
    """

    def __init__(self, session_id: str, cursor: Cursor, command: Command) -> None:
        self.session_id = session_id
        self.cursor = cursor
        self.messages: list[Message] = []
        """Committed messages, in the order of the log."""
        self.is_deleted = False
        self.title: str | None = None
        """What it was renamed to, if it was."""
        self._command = command
        self._readers: set[asyncio.Queue[_Item]] = set()
        self._finished: dict[str, TurnFinished] = {}
        self._followed: set[str] = set()
        """Turns whose every event since their message was, or will be, fed."""
        self._recalling: set[str] = set()
        """Turns whose end is looked for among events that were seen, or jumped over, before."""

    @property
    def resume_from(self) -> Cursor:
        """Where to open this session again after a lost connection."""
        return Cursor(self.cursor.epoch, 0) if self._recalling else self.cursor

    def feed(self, frame: dict[str, Any], text: str) -> None:
        """Take a frame of this session from the socket: as an object, and as it came."""
        try:
            if frame["type"] == "session.deleted":
                self.end()
            elif frame["type"] == "session.snapshot":
                self._jump(SessionSnapshot.model_validate(frame, extra="ignore"))
            else:
                self._place(frame, text)
        except ValidationError as error:
            log.warning("%s cannot be read: %d problems", frame["type"], error.error_count())
            self.fail(ClientError(f"The server sent a {frame['type']} that this client cannot read."))

    def end(self) -> None:
        """The conversation was deleted."""
        self.is_deleted = True
        self.fail(ClientError("This conversation was deleted."))

    def fail(self, error: ClientError) -> None:
        """Whoever waits for events waits in vain."""
        self._tell(error)

    def _jump(self, snapshot: SessionSnapshot) -> None:
        self.cursor = Cursor(snapshot.epoch, snapshot.seq)
        self.messages = list(snapshot.messages)
        self._followed.clear()
        self._tell(_Jumped(snapshot.messages))

    def _place(self, frame: dict[str, Any], text: str) -> None:
        try:
            place = Place.model_validate({name: frame.get(name) for name in Place.model_fields})
        except ValidationError:
            log.info("%s has no place in the log: passed over", frame["type"])
            return
        is_new = place.epoch != self.cursor.epoch or place.seq > self.cursor.seq
        if is_new:
            self.cursor = Cursor(place.epoch, place.seq)
        if frame["type"] not in _KNOWN:
            log.info("%s is not known here: passed over", frame["type"])
            return
        event = read_event(text, unknown_fields="ignore").event
        if is_new:
            self._take(event)
        elif _turn_of(event) in self._recalling and (_is_answer(event) or isinstance(event, TurnFinished)):
            self._tell(event)

    def _take(self, event: Event) -> None:
        match event:
            case MessageCreated(message=message):
                self.messages.append(message)
                if message.role == "user":
                    self._followed.add(message.turn_id)
            case TurnFinished(turn_id=turn_id):
                self._finished[turn_id] = event
            case SessionUpdated(title=title):
                self.title = title
        self._tell(event)

    def _tell(self, item: _Item) -> None:
        for reader in self._readers:
            reader.put_nowait(item)

    async def ask(
        self,
        text: str,
        *,
        images: Sequence[str] = (),
        tool: str | None = None,
        arguments: dict[str, Any] | None = None,
        client_message_id: str | None = None,
        parent: str | None = None,
        **options: Any,
    ) -> AsyncGenerator[Event]:
        """Send a message and yield the events of its turn, up to and with ``TurnFinished``.

        A ``TurnStarted`` with ``restart`` makes the text void that came before it: the answer begins again.

        Where events of the turn cannot be had any more, it ends with what is known of its answer. After a snapshot
        that holds the answer, that is ``MessageCreated`` of the assistant alone. For a ``client_message_id`` that was
        asked before and has been answered, it is that event, if there is an answer, and ``TurnFinished``; if it is
        being answered, events follow from here on, and the assistant's ``MessageCreated`` has the whole text.

        Args:
            images: ids that ``Client.upload`` gave.
            parent: id of the message to go on after, also of an answer on its way (``domain.turns.answer_id``), or
                ``root`` to begin anew; else where the conversation is.
            options: ``max_tokens``, ``temperature``, ``top_p``, ``seed``.

        Raises:
            ServerRefused: the message was not accepted, or the session is gone.
            ClientError: the server is gone for good, or has lost the message.
        """
        fields: dict[str, Any] = {"tool": {"name": tool, "arguments": arguments or {}}} if tool else {}
        fields |= {"parent": parent} if parent else {}
        asked = self._turn("turn.submit", client_message_id, text=text, images=list(images), options=options, **fields)
        async with contextlib.aclosing(asked) as events:
            async for event in events:
                yield event

    async def regenerate(
        self, message_id: str, *, client_message_id: str | None = None, **options: Any
    ) -> AsyncGenerator[Event]:
        """Have a message answered again, and yield the events of that turn, as ``ask`` does.

        Args:
            message_id: of the message, or of an answer to it.
        """
        asked = self._turn("turn.regenerate", client_message_id, message_id=message_id, options=options)
        async with contextlib.aclosing(asked) as events:
            async for event in events:
                yield event

    @property
    def branch(self) -> list[Message]:
        """The messages of the newest branch, from its beginning."""
        return newest_branch(self.messages)

    async def _turn(self, kind: str, client_message_id: str | None, **fields: Any) -> AsyncGenerator[Event]:
        with self._reading() as items:
            accepted = await self._command(
                kind,
                session_id=self.session_id,
                client_message_id=client_message_id or secrets.token_urlsafe(12),
                **fields,
            )
            async with contextlib.aclosing(self._events(accepted, items)) as events:
                async for event in events:
                    yield event

    @contextlib.contextmanager
    def _reading(self) -> Iterator[asyncio.Queue[_Item]]:
        items: asyncio.Queue[_Item] = asyncio.Queue()
        self._readers.add(items)
        try:
            yield items
        finally:
            self._readers.discard(items)

    async def _events(self, accepted: dict[str, Any], items: asyncio.Queue[_Item]) -> AsyncGenerator[Event]:
        """Events of an accepted turn. ``items`` holds what came since before it was sent, perhaps its end already."""
        turn_id: str = accepted["turn_id"]
        early = items.qsize()  # came before the submission was answered: a snapshot there may be older than the turn
        try:
            if accepted.get("duplicate") and turn_id not in self._followed | self._finished.keys():
                await self._recall(turn_id)
            while not (items.empty() and turn_id in self._finished):
                item = await items.get()
                early -= 1
                match item:
                    case ClientError():
                        raise item
                    case _Jumped(messages):
                        for answer in _answers(turn_id, messages):
                            yield answer
                            return
                        if early < 0 and not any(message.message_id == accepted["message_id"] for message in messages):
                            raise ClientError("The server has lost this message. Send it again.")
                        await self._recall(turn_id)
                    case event if _turn_of(event) == turn_id:
                        yield event
                        if isinstance(event, TurnFinished):
                            return
        finally:
            self._recalling.discard(turn_id)
        for answer in _answers(turn_id, self.messages):  # it had ended before it was asked for again
            yield answer
        yield self._finished[turn_id]

    async def _recall(self, turn_id: str) -> None:
        """Have the log sent again from its start, for the end of a turn that may lie in a part that was not fed.

        Of what was seen before only this turn's answer and end are told again; other turns do not notice.
        """
        self._recalling.add(turn_id)
        start = {"epoch": self.cursor.epoch, "seq": 0}
        await self._command("session.open", session_id=self.session_id, cursor=start)

    async def answer(self, text: str, **asked: Any) -> str:
        """Ask, and return the whole text of the answer. Takes what ``ask`` takes, and raises what it raises."""
        parts: list[str] = []
        async with contextlib.aclosing(self.ask(text, **asked)) as events:
            async for event in events:
                match event:
                    case TurnStarted(restart=True):
                        parts = []
                    case TurnDelta(text=more):
                        parts.append(more)
                    case MessageCreated(message=message) if message.role == "assistant":
                        parts = [message.text]
        return "".join(parts)

    async def cancel(self, turn_id: str, seen_chars: int = 0) -> None:
        """Stop a turn."""
        await self._command("turn.cancel", turn_id=turn_id, seen_chars=seen_chars)


_KNOWN = frozenset(kind.model_fields["type"].default for kind in get_args(Event))


def _turn_of(event: Event) -> str | None:
    match event:
        case MessageCreated():
            return event.message.turn_id
        case SessionUpdated():
            return None
    return event.turn_id


def _is_answer(event: Event) -> bool:
    return isinstance(event, MessageCreated) and event.message.role == "assistant"


def _answers(turn_id: str, messages: Iterable[Message]) -> list[MessageCreated]:
    """The assistant's message of a turn, if it is among these."""
    created = (MessageCreated(message=message) for message in messages if message.turn_id == turn_id)
    return [event for event in created if _is_answer(event)]
