"""What an owner teaches: take it in, list it, forget it.

Nothing looks at a picture here: whoever takes it in may have no model. That is done when an answer first needs it (see
``recall``).
"""

from assistant.domain.errors import NotFound
from assistant.domain.memories import Memory, memory_id, what_it_shows
from assistant.ports.memories import MemoryStore
from assistant.ports.pictures import PictureStore
from assistant.ports.surroundings import Clock

DEFAULT_LANGUAGE = "en"


class Memories:
    """What clients may do with the memory of their owner."""

    def __init__(self, store: MemoryStore, pictures: PictureStore, clock: Clock) -> None:
        self._store = store
        self._pictures = pictures
        self._clock = clock

    async def add(self, owner: str, image_id: str, text: str, language: str | None) -> tuple[Memory, int]:
        """Remember what a picture shows; how many are remembered now.

        Raises:
            InvalidRequest: nothing is said of it.
            LimitReached: too much is said, or too much is remembered.
            NotFound: the picture is not this owner's.
        """
        shown, tag = what_it_shows(text), (language or DEFAULT_LANGUAGE).lower()
        picture = await self._pictures.get(owner, image_id)
        memory = Memory(
            memory_id=memory_id(picture.sha256, tag),
            text=shown,
            language=tag,
            image_id=image_id,
            sha256=picture.sha256,
            added_at=self._clock.now(),
        )
        return memory, await self._store.add(owner, memory)

    async def all(self, owner: str) -> list[Memory]:
        """What is remembered, in the order in which it was taught."""
        return await self._store.memories(owner)

    async def remove(self, owner: str, name: str) -> list[Memory]:
        """Forget what is meant by an id, or all pictures that show what is said. What it was.

        Raises:
            NotFound: this owner has taught nothing of that name.
        """
        said = what_it_shows(name).casefold()
        known = await self._store.memories(owner)
        meant = [memory for memory in known if memory.memory_id == name or memory.text.casefold() == said]
        if not await self._store.remove(owner, [memory.memory_id for memory in meant]):
            raise NotFound(
                "memory_not_found", "Nothing of this name is remembered. List what is, and name it as it is listed."
            )
        return meant
