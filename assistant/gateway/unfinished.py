"""Uploads in the middle of which a client was lost, kept in memory for a while: it comes back and goes on from there.

They are this gateway's. On another one, or after a restart, an upload begins at its first byte.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from assistant.domain.errors import AssistantError
from assistant.gateway.wire.commands import ImageBegin

MOST_EACH = 8
"""So many unfinished uploads are kept for one owner; the oldest goes."""
MOST_BYTES = 128 * 1024 * 1024
"""So many bytes are kept for all owners together."""
KEPT_SECONDS = 600.0

Key = tuple[str, UUID]
"""Owner and upload id."""


@dataclass(slots=True)
class Upload:
    """A picture, as far as it came."""

    announced: ImageBegin
    data: bytearray = field(default_factory=bytearray)
    hasher: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    failure: AssistantError | None = None
    is_paid: bool = False
    """Its bytes were taken of what its owner may send, all of them."""

    def is_of(self, announced: ImageBegin) -> bool:
        """Whether these are the same bytes under the same id."""
        mine = self.announced
        return (mine.upload_id, mine.sha256, mine.bytes) == (announced.upload_id, announced.sha256, announced.bytes)


class Holder(Protocol):
    """A socket's uploads."""

    def give_up(self, announced: ImageBegin) -> Upload | None:
        """Hand over an upload, if it is of what was announced: its client has come back on another socket."""


class Unfinished:
    """What all sockets of a gateway have under way, and what lost sockets have left.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._held: dict[Key, Holder] = {}
        self._left: dict[Key, tuple[Upload, float]] = {}
        self._unsent: dict[str, int] = {}

    def take(self, owner: str, announced: ImageBegin, holder: Holder) -> Upload:
        """The upload as far as it came before, or a new one; ``holder`` has it from now on."""
        key = owner, announced.upload_id
        self._drop_old()
        found: Upload | None = None
        if key in self._left:
            found, _ = self._left.pop(key)
            if not found.is_of(announced):
                self.let_go(owner, found)
        elif key in self._held:  # a socket that is dead, but not found to be
            found = self._held[key].give_up(announced)
        self._held[key] = holder
        return found if found is not None and found.is_of(announced) else Upload(announced)

    def end(self, owner: str, upload_id: UUID, holder: Holder) -> None:
        """An upload is over."""
        if self._held.get((owner, upload_id)) is holder:
            del self._held[owner, upload_id]

    def leave(self, owner: str, upload: Upload, holder: Holder) -> None:
        """The socket of an upload is gone."""
        key = owner, upload.announced.upload_id
        if self._held.get(key) is not holder:
            return
        del self._held[key]
        if upload.failure is None and (upload.data or upload.is_paid):
            self._left[key] = upload, self._now()
            self._drop_old()

    def let_go(self, owner: str, upload: Upload) -> None:
        """An upload that will not go on."""
        if upload.is_paid and upload.failure is None:
            missing = upload.announced.bytes - len(upload.data)
            self._unsent[owner] = self._unsent.get(owner, 0) + missing

    def unsent(self) -> dict[str, int]:
        """Owners, and how many bytes of uploads of theirs were paid and will not come. Told once."""
        found, self._unsent = self._unsent, {}
        return found

    def _drop_old(self) -> None:
        """Let go what is too old, then the oldest of what is too much. The dictionary is in the order of time."""
        taken, each = 0, dict[str, int]()
        for key, (upload, at) in reversed(list(self._left.items())):
            taken += len(upload.data)
            each[key[0]] = each.get(key[0], 0) + 1
            if at < self._now() - KEPT_SECONDS or taken > MOST_BYTES or each[key[0]] > MOST_EACH:
                del self._left[key]
                self.let_go(key[0], upload)
