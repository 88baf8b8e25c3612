"""What owners do with their conversations beside talking: list, rename, delete them and take them along."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Literal

from assistant.domain.errors import Conflict, InvalidRequest, NotFound
from assistant.domain.sessions import MOST_TITLE_CHARACTERS, SessionPage
from assistant.ports.conversations import ConversationStore, Record
from assistant.ports.memories import MemoryStore
from assistant.ports.pictures import PictureStore, StoredPicture
from assistant.service.export import as_json, as_markdown, messages_of
from assistant.service.limits import Limits

PART_CHARACTERS = 150_000
"""Of an export. Written as JSON, a character takes at most six bytes, and a frame is not to be larger than 1 MiB."""


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A part of an exported document; without ``next`` it is the last."""

    text: str
    next: str | None


class Sessions:
    """What clients may do with the conversations of their owner."""

    def __init__(
        self,
        conversations: ConversationStore,
        pictures: PictureStore,
        memories: MemoryStore,
        limits: Limits,
    ) -> None:
        self._conversations = conversations
        self._pictures = pictures
        self._memories = memories
        self._limits = limits

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
        dropped = await self._conversations.delete(owner, session_id)
        await self._limits.drop_turns(owner, dropped)
        await self._release(owner, session_id)  # a message may have come in between

    async def export(
        self, owner: str, session_id: str, form: Literal["json", "markdown"], part: str | None
    ) -> ExportPart:
        """A part of a conversation as a document, the first or the one called ``part``.

        Raises:
            InvalidRequest: there is no such part.
            Conflict: the document has become another since its first part.
            NotFound: no such conversation of this owner.
        """
        record = await self._conversations.record(owner, session_id)
        pictures = await self._known(owner, record) if form == "json" else []
        return await asyncio.to_thread(_part, record, pictures, form, part)

    async def document(self, owner: str, session_id: str, form: Literal["json", "markdown"]) -> str:
        """A conversation as a document, whole. Raises ``NotFound``."""
        record = await self._conversations.record(owner, session_id)
        pictures = await self._known(owner, record) if form == "json" else []
        return await asyncio.to_thread(_document, record, pictures, form)

    async def _known(self, owner: str, record: Record) -> list[StoredPicture]:
        """What is known of the pictures, each once, but for those that are gone."""
        found = []
        for image_id in dict.fromkeys(name for message in messages_of(record) for name in message.image_ids):
            try:
                found.append(await self._pictures.get(owner, image_id))
            except NotFound:
                continue
        return found

    async def _release(self, owner: str, session_id: str) -> None:
        taught = {memory.image_id for memory in await self._memories.memories(owner)}
        await self._pictures.release(owner, session_id, taught)


def _document(record: Record, pictures: list[StoredPicture], form: str) -> str:
    return as_json(record, pictures) if form == "json" else as_markdown(record)


def _part(record: Record, pictures: list[StoredPicture], form: str, part: str | None) -> ExportPart:
    """Parts are named by where they begin and by a hash of the whole, so that parts of two documents do not mix."""
    document = _document(record, pictures, form)
    version = hashlib.sha256(document.encode()).hexdigest()[:32]
    start = _start(part, version)
    end = start + PART_CHARACTERS
    return ExportPart(document[start:end], f"{end}-{version}" if end < len(document) else None)


def _start(part: str | None, version: str) -> int:
    if part is None:
        return 0
    start, _, of = part.partition("-")
    if not (start.isascii() and start.isdigit() and len(of) == len(version)):
        raise InvalidRequest("invalid_part", "Give as `part` what came as `next`, or leave it out.")
    if of != version:
        raise Conflict("export_changed", "The conversation has changed since the export began. Begin it again.")
    return int(start)
