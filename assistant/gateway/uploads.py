"""Pictures on their way through one socket, piece by piece. Pure: nothing is kept until a picture is whole."""

import hashlib
from dataclasses import dataclass, field
from uuid import UUID

from assistant.domain.errors import AssistantError, Conflict, InvalidRequest, LimitReached, NotFound, PictureError
from assistant.gateway.wire import Chunk, ImageBegin
from assistant.images import ImageLimits

MOST_UPLOADS = 4


@dataclass(slots=True)
class _Upload:
    announced: ImageBegin
    data: bytearray = field(default_factory=bytearray)
    hasher: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    failure: AssistantError | None = None


class Uploads:
    """The uploads of one socket."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._uploads: dict[UUID, _Upload] = {}

    def begin(self, announced: ImageBegin) -> None:
        """Expect the bytes of a picture.

        Raises:
            PictureError: it is empty.
            LimitReached: too many bytes, or too many uploads at once.
            Conflict: the upload id is in use.
        """
        self._limits.check_bytes(announced.bytes)
        if announced.upload_id in self._uploads:
            raise Conflict("upload_exists", "This upload has begun already: send its bytes, or use another upload id.")
        if len(self._uploads) >= MOST_UPLOADS:
            raise LimitReached("too_many_uploads", f"At most {MOST_UPLOADS} uploads at once: end one first.")
        self._uploads[announced.upload_id] = _Upload(announced)

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
        if upload.failure is not None:
            raise upload.failure
        if len(upload.data) != upload.announced.bytes:
            raise InvalidRequest(
                "upload_incomplete", f"{len(upload.data)} of {upload.announced.bytes} bytes came. Begin again."
            )
        if upload.hasher.hexdigest() != upload.announced.sha256:
            raise PictureError("image_hash_mismatch", "The bytes do not have the announced SHA-256. Send them again.")
        return upload.data, upload.announced.sha256

    def forget(self, upload_id: UUID) -> None:
        """End an upload of which nothing has come."""
        self._uploads.pop(upload_id, None)

    def _find(self, upload_id: UUID) -> _Upload:
        if upload_id not in self._uploads:
            raise NotFound("upload_unknown", "No such upload: send image.begin first.")
        return self._uploads[upload_id]
