"""Sockets that are open under a key or a token: closed when it is revoked or has expired."""

import asyncio
import logging
from typing import Protocol

from assistant.domain.access import Identity
from assistant.domain.errors import Unavailable, trace
from assistant.ports.keys import KeyStore
from assistant.ports.surroundings import Clock

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
"""So often is looked without a ring: a ring may be lost, and tokens expire without one."""


class Dismissable(Protocol):
    """The one end of a socket that is ours."""

    async def dismiss(self, reason: str) -> None:
        """Carry out nothing more, and close for good."""


class LiveSockets:
    """The sockets of this gateway that may have to end."""

    def __init__(self, keys: KeyStore, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._identities: dict[Dismissable, Identity] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def add(self, peer: Dismissable, identity: Identity) -> None:
        """A socket is open under this identity."""
        if identity.key_id is not None or identity.expires_at is not None:
            self._identities[peer] = identity

    def discard(self, peer: Dismissable) -> None:
        """The socket is closed."""
        self._identities.pop(peer, None)

    async def watch(self) -> None:
        """Look at every ring, and every few seconds; never returns."""
        async with self._keys.watch() as bell:
            while True:
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await bell.wait()
                except TimeoutError:
                    pass
                try:
                    await self._look()
                except Unavailable:  # nothing is read or written meanwhile either
                    log.warning("the store does not answer: revoked keys are looked for later")
                except Exception as error:  # whatever it is: revoked keys are looked for again
                    log.error("revoked keys could not be looked for: %s", trace(error))

    async def _look(self) -> None:
        now = self._clock.now()
        asked = dict(self._identities)  # a copy: sockets come and go while the store answers
        for peer, identity in asked.items():
            if identity.is_over(now):
                self._end(peer, "token expired")
        kept = await self._keys.kept({one.key_id for one in asked.values() if one.key_id is not None})
        for peer, identity in asked.items():
            if identity.key_id is not None and identity.key_id not in kept and peer in self._identities:
                self._end(peer, "token revoked")

    def _end(self, peer: Dismissable, reason: str) -> None:
        log.info("a socket is closed: %s", reason)
        self.discard(peer)
        ending = asyncio.create_task(peer.dismiss(reason), name="dismiss")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
