"""A campaign: clients talk while parts of the service are killed at random points; all is recorded.

``make faults`` runs the long one and writes docs/faults.md (see ``report``).
"""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import Any

from assistant.bootstrap import open_stores
from assistant.client import Client
from assistant.client.errors import ClientError, ServerRefused
from assistant.client.session import Session
from tests.faults.history import Acked, Complaint, Fault, History, Invoked, Recovered, Seen
from tests.faults.system import System

KINDS = ("gateway", "worker", "redis", "all")
CLIENTS = 4
TWICE = 0.3
"""Share of messages that a client sends twice at once."""
DROPPED = 0.2
"""Share of turns in which a client loses its connection by itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to the service.

    Attributes:
        kills: of each kind.
        round: after so many kills in a row all turns may end, undisturbed.
        patience: seconds for which a client waits for an end, faults included.
        pause: between the recovery from a kill and the next, seconds.
    """

    kills: int
    kinds: tuple[str, ...] = KINDS
    round: int = 40
    patience: float = 120.0
    pause: tuple[float, float] = (0.1, 0.9)
    seed: int = 0


class Recording(Client):
    """The SDK's client; what it sends, is told and receives is recorded.

    Args:
        chooser: chooses what is sent twice at once, as by one who does not trust his connection; None chooses nothing.
    """

    def __init__(self, name: str, url: str, history: History, chooser: random.Random | None = None) -> None:
        super().__init__(url, patience=120.0)
        self._name = name
        self._history = history
        self._chooser = chooser

    async def command(self, kind: str, **fields: Any) -> dict[str, Any]:
        if kind != "turn.submit":
            return await super().command(kind, **fields)
        told = self._name, fields["session_id"], fields["client_message_id"]
        self._history.records.append(Invoked(*told, time.time()))
        times = 2 if self._chooser and self._chooser.random() < TWICE else 1
        send = super().command
        acks = await asyncio.gather(*(send(kind, **fields) for _ in range(times)))
        for ack in acks:
            self._history.records.append(Acked(*told, ack["turn_id"], time.time()))
        return acks[0]

    def _on_event(self, frame: dict[str, Any], text: str) -> None:
        self._history.records.append(Seen(self._name, str(frame["session_id"]), text, time.time()))
        super()._on_event(frame, text)


class Talk:
    """One client that asks one question after another, and may be told to wait."""

    def __init__(self, name: str, url: str, history: History, plan: Plan) -> None:
        self._name = name
        self._chooser = random.Random(f"{plan.seed} {name}")
        self._history = history
        self._client = Recording(name, url, history, self._chooser)
        self._patience = plan.patience
        self._asked = 0
        self.session_id = ""
        self.go = asyncio.Event()
        self.idle = asyncio.Event()
        self.over = False

    async def run(self) -> None:
        """Talk until it is over."""
        async with self._client:
            session = await self._client.open()
            self.session_id = session.session_id
            while not self.over:
                self.idle.set()
                await self.go.wait()
                self.idle.clear()
                if not self.over:
                    await self._ask(session)

    async def _ask(self, session: Session) -> None:
        """One question. A client that was refused for now asks the same again; one that waits in vain gives up."""
        self._asked += 1
        key = f"{self._name}-{self._asked}"
        dropper = asyncio.create_task(self._drop()) if self._chooser.random() < DROPPED else None
        try:
            async with asyncio.timeout(self._patience):
                while not await self._answered(session, key):
                    pass
        except (TimeoutError, ClientError) as error:
            text = f"{key} got {error or 'no end in time'}"
            self._history.records.append(Complaint(self._name, text, time.time()))
        if dropper is not None:
            await asyncio.gather(dropper, return_exceptions=True)

    async def _answered(self, session: Session, key: str) -> bool:
        """Ask and read to the end, or wait until it may be asked again, where the server cannot answer now."""
        try:
            async with contextlib.aclosing(session.ask(key, client_message_id=key)) as events:
                async for _ in events:
                    pass
        except ServerRefused as error:
            if error.retry_after is None:
                raise
            await asyncio.sleep(error.retry_after / 4)
            return False
        return True

    async def _drop(self) -> None:
        await asyncio.sleep(self._chooser.uniform(0.0, 0.2))
        await self._client.drop()


async def run(system: System, plan: Plan) -> History:
    """Kill, and let live; what happened."""
    history = History()
    chooser = random.Random(plan.seed)
    kinds = [*plan.kinds] * plan.kills
    chooser.shuffle(kinds)
    talks = [Talk(f"client{number}", system.url, history, plan) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(talk.run()) for talk in talks]
    for talk in talks:
        talk.go.set()
    try:
        for number, kind in enumerate(kinds, 1):
            await asyncio.sleep(chooser.uniform(*plan.pause))
            history.records.append(Fault(kind, time.time()))
            await system.kill(kind)
            await system.start()
            history.records.append(Recovered(time.time()))
            if number % plan.round == 0 or number == len(kinds):
                await _calm(talks, plan.patience)
        for talk in talks:
            talk.over = True
            talk.go.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await read_logs(system, history, [talk.session_id for talk in talks])
    return history


async def _calm(talks: list[Talk], patience: float) -> None:
    """Wait, for so long at most, until every client has its answer."""
    for talk in talks:
        talk.go.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            for talk in talks:
                await talk.idle.wait()
    for talk in talks:
        talk.go.set()


async def read_logs(system: System, history: History, sessions: list[str]) -> None:
    """Read what is kept, from Redis itself."""
    async with open_stores(system.redis.url, None) as stores:
        for session_id in sessions:
            log: list[str] = []
            after = 0
            while entries := await stores.conversations.read(session_id, after):
                log += [entry.json for entry in entries]
                after = entries[-1].seq
            history.logs[session_id] = log
