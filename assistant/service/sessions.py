"""What owners do with their conversations beside talking: list, rename, delete them and take them along."""

from assistant.domain.errors import InvalidRequest
from assistant.domain.sessions import MOST_TITLE_CHARACTERS, SessionPage
from assistant.ports.conversations import ConversationStore
from assistant.ports.memories import MemoryStore
from assistant.ports.pictures import PictureStore, Seen


class Sessions:
    """What clients may do with the conversations of their owner.

    Args:
        seen: what an engine of this process has made of pictures, if there is one.
    """

    def __init__(
        self,
        conversations: ConversationStore,
        pictures: PictureStore,
        memories: MemoryStore,
        seen: Seen | None = None,
    ) -> None:
        self._conversations = conversations
        self._pictures = pictures
        self._memories = memories
        self._seen = seen

    async def page(self, owner: str, before: str | None, limit: int) -> SessionPage:
        """Conversations, newest first. Raises ``InvalidRequest``."""
        return await self._conversations.sessions(owner, before, limit)

    async def rename(self, owner: str, session_id: str, title: str) -> str:
        """Give a conversation a title, on one line; the title as it is kept.

        Raises:
            InvalidRequest: nothing is left of it, or it is too long.
            NotFound: no such conversation of this owner.
        """
        title = " ".join(title.split())
        if not title:
            raise InvalidRequest("title_empty", "Give the conversation a title.")
        if len(title) > MOST_TITLE_CHARACTERS:
            raise InvalidRequest(
                "title_too_long",
                f"The title has {len(title)} characters; at most {MOST_TITLE_CHARACTERS} are kept. Shorten it.",
            )
        await self._conversations.rename(owner, session_id, title)
        return title

    async def delete(self, owner: str, session_id: str) -> None:
        """Delete a conversation, and the pictures that nothing else of this owner needs.

        Pictures go first: where this is cut off, the conversation is still there to be deleted again.

        Raises:
            NotFound: no such conversation of this owner.
        """
        await self._conversations.head(owner, session_id)
        await self._release(owner, session_id)
        await self._conversations.delete(owner, session_id)
        await self._release(owner, session_id)  # a message may have come in between

    async def _release(self, owner: str, session_id: str) -> None:
        taught = {memory.image_id for memory in await self._memories.memories(owner)}
        for sha256 in await self._pictures.release(owner, session_id, taught):
            if self._seen is not None:
                await self._seen.forget(sha256)
