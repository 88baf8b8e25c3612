"""Pictures of owners: an index in Redis over a ``BlobStore``. The bytes are kept before their id exists."""

from dataclasses import asdict
from typing import Any

from redis.asyncio import Redis

from assistant.domain.errors import NotFound
from assistant.ports.pictures import BlobStore, PictureStore, StoredPicture
from assistant.stores import keys
from assistant.stores.connection import reporting


@reporting
class RedisPictures(PictureStore):
    """``PictureStore`` whose index is in Redis."""

    def __init__(self, client: Redis, blobs: BlobStore, *, ttl_seconds: int = 30 * 86400) -> None:
        self._redis = client
        self._blobs = blobs
        self._ttl = ttl_seconds

    async def add(self, owner: str, picture: StoredPicture, data: bytes) -> None:
        await self._blobs.put(picture.sha256, data)
        image = keys.image(owner, picture.image_id)
        fields: dict[Any, Any] = {**asdict(picture), "resized": int(picture.resized)}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(image, mapping=fields)
            pipe.expire(image, self._ttl)
            pipe.set(keys.source(owner, picture.source_sha256), picture.image_id, ex=self._ttl)
            await pipe.execute()

    async def find(self, owner: str, source_sha256: str) -> StoredPicture | None:
        image_id = await self._redis.get(keys.source(owner, source_sha256))
        if image_id is None:
            return None
        try:
            return await self.get(owner, str(image_id))
        except NotFound:
            return None

    async def get(self, owner: str, image_id: str) -> StoredPicture:
        fields: dict[Any, Any] = await self._redis.hgetall(keys.image(owner, image_id))
        if not fields:
            raise NotFound("image_not_found", "There is no such picture. Send it again.")
        return StoredPicture(
            image_id=fields["image_id"],
            sha256=fields["sha256"],
            source_sha256=fields["source_sha256"],
            width=int(fields["width"]),
            height=int(fields["height"]),
            resized=fields["resized"] == "1",
        )

    async def data(self, picture: StoredPicture) -> bytes:
        found = await self._blobs.get(picture.sha256)
        if found is None:
            raise NotFound("image_gone", "The bytes of this picture are gone. Send it again.")
        return found
