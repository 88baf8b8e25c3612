"""Who may do what: API keys, their form, and the identity that a token stands for. Pure.

A key is ``va_``, 12 letters and digits that name it, 43 that are the secret (256 random bits), and 6 that are the
CRC-32 of all before them, so that a scanner of leaked secrets, and this program, can tell a key from what only looks
like one.
"""

import hashlib
import hmac
import re
import string
import zlib
from datetime import datetime
from typing import Literal, get_args

from assistant.domain.errors import InvalidRequest
from assistant.domain.model import Value

ANONYMOUS = "anonymous"
"""The owner of everything that clients without a token keep here."""
Scope = Literal["read", "chat"]
"""``read``: follow conversations, see pictures, list memories; ``chat``: everything that an owner may do."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYTHING: frozenset[Scope] = frozenset(SCOPES)
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Of signed tokens, those that may be set: with a public key. Were it a secret, who checks could sign as well."""

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID, _SECRET, _CHECK = 12, 43, 6
_KEY = re.compile(rf"va_([0-9A-Za-z]{{{_ID}}})([0-9A-Za-z]{{{_SECRET}}})([0-9A-Za-z]{{{_CHECK}}})")
_OWNER = re.compile(r"[0-9A-Za-z._~@:+|%=,/-]{1,256}")
_OWNER_WORDS = "1 to 256 letters, digits and . _ ~ @ : + | % = , / -"


class Identity(Value):
    """Whoever a token stands for.

    Attributes:
        scopes: what may be done; ``chat`` contains ``read``.
        key_id: of the API key, while which is kept the identity holds; None where there is none to revoke.
        expires_at: when the identity ends by itself.
    """

    owner: str
    scopes: frozenset[Scope] = EVERYTHING
    key_id: str | None = None
    expires_at: datetime | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or "chat" in self.scopes

    def check(self, scope: Scope) -> None:
        """Raises ``InvalidRequest`` where this may not be done."""
        if not self.may(scope):
            raise InvalidRequest("scope_missing", f"This key may not do this: it takes one with the scope {scope}.")

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class ApiKey(Value):
    """An API key as it is kept: without its secret.

    Attributes:
        digest: SHA-256 of the whole key, in hexadecimal.
        name: what the key is for, in the words of whoever made it.
    """

    key_id: str
    digest: str
    name: str
    owner: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None

    def is_of(self, token: str) -> bool:
        """Whether a token is this very key; takes as long whatever is wrong with it."""
        return hmac.compare_digest(self.digest, digest(token))

    def identity(self) -> Identity:
        return Identity(owner=self.owner, scopes=self.scopes, key_id=self.key_id, expires_at=self.expires_at)


def write_key(name: bytes, secret: bytes) -> tuple[str, str]:
    """A key and its id.

    Args:
        name: 8 random bytes or more; they name the key and are no secret.
        secret: 32 random bytes.
    """
    key_id = _base62(int.from_bytes(name), _ID)
    body = f"va_{key_id}{_base62(int.from_bytes(secret), _SECRET)}"
    return body + _check(body), key_id


def key_id_of(token: str) -> str | None:
    """The id of the key that a token looks like; None where it cannot be one."""
    found = _KEY.fullmatch(token)
    return found[1] if found and _check(token[:-_CHECK]) == found[3] else None


def digest(token: str) -> str:
    """What is kept of a key. A plain hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def check_owner(owner: str) -> str:
    """An owner's name, which becomes part of the names of what is kept.

    Raises:
        InvalidRequest: it has other characters than are taken, or too many.
    """
    if not _OWNER.fullmatch(owner):
        raise InvalidRequest("owner_invalid", f"An owner is {_OWNER_WORDS}.")
    return owner


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK)


def _base62(number: int, length: int) -> str:
    """The lowest digits of a number, ``length`` of them."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(DIGITS))
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))
