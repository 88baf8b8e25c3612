"""Who is there: an API key or a JSON Web Token says so; without one, somebody at this machine, where that is let in.

A browser sends any page's requests to 127.0.0.1, so that a foreign page could drive the assistant of whoever visits it:
the ``Origin`` must be one of those that are set, or the very host that is asked; and nobody is anonymous unless the
host that is asked is a name of this machine too (a rebound DNS name is not), and no proxy stands between.
"""

import asyncio
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from assistant.domain.access import ANONYMOUS, Identity, key_id_of
from assistant.domain.errors import InvalidRequest
from assistant.ports.keys import KeyStore
from assistant.ports.surroundings import Clock

log = logging.getLogger(__name__)
Anonymous = Literal["loopback", "anywhere", "never"]
KEY_PREFIX = "va_"
MOST_ADDRESSES = 10_000
"""So many addresses with failures are remembered."""
FAILURE_SECONDS = 0.25
"""Each failure of an address takes so much longer than the one before, and is forgotten after a minute of none."""
LONGEST_WAIT = 5.0
FORGET_SECONDS = 60.0
Headers = Callable[[str], list[str]]
"""All values that a request has of a header."""
_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of who sends it.

    Attributes:
        address: the other end of its connection.
        host: the ``Host`` that it asks; empty where there are several.
        origin: of the page that sends it; None for programs.
        proxied: it came through a proxy, so that the address says nothing of the client.
        bearer: the token of its ``Authorization`` header.
        cookie: the token of its cookie.
        secure: whether the browser asked by https, as far as a proxy says so.
    """

    address: str
    host: str
    origin: str | None = None
    proxied: bool = False
    bearer: str | None = None
    cookie: str | None = None
    secure: bool = False

    @classmethod
    def of(cls, socket: ServerConnection, request: Request) -> "Caller":
        """Whoever asks for a websocket, or for a page beside it."""
        return cls.read(str(socket.remote_address[0]) if socket.remote_address else "", request.headers.get_all)

    @classmethod
    def read(cls, address: str, headers: Headers) -> "Caller":
        """Whoever sends a request with these headers from this address."""
        host = only(headers, "Host") or ""
        scheme, _, credentials = (only(headers, "Authorization") or "").partition(" ")
        return cls(
            address=address,
            host=host,
            origin=only(headers, "Origin"),
            proxied=any(headers(name) for name in _PROXY_HEADERS),
            bearer=credentials.strip() if scheme.lower() == "bearer" else None,
            cookie=_cookie(headers, host),
            secure=only(headers, "X-Forwarded-Proto") == "https",
        )

    @property
    def token(self) -> str | None:
        """The token that came with the request itself."""
        return self.cookie if self.bearer is None else self.bearer


def only(headers: Headers, name: str) -> str | None:
    """A header that there may be one of; several count as an empty one, which fits nothing."""
    values = headers(name)
    return None if not values else values[0] if len(values) == 1 else ""


def cookie_name(host: str) -> str:
    """Name of the cookie; with the port, for browsers do not tell servers apart by it (RFC 6265, 8.5)."""
    try:
        return f"assistant-{urlsplit(f'//{host}').port or 'token'}"
    except ValueError:
        return "assistant-token"


def _cookie(headers: Headers, host: str) -> str | None:
    """Our cookie (RFC 6265, 5.4); others of this host may be of any form."""
    pairs = (pair.partition("=") for line in headers("Cookie") for pair in line.split(";"))
    return next((value.strip() for name, _, value in pairs if name.strip() == cookie_name(host)), None) or None


def is_loopback(address: str) -> bool:
    """Whether an IP address, or the name ``localhost``, is this machine."""
    if address == "localhost":
        return True
    try:
        parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def host_is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def host_is_allowed(host: str, origins: tuple[str, ...]) -> bool:
    """Whether a ``Host`` header may ask here: any, or with origins set one of theirs or of this machine."""
    if not origins or host_is_loopback(host):
        return bool(host)
    return host.lower() in (urlsplit(origin).netloc for origin in origins)


def origin_is_allowed(origin: str | None, host: str, origins: tuple[str, ...]) -> bool:
    """Whether a page of this origin may open a socket; programs send none (RFC 6454).

    Args:
        origins: those that may, in lower case; where there are none, the very host that is asked.
    """
    if origin is None:
        return True
    if origins:
        return origin.lower() in origins
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


class TokenVerifier(Protocol):
    """Reads tokens that somebody else has signed."""

    def check(self) -> None:
        """Whether keys can be had at all; may block. Raises ``Unavailable``."""

    async def verify(self, token: str) -> Identity:
        """Whoever the token stands for.

        Raises:
            InvalidRequest: it is not one of those that are taken.
            Unavailable: its keys cannot be had now.
        """


class Authenticator:
    """Finds out who is there. Whoever guesses wrongly waits; a right token is never kept waiting."""

    def __init__(
        self,
        keys: KeyStore,
        clock: Clock,
        *,
        anonymous: Anonymous = "loopback",
        origins: tuple[str, ...] = (),
        tokens: TokenVerifier | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._anonymous = anonymous
        self._tokens = tokens
        self._failures = Failures()
        self.origins = origins

    async def identify(self, token: str | None, caller: Caller) -> Identity:
        """Whoever a token stands for, or without one whoever is anonymous.

        Raises:
            InvalidRequest: nobody that is let in.
            Unavailable: it cannot be found out now.
        """
        if token is None:
            return self._nobody(caller)
        try:
            return await self._owner_of(token)
        except InvalidRequest as error:
            log.info("not let in from %s: %s", caller.address, error.code)
            await asyncio.sleep(self._failures.wait(caller.address))
            raise

    def _nobody(self, caller: Caller) -> Identity:
        here = is_loopback(caller.address) and host_is_loopback(caller.host) and not caller.proxied
        if self._anonymous == "anywhere" or (self._anonymous == "loopback" and here):
            return Identity(owner=ANONYMOUS)
        raise InvalidRequest(
            "auth_required",
            "This server wants a key: `assistant keys create`, run on it, makes one. "
            "Who is let in without one is set by ASSISTANT_ANONYMOUS.",
        )

    async def _owner_of(self, token: str) -> Identity:
        if token.startswith(KEY_PREFIX):
            identity = await self._of_key(token)
        elif self._tokens is not None:
            identity = await self._tokens.verify(token)
        else:
            raise refused()
        if identity.is_over(self._clock.now()):
            raise InvalidRequest("auth_expired", "This key or token has expired. Ask for a new one.")
        return identity

    async def _of_key(self, token: str) -> Identity:
        key_id = key_id_of(token)
        key = None if key_id is None else await self._keys.find(key_id)
        if key is None or not key.is_of(token):
            raise refused()
        return key.identity()


def refused() -> InvalidRequest:
    """A token that stands for nobody; why is not said to whoever may be guessing."""
    return InvalidRequest(
        "auth_invalid", "This server knows no such key or token, or it was revoked. Check that it is whole."
    )


class Failures:
    """How long the next failure of an address takes: longer each time, so that guessing is slow."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Count a failure; the seconds until it may be told."""
        now, name = time.monotonic(), _network(address)
        count, last = self._counts.pop(name, (0, now))
        count = count + 1 if now - last < FORGET_SECONDS else 1
        self._counts[name] = count, now
        while len(self._counts) > MOST_ADDRESSES:
            self._counts.popitem(last=False)
        return min((count - 1) * FAILURE_SECONDS, LONGEST_WAIT)


def _network(address: str) -> str:
    """Whom an address belongs to: in IPv6 whoever has one has at least 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
