"""One conversation as a client sees it: ask, read events in order, stop."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from assistant.client.errors import ClientError
from assistant.domain.events import Event, MessageCreated, TurnDelta, TurnFinished, read_event
from assistant.domain.messages import Message
from assistant.ports import Cursor

Command = Callable[..., Awaitable[dict[str, Any]]]


class Session:
    """An open session. Events seen before (``seq`` not above the cursor) are dropped, as the protocol asks."""

    def __init__(self, session_id: str, cursor: Cursor, command: Command) -> None:
        self.session_id = session_id
        self.cursor = cursor
        self.messages: list[Message] = []
        """Committed messages, in the order of the log."""
        self._command = command
        self._readers: set[asyncio.Queue[Event | ClientError]] = set()

    def feed(self, frame: dict[str, Any], text: str) -> None:
        """Take a frame of this session from the socket."""
        if frame["type"] == "session.snapshot":
            self.cursor = Cursor(frame["epoch"], frame["seq"])
            self.messages = [Message.model_validate(message) for message in frame["messages"]]
            return
        placed = read_event(text)
        if placed.place.epoch == self.cursor.epoch and placed.place.seq <= self.cursor.seq:
            return
        self.cursor = Cursor(placed.place.epoch, placed.place.seq)
        if isinstance(placed.event, MessageCreated):
            self.messages.append(placed.event.message)
        for reader in self._readers:
            reader.put_nowait(placed.event)

    def fail(self, error: ClientError) -> None:
        """No more events will come."""
        for reader in self._readers:
            reader.put_nowait(error)

    async def ask(
        self,
        text: str,
        *,
        images: Sequence[str] = (),
        tool: str | None = None,
        arguments: dict[str, Any] | None = None,
        client_message_id: str | None = None,
        **options: Any,
    ) -> AsyncGenerator[Event]:
        """Send a message and yield the events of its turn, up to and with ``TurnFinished``.

        Args:
            images: ids that ``Client.upload`` gave.
            options: ``max_tokens``, ``temperature``, ``top_p``, ``seed``.

        Raises:
            ServerRefused: the message was not accepted.
            ClientError: the server is gone for good.
        """
        events: asyncio.Queue[Event | ClientError] = asyncio.Queue()
        self._readers.add(events)
        try:
            fields: dict[str, Any] = {"tool": {"name": tool, "arguments": arguments or {}}} if tool else {}
            accepted = await self._command(
                "turn.submit",
                session_id=self.session_id,
                client_message_id=client_message_id or secrets.token_urlsafe(12),
                text=text,
                images=list(images),
                options=options,
                **fields,
            )
            turn_id = accepted["turn_id"]
            while True:
                event = await events.get()
                if isinstance(event, ClientError):
                    raise event
                if _turn_of(event) == turn_id:
                    yield event
                if isinstance(event, TurnFinished) and event.turn_id == turn_id:
                    return
        finally:
            self._readers.discard(events)

    async def answer(self, text: str, **asked: Any) -> str:
        """Ask, and return the whole text of the answer."""
        return "".join([event.text async for event in self.ask(text, **asked) if isinstance(event, TurnDelta)])

    async def cancel(self, turn_id: str, seen_chars: int = 0) -> None:
        """Stop a turn."""
        await self._command("turn.cancel", turn_id=turn_id, seen_chars=seen_chars)


def _turn_of(event: Event) -> str:
    return event.message.turn_id if isinstance(event, MessageCreated) else event.turn_id
