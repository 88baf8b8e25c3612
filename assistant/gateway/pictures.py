"""Takes in the pictures of clients: known ones at once, others when all their bytes are there."""

import asyncio
import secrets
from dataclasses import dataclass

from assistant.domain.errors import AssistantError
from assistant.gateway.connection import Connection
from assistant.gateway.unfinished import Upload
from assistant.gateway.wire.answers import ImageOffsetAck, ImageReadyAck
from assistant.gateway.wire.commands import ImageBegin
from assistant.gateway.wire.frame import Frame
from assistant.images import DecoderPool
from assistant.ports.pictures import PictureStore, StoredPicture
from assistant.service.limits import Limits


@dataclass(frozen=True, slots=True)
class Intake:
    """Where pictures go: how large they may be, who makes plain ones of them, who keeps them."""

    store: PictureStore
    decoders: DecoderPool
    limits: Limits

    async def begin(self, connection: Connection, command: ImageBegin) -> Frame:
        """The picture, where its owner has sent it before; else from where on its bytes are wanted.

        An upload is paid once, when it begins; what never came of one is given back when the next begins.

        Raises:
            PictureError: it is too large.
            LimitReached: the owner has had enough.
        """
        known = await self.store.find(connection.owner, command.sha256)
        if known is not None:
            return ready(command.id, known)
        self.decoders.limits.check_bytes(command.bytes)
        await self.store.check_room(connection.owner, command.bytes)
        upload = connection.expect(command)
        await asyncio.gather(*(self.limits.return_bytes(owner, size) for owner, size in connection.unsent().items()))
        if not upload.is_paid:
            await self._pay(connection, upload)
        return ImageOffsetAck(id=command.id, offset=len(upload.data))

    async def _pay(self, connection: Connection, upload: Upload) -> None:
        upload.is_paid = True  # at once: it may be gone on with on another socket meanwhile
        try:
            await self.limits.begin_picture(connection.owner, upload.announced.bytes)
        except AssistantError:
            upload.is_paid = False
            connection.forget(upload.announced)
            raise

    async def keep(self, owner: str, command_id: str, data: bytearray, sha256: str) -> Frame:
        """As ``take``, in answer to a command."""
        return ready(command_id, await self.take(owner, data, sha256))

    async def take(self, owner: str, data: bytearray, sha256: str) -> StoredPicture:
        """Make a plain picture of the bytes, whose hash this is, and keep it.

        Raises:
            PictureError: they are no picture, or none that is taken.
            LimitReached: the owner has had enough.
        """
        kept = await self.decoders.normalise(data)
        await self.limits.keep_picture(owner, kept.width * kept.height)
        picture = StoredPicture(
            image_id=f"i_{secrets.token_urlsafe(18)}",
            sha256=kept.sha256,
            source_sha256=sha256,
            width=kept.width,
            height=kept.height,
            resized=kept.resized,
            animated=kept.animated,
        )
        await self.store.add(owner, picture, kept.data)
        return picture


def ready(command_id: str, picture: StoredPicture) -> ImageReadyAck:
    """What is told of a picture that is kept."""
    return ImageReadyAck(
        id=command_id,
        image_id=picture.image_id,
        width=picture.width,
        height=picture.height,
        resized=picture.resized,
        animated=picture.animated,
    )
