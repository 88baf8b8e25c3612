"""Connections that drop in the middle of answers: one client asks, another comes and goes, from cursors of its past."""

import asyncio
import contextlib
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from assistant.client import Client
from assistant.client.session import Session
from tests.e2e.raw import Raw

FAR_BACK = 40
"""A cursor lies at most so many events back."""
Frame = dict[str, Any]


@dataclass(slots=True)
class Seen:
    """What the second client saw, over all its connections.

    Attributes:
        events: by number.
        drops: connections that it lost in the middle of an answer.
    """

    events: dict[int, Frame] = field(default_factory=dict)
    drops: int = 0

    def take(self, frame: Frame) -> None:
        """Keep an event. Raises ``AssertionError`` if its number stood for another."""
        assert self.events.setdefault(frame["seq"], frame) == frame

    def texts(self) -> dict[str, tuple[str, str]]:
        """Turns that ended: their deltas joined, and their message."""
        joined: dict[str, str] = defaultdict(str)
        messages: dict[str, str] = {}
        for seq in sorted(self.events):
            event = self.events[seq]
            if event["type"] == "turn.delta":
                joined[event["turn_id"]] += event["text"]
            elif event["type"] == "message.created" and event["message"]["role"] == "assistant":
                parts = event["message"]["parts"]
                messages[event["message"]["turn_id"]] = "".join(part["text"] for part in parts)
        return {turn: (joined[turn], message) for turn, message in messages.items()}


async def run(url: str, drops: int, seed: int = 0) -> Seen:
    """Drop so many connections; what was seen.

    Raises:
        AssertionError: an event was missing, came out of order or was another than before.
    """
    seen, chooser = Seen(), random.Random(seed)
    async with Client(url) as client:
        session = await client.open()
        asking = asyncio.create_task(_ask(session))
        try:
            while seen.drops < drops:
                await _visit(url, session, seen, chooser)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    return seen


async def _ask(session: Session) -> None:
    asked = 0
    while True:
        asked += 1
        await session.answer(f"question {asked}")


async def _visit(url: str, session: Session, seen: Seen, chooser: random.Random) -> None:
    """Come back at a cursor of the past, read a few events and drop the connection."""
    last = max(seen.events, default=0)
    start = chooser.randint(max(0, last - FAR_BACK), last)
    async with contextlib.aclosing(_reading(url, session, start)) as events:
        frame: Frame = {}
        for number in range(last - start + chooser.randint(1, 6)):
            frame = await anext(events)
            assert frame["seq"] == start + 1 + number, "an event is missing or out of order"
            seen.take(frame)
    seen.drops += frame["type"] in ("turn.started", "turn.delta")


async def _reading(url: str, session: Session, start: int) -> Any:
    """Events after a cursor; closing this drops the connection without a word."""
    async with Raw(url) as raw:
        cursor = {"epoch": session.cursor.epoch, "seq": start}
        await raw.command("session.open", session_id=session.session_id, cursor=cursor)
        try:
            for frame in raw.events:
                yield frame
            while True:
                yield await raw.receive()
        finally:
            raw.socket.transport.abort()


async def submit_at_once(url: str, connections: int) -> tuple[set[str], list[str]]:
    """Send one message on so many connections at once: the turns of the acks, and the roles of all messages."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(url)) for _ in range(connections)]
        session = await clients[0].open()
        fields = {"session_id": session.session_id, "client_message_id": "once", "text": "hello"}
        acks = await asyncio.gather(*(client.command("turn.submit", **fields) for client in clients))
        await session.answer("hello", client_message_id="once")
        return {ack["turn_id"] for ack in acks}, [message.role for message in session.messages]
