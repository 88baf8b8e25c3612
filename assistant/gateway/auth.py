"""Who may connect: anonymous clients from this machine, and pages of this origin only.

A browser sends any page's requests to 127.0.0.1, so that a foreign page could drive the assistant of whoever visits it:
the ``Origin`` must be the very host that is asked, and while anonymous clients are let in from loopback only, that host
must be a name of this machine (a rebound DNS name is not).
"""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from assistant.domain.errors import InvalidRequest

Anonymous = Literal["loopback", "anywhere"]
ANONYMOUS_OWNER = "anonymous"


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


def host_is_allowed(host: str, anonymous: Anonymous) -> bool:
    """Whether a ``Host`` header may ask here."""
    if anonymous == "anywhere":
        return True
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def origin_is_allowed(origin: str | None, host: str) -> bool:
    """Whether a page of this origin may open a socket; programs send none (RFC 6454)."""
    if origin is None:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def authenticate(token: str | None, address: str, anonymous: Anonymous) -> str:
    """The owner behind a connection.

    Raises:
        InvalidRequest: a token, where there are no keys yet, or an anonymous client from another machine.
    """
    if token is not None:
        raise InvalidRequest("auth_invalid", "This server knows no such token. Connect without one from its machine.")
    if anonymous == "loopback" and not is_loopback(address):
        raise InvalidRequest(
            "auth_required",
            "Anonymous clients are let in from the server's own machine only; see ASSISTANT_ANONYMOUS in the README.",
        )
    return ANONYMOUS_OWNER
