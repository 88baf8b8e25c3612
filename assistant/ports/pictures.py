"""Where pictures are kept: what is known of each, and its bytes."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture after intake. ``sha256`` is of the bytes kept, ``source_sha256`` of the bytes sent.

    ``animated``: only the first frame of what was sent is kept.
    """

    image_id: str
    sha256: str
    source_sha256: str
    width: int
    height: int
    resized: bool
    animated: bool = False


class PictureStore(Protocol):
    """Keeps the pictures of owners. A picture that is not the owner's is ``NotFound``."""

    async def add(self, owner: str, picture: StoredPicture, data: bytes) -> None:
        """Keep a picture durably under its id. Raises ``LimitReached`` as ``check_room``."""

    async def check_room(self, owner: str, size: int) -> None:
        """Raises ``LimitReached`` where so many bytes more are more than an owner may keep."""

    async def find(self, owner: str, source_sha256: str) -> StoredPicture | None:
        """The picture that this owner has sent before, by the hash of what was sent."""

    async def get(self, owner: str, image_id: str) -> StoredPicture:
        """What is known of a picture. Raises ``NotFound``."""

    async def data(self, picture: StoredPicture) -> bytes:
        """The bytes kept, JPEG or PNG. Raises ``NotFound`` when they are gone."""

    async def use(self, owner: str, session_id: str, image_ids: Sequence[str]) -> list[StoredPicture]:
        """Pictures that become part of a conversation, and are kept as long as it. Raises ``NotFound``."""

    async def release(self, owner: str, session_id: str, keep: Collection[str] = ()) -> None:
        """Forget the pictures that only this conversation of the owner uses, but for those in ``keep``.

        Bytes that nobody has any more go with them, and what was made of them (``Seen``), wherever it is.
        """


class Seen(Protocol):
    """What was made of pictures so that it need not be made again."""

    async def forget(self, sha256: str) -> None:
        """Drop all that was made of a picture."""


class BlobStore(Protocol):
    """Keeps bytes under their SHA-256."""

    async def put(self, sha256: str, data: bytes) -> None:
        """Keep the bytes; once this returns they survive a crash of the process."""

    async def get(self, sha256: str) -> bytes | None:
        """The bytes, or None."""

    async def exists(self, sha256: str) -> bool:
        """Whether ``get`` would give bytes, without reading them. As there, what is asked for is kept on."""

    async def set_aside(self, sha256: str) -> str | None:
        """Take the bytes from their place, so that ``put`` keeps new ones. What they are called now; None: there are
        none."""

    async def put_back(self, sha256: str, aside: str) -> None:
        """Bytes that were set aside are wanted after all."""

    def hashes(self) -> AsyncIterator[str]:
        """All that is kept; what comes or goes meanwhile may be in it. Tidies what a crash has left."""

    async def discard(self, sha256: str, aside: str) -> None:
        """Forget bytes that were set aside."""
