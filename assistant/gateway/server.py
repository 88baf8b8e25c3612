"""The gateway: listens, shakes hands, and gives each client a ``Peer``."""

import contextlib
import errno
import logging
from collections.abc import AsyncIterator, Callable

from websockets.asyncio.server import ServerConnection, serve

from assistant.domain.errors import Unavailable
from assistant.gateway.addresses import Addresses, ClientSocket, counted
from assistant.gateway.http import HttpRequests
from assistant.gateway.peer import Peer
from assistant.gateway.wire.frame import CLOSE_RESTART, FRAME_BYTES, SUBPROTOCOL
from assistant.version import SERVER

_log = logging.getLogger("assistant.gateway.websockets")
_log.addFilter(lambda record: record.levelno > logging.DEBUG)  # there frames are logged, with what users say

BACKLOG = 2048
"""Connections that the system keeps for us while the loop is busy; everybody may come back in the same second."""

WRITE_LIMIT = 4096
"""Bytes that wait here for a client whose system takes no more; then nothing more is read for it."""


@contextlib.asynccontextmanager
async def listening(
    host: str,
    port: int,
    requests: HttpRequests,
    make_peer: Callable[[ClientSocket], Peer],
    addresses: Addresses,
) -> AsyncIterator[int]:
    """Serve while the context is open; the value is the port, which port 0 leaves to the system.

    On leaving, sockets are closed with 1012: clients resume elsewhere or after the restart.

    Raises:
        Unavailable: the address is in use or is not this machine's.
    """

    async def handle(socket: ServerConnection) -> None:
        assert isinstance(socket, ClientSocket)  # noqa: S101 - made by ``counted``
        await make_peer(socket).run()

    try:
        server = await serve(
            handle,
            host,
            port,
            create_connection=counted(addresses),
            process_request=requests,
            subprotocols=[SUBPROTOCOL],
            compression=None,  # deflate triples the memory of an idle connection
            max_size=FRAME_BYTES,
            backlog=BACKLOG,
            write_limit=WRITE_LIMIT,
            server_header=SERVER,
            logger=_log,
        )
    except OSError as error:
        raise Unavailable("cannot_listen", why_not(host, port, error)) from error
    try:
        yield next(iter(server.sockets)).getsockname()[1]
    finally:
        server.close(code=CLOSE_RESTART, reason="restarting")
        await server.wait_closed()


def why_not(host: str, port: int, error: OSError, option: str = "--port") -> str:
    """Why an address cannot be listened on, and what to do; ``option`` is the one that says its port."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: stop what uses it, or give another port by {option}."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user: give a port above 1023 by {option}."
    return f"Cannot listen on {host}:{port}: {error.strerror or error}."
