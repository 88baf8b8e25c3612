"""Pictures on their way through one socket, piece by piece. Pure: nothing is kept until a picture is whole."""

from uuid import UUID

from assistant.domain.errors import Conflict, InvalidRequest, LimitReached, NotFound, PictureError
from assistant.gateway.unfinished import Unfinished, Upload
from assistant.gateway.wire.commands import ImageBegin
from assistant.gateway.wire.reading import Chunk
from assistant.images import ImageLimits

MOST_UPLOADS = 4


class Uploads:
    """The uploads of one socket.

    Args:
        unfinished: what lost sockets of the gateway have left.
    """

    def __init__(self, limits: ImageLimits, unfinished: Unfinished | None = None) -> None:
        self._limits = limits
        self._unfinished = unfinished or Unfinished()
        self._uploads: dict[UUID, Upload] = {}
        self._owner = ""

    def begin(self, announced: ImageBegin, owner: str = "") -> Upload:
        """Expect the bytes of a picture: those that follow what came before.

        Raises:
            PictureError: it is empty.
            LimitReached: too many bytes, or too many uploads at once.
            Conflict: the upload id is in use for another picture.
        """
        self._limits.check_bytes(announced.bytes)
        self._owner = owner
        mine = self._uploads.get(announced.upload_id)
        if mine is not None and not mine.is_of(announced):
            raise Conflict("upload_exists", "This upload id is in use for another picture: use another one.")
        if mine is None and len(self._uploads) >= MOST_UPLOADS:
            raise LimitReached("too_many_uploads", f"At most {MOST_UPLOADS} uploads at once: end one first.")
        if mine is None or mine.failure is not None:
            mine = Upload(announced) if mine else self._unfinished.take(owner, announced, self)
            self._uploads[announced.upload_id] = mine
        return mine

    def give_up(self, announced: ImageBegin) -> Upload | None:
        """As ``Holder.give_up``."""
        mine = self._uploads.get(announced.upload_id)
        if mine is None or mine.failure is not None or not mine.is_of(announced):
            return None
        return self._uploads.pop(announced.upload_id)

    def leave(self) -> None:
        """The socket is gone; its client may come back for what came."""
        for upload in self._uploads.values():
            self._unfinished.leave(self._owner, upload, self)
        self._uploads.clear()

    def add(self, chunk: Chunk) -> None:
        """Take a piece. After a wrong one the rest is passed over, and ``end`` says again what was wrong.

        Raises:
            NotFound: no such upload has begun.
            InvalidRequest: the piece is not the next one, or goes over the announced size.
        """
        upload = self._find(chunk.upload_id)
        if upload.failure is not None:
            return
        if chunk.offset != len(upload.data):
            upload.failure = InvalidRequest(
                "upload_out_of_order", f"Bytes from {len(upload.data)} are next, not from {chunk.offset}. Begin again."
            )
        elif len(upload.data) + len(chunk.data) > upload.announced.bytes:
            upload.failure = InvalidRequest(
                "upload_too_long", f"More bytes than the {upload.announced.bytes} announced. Begin again."
            )
        if upload.failure is not None:
            upload.data = bytearray()
            raise upload.failure
        upload.data += chunk.data
        upload.hasher.update(chunk.data)

    def end(self, upload_id: UUID) -> tuple[bytearray, str]:
        """The bytes of a whole picture and their SHA-256; the upload is over, whatever comes of it.

        Raises:
            NotFound: no such upload has begun.
            InvalidRequest: a piece was wrong, or bytes are missing.
            PictureError: the bytes are not those that were announced.
        """
        upload = self._find(upload_id)
        del self._uploads[upload_id]
        self._unfinished.end(self._owner, upload_id, self)
        if upload.failure is not None:
            raise upload.failure
        if len(upload.data) != upload.announced.bytes:
            self._unfinished.let_go(self._owner, upload)
            raise InvalidRequest(
                "upload_incomplete", f"{len(upload.data)} of {upload.announced.bytes} bytes came. Begin again."
            )
        if upload.hasher.hexdigest() != upload.announced.sha256:
            raise PictureError("image_hash_mismatch", "The bytes do not have the announced SHA-256. Send them again.")
        return upload.data, upload.announced.sha256

    def unsent(self) -> dict[str, int]:
        """As ``Unfinished.unsent``."""
        return self._unfinished.unsent()

    def forget(self, upload_id: UUID) -> None:
        """An upload that is not to go on now; what came of it before is kept for later."""
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            self._unfinished.leave(self._owner, upload, self)

    def _find(self, upload_id: UUID) -> Upload:
        if upload_id not in self._uploads:
            raise NotFound("upload_unknown", "No such upload: send image.begin first.")
        return self._uploads[upload_id]
