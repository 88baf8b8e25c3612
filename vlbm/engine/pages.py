"""Pages of a key-value cache, and which of them hold what another turn can begin with.

A page that is full is known by what was read up to its end (and by the pictures that it was read with), at once. When
its turn is over it is kept, until its room is needed: least recently used first. Turns that begin alike share pages. It
knows numbers of pages and digests, not tensors.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence


class Pages:
    """So many pages.

    Args:
        count: of pages.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"a cache needs at least one page, got {count}")
        self.count = count
        self._free = list(reversed(range(count)))
        self._users: dict[int, int] = {}
        self._by_digest: dict[bytes, int] = {}
        self._digest: dict[int, bytes] = {}
        self._kept: OrderedDict[int, None] = OrderedDict()  # used by no turn, the longest unused first

    @property
    def available(self) -> int:
        """Pages that no turn uses."""
        return len(self._free) + len(self._kept)

    def known(self, digests: Iterable[bytes]) -> list[int]:
        """The pages that hold the longest beginning; they are in use from now on."""
        found = list[int]()
        for digest in digests:
            page = self._by_digest.get(digest)
            if page is None:
                break
            self._kept.pop(page, None)
            self._users[page] = self._users.get(page, 0) + 1
            found.append(page)
        return found

    def take(self, many: int) -> list[int]:
        """Pages to write to.

        Raises:
            ValueError: there are not so many.
        """
        if many > self.available:
            raise ValueError(f"{many} pages were asked for, {self.available} are free")
        taken = list[int]()
        for _ in range(many):
            if self._free:
                page = self._free.pop()
            else:
                page, _ = self._kept.popitem(last=False)
                self._forget(page)
            self._users[page] = 1
            taken.append(page)
        return taken

    def fill(self, page: int, digest: bytes) -> None:
        """A page is full: what it holds is known by a digest. Where another holds the same, that one stays known."""
        if digest not in self._by_digest:
            self._by_digest[digest] = page
            self._digest[page] = digest

    def forget(self, pages: Iterable[int]) -> None:
        """What pages hold went wrong: nobody begins with it again."""
        for page in pages:
            if page in self._digest:
                self._forget(page)

    def release(self, pages: Sequence[int]) -> None:
        """A turn is over; what is known of its pages is kept, the end of it to be forgotten first."""
        for page in reversed(pages):
            self._users[page] -= 1
            if self._users[page]:
                continue
            del self._users[page]
            if page in self._digest:
                self._kept[page] = None
            else:
                self._free.append(page)

    def _forget(self, page: int) -> None:
        del self._by_digest[self._digest.pop(page)]


def digest(before: bytes, tokens: Sequence[int], pictures: str = "") -> bytes:
    """Of a full page and of all before it.

    Args:
        before: of the page before; empty at the first.
        tokens: of the page.
        pictures: what its tokens see, with which memory and question and from where on; empty where they see nothing.
    """
    made = hashlib.sha256(before)
    made.update(b"".join(token.to_bytes(4, "little") for token in tokens))
    made.update(pictures.encode())
    return made.digest()
