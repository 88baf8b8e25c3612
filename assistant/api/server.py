"""The API's server: uvicorn on a socket of our own, within the event loop of whoever runs it.

Beyond what uvicorn does, connections are counted by address from their first packet, and those are ended that send no
whole request or do not read what they asked for.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from assistant.domain.errors import Unavailable
from assistant.gateway.addresses import SEND_BUFFER, Addresses, place_of, refuse
from assistant.gateway.pace import Pace
from assistant.gateway.server import BACKLOG, why_not

HEAD_SECONDS = 10.0
"""So long may the head of a request take."""
READ_SECONDS = 10.0
"""A client that takes nothing of what is sent for so long is let go."""
IDLE_SECONDS = 15
GRACE_SECONDS = 5
"""So long may requests take that are being answered when the server stops."""
HEAD_BYTES = 32 * 1024


class _Connection(H11Protocol):
    """A connection that is counted in the ``addresses`` of its class, and has to keep moving.

    Its requests have it as ``connection`` of their state.
    """

    addresses: ClassVar[Addresses]
    requests_per_second: ClassVar[float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.app_state = {**self.app_state, "connection": self}
        self._pace = Pace(self.requests_per_second, self.loop.time())
        self._place: str | None = None
        self._known = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def delay(self) -> float:
        """Count a request; for so many seconds it is to wait."""
        return self._pace.delay(self.loop.time())

    def known(self) -> None:
        """Somebody has said on it who it is."""
        if self._place is not None and not self._known:
            self._known = True
            self.addresses.known(self._place)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        peer = transport.get_extra_info("peername")
        place = place_of(peer[0]) if isinstance(peer, tuple) else "local"
        if not self.addresses.enter(place):
            refuse(transport)
            return
        self._place = place
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._place is None:
            return
        self.addresses.leave(self._place, known=self._known)
        self._place = None
        for timer in self._timers.values():
            timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start("reading", READ_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop("reading")

    def _await_head(self) -> None:
        """While there is no request, its head has to be whole in time; of a body that was refused nothing more is."""
        if self.cycle is None or self.cycle.response_complete:
            self._start("head", HEAD_SECONDS)
        else:
            self._stop("head")

    def _start(self, name: str, seconds: float) -> None:
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, self.transport.abort)

    def _stop(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it, and has streams ended that would never end by themselves."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def listening(
    host: str,
    port: int,
    app: ASGIApp,
    addresses: Addresses,
    stopping: Callable[[], None],
    *,
    requests_per_second: float = 0.0,
) -> AsyncIterator[int]:
    """Serve while the context is open; the value is the port, which port 0 leaves to the system.

    On leaving, what is being answered is answered.

    Args:
        stopping: ends streams; called before.
        requests_per_second: that are answered on one connection, later ones later; 0 is any number.

    Raises:
        Unavailable: the address is in use or is not this machine's.
    """

    class Counted(_Connection):
        pass

    Counted.addresses, Counted.requests_per_second = addresses, requests_per_second
    config = uvicorn.Config(
        app,
        http=Counted,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # warnings are about bytes that are no HTTP, of which strangers send many
        access_log=False,
        proxy_headers=False,  # who is let in without a key depends on the address
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    sockets = _bound(host, port)
    server = _Server(config, stopping)
    serving = asyncio.create_task(server.serve(sockets), name="http api")
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def _bound(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on all addresses of a host, on one port."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets: list[socket.socket] = []
        for family, _, _, _, address in dict.fromkeys(found):
            number = port or (sockets[0].getsockname()[1] if sockets else 0)
            sockets.append(socket.create_server((address[0], number), family=family, backlog=BACKLOG))
    except OSError as error:
        raise Unavailable("cannot_listen", why_not(host, port, error, "--api-port")) from error
    return sockets
