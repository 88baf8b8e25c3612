"""Connections counted by address, from the first packet on: a flood is turned away before it costs a handshake.

Counts are this gateway's own, so that they hold while the store is away and end with the process.
"""

import asyncio
import ipaddress
import socket
from collections import Counter
from typing import Any, ClassVar

from websockets.asyncio.server import ServerConnection

REFUSE_SECONDS = 2.0
"""So long may a client that is turned away take to ask for something; then it is cut off without an answer."""
RETRY_SECONDS = 5
SEND_BUFFER = 256 * 1024
"""Bytes that the system keeps for a client that does not read; by itself it would take megabytes."""
_BODY = b"Too many connections from this address. Close some, or try again in %d s.\n" % RETRY_SECONDS
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (RETRY_SECONDS, len(_BODY), _BODY)
)


class Addresses:
    """How many connections each address has.

    Args:
        most: connections of one address; 0 is any number.
        most_unknown: of them those that have not authenticated, plain HTTP among them; 0 is any number.
    """

    def __init__(self, most: int = 0, most_unknown: int = 0) -> None:
        self._most = most
        self._most_unknown = most_unknown
        self._all: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()

    def enter(self, place: str) -> bool:
        """Count a connection that nobody has authenticated yet; False, and it is not counted, where it is too many."""
        if self._most and self._all[place] >= self._most:
            return False
        if self._most_unknown and self._unknown[place] >= self._most_unknown:
            return False
        self._all[place] += 1
        self._unknown[place] += 1
        return True

    def known(self, place: str) -> None:
        """One of them has authenticated."""
        _decrease(self._unknown, place)

    def leave(self, place: str, *, known: bool) -> None:
        """A connection that was counted is gone."""
        _decrease(self._all, place)
        if not known:
            _decrease(self._unknown, place)


def place_of(address: str) -> str:
    """What counts as one address: an IPv6 network of 64 bits, which is what one customer gets (RFC 6177), is one."""
    try:
        parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


class ClientSocket(ServerConnection):
    """A connection that is counted from its first packet to its end, in the ``addresses`` of its class."""

    addresses: ClassVar[Addresses]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._place: str | None = None
        self._known = False

    def known(self) -> None:
        """Somebody has authenticated on it: the headers of the handshake, 4 KB a connection, are needed no more."""
        if self.request is not None and self.response is not None:
            self.request.headers.clear()
            self.response.headers.clear()
        if self._place is not None and not self._known:
            self._known = True
            self.addresses.known(self._place)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        place = place_of(peer[0]) if isinstance(peer, tuple) else "local"
        if not self.addresses.enter(place):
            refuse(transport)
            return
        self._place = place
        if isinstance(peer, tuple):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._place is not None:
            self.addresses.leave(self._place, known=self._known)
        super().connection_lost(exc)


class _Refusing(asyncio.Protocol):
    """Answers whatever is asked with 429: a client that was not read to is told nothing but a reset."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(REFUSE_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_REFUSAL)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()


def refuse(transport: asyncio.BaseTransport) -> None:
    """Turn a connection away that is one too many."""
    assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream server
    transport.set_protocol(_Refusing(transport))


def counted(counts: Addresses) -> type[ClientSocket]:
    """The connections of a server that counts them here: ``create_connection`` of websockets."""

    class Counted(ClientSocket):
        addresses = counts

    return Counted


def _decrease(counter: Counter[str], place: str) -> None:
    counter[place] -= 1
    if counter[place] <= 0:
        del counter[place]
