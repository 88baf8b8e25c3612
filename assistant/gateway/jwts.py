"""JSON Web Tokens of an OpenID Connect provider (RFC 7519, RFC 8725): issuer, audience and algorithms are pinned.

The keys that sign them come from a JSON Web Key Set, a file or a URL, and never from anything that the token says.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError, PyJWKSetError, PyJWTError

from assistant.domain.access import EVERYTHING, SCOPES, Identity, Scope, check_owner
from assistant.domain.errors import InvalidRequest, Unavailable
from assistant.gateway.auth import TokenVerifier, refused

log = logging.getLogger(__name__)
LEEWAY_SECONDS = 10.0
"""So far may the clocks be apart."""
FETCH_SECONDS = 5.0
CACHE_SECONDS = 600.0


class KeySet(Protocol):
    """The keys that tokens may be signed with. May block."""

    def find(self, key_id: str | None) -> PyJWK | None:
        """The key of an id; without one the only key there is. Raises ``Unavailable``."""


class FileKeys(KeySet):
    """A JSON Web Key Set in a file; it is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = -1
        self._keys: list[PyJWK] = []

    def find(self, key_id: str | None) -> PyJWK | None:
        try:
            if (changed := self._path.stat().st_mtime_ns) != self._changed:
                self._keys = PyJWKSet.from_json(self._path.read_text(encoding="utf-8")).keys
                self._changed = changed
        except (OSError, ValueError, AttributeError, PyJWTError) as error:  # AttributeError: of JSON that is no object
            raise _unavailable(error) from error
        return _pick(self._keys, key_id)


class UrlKeys(KeySet):
    """A JSON Web Key Set at a URL, cached; an unknown id has it fetched again, but not time and again."""

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, lifespan=CACHE_SECONDS, timeout=FETCH_SECONDS)

    def find(self, key_id: str | None) -> PyJWK | None:
        try:
            keys = self._client.get_signing_keys()
        except (PyJWKClientError, PyJWKSetError, ValueError) as error:
            raise _unavailable(error) from error
        if key_id is None:
            return _pick(keys, None)
        try:
            return self._client.get_signing_key(key_id)
        except (PyJWKClientConnectionError, PyJWKSetError, ValueError) as error:
            raise _unavailable(error) from error
        except PyJWKClientError:  # there is no such key
            return None


class JwtVerifier(TokenVerifier):
    """Takes the tokens of one issuer for one audience.

    Args:
        algorithms: of ``domain.access.ALGORITHMS``.
    """

    def __init__(self, issuer: str, audience: str, algorithms: tuple[str, ...], keys: KeySet) -> None:
        self._issuer = issuer
        self._audience = audience
        self._algorithms = algorithms
        self._keys = keys

    def check(self) -> None:
        self._keys.find(None)

    async def verify(self, token: str) -> Identity:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:
                raise refused()
            key = await asyncio.to_thread(self._keys.find, header.get("kid"))
            if key is None:
                raise refused()
            return _identity(self._claims(token, key))
        except (PyJWTError, TypeError, ValueError, OverflowError, OSError) as error:  # OSError: of a year beyond all
            log.info("a token was refused: %s", type(error).__name__)
            raise refused() from None

    def _claims(self, token: str, key: PyJWK) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(self._algorithms),
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidRequest("auth_expired", "This token has expired. Ask for a new one.") from None


def _identity(claims: Mapping[str, Any]) -> Identity:
    """Whoever the claims name. Owners of tokens are told apart from those of keys by how their names begin."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise refused()
    return Identity(
        owner=check_owner(f"jwt:{quote(subject, safe='._~@:+|=,/-')}"),
        scopes=_scopes(claims),
        expires_at=datetime.fromtimestamp(int(claims["exp"]) + LEEWAY_SECONDS, UTC),
    )


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """Those of ours that the token names (RFC 8693, 4.2); all where it names none of them."""
    named = claims.get("scope", claims.get("scp", ""))
    words = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
    return frozenset(scope for scope in SCOPES if scope in words) or EVERYTHING


def _pick(keys: list[PyJWK], key_id: str | None) -> PyJWK | None:
    signing = [key for key in keys if key.public_key_use in (None, "sig")]
    if key_id is None:
        return signing[0] if len(signing) == 1 else None
    return next((key for key in signing if key.key_id == key_id), None)


def _unavailable(error: Exception) -> Unavailable:
    log.warning("the keys of tokens cannot be read: %s", type(error).__name__)
    return Unavailable("auth_unavailable", "Tokens cannot be checked now. Try again.", retry_after=5.0)
