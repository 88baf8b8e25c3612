"""Pictures of owners: an index in Redis over a ``BlobStore``. The bytes are kept before their id exists.

Each picture knows the conversations that use it, and bytes know the pictures that have them, of whatever owner: so both
go with the last that needs them. What has expired counts for nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from redis.asyncio import Redis

from assistant.domain.errors import NotFound
from assistant.ports.pictures import BlobStore, PictureStore, StoredPicture
from assistant.stores import keys
from assistant.stores.connection import Script, reporting

IMAGE_NOT_FOUND = NotFound("image_not_found", "There is no such picture. Send it again.")


@reporting
class RedisPictures(PictureStore):
    """``PictureStore`` whose index is in Redis."""

    def __init__(self, client: Redis, blobs: BlobStore, *, ttl_seconds: int = 30 * 86400) -> None:
        self._redis = client
        self._blobs = blobs
        self._ttl = ttl_seconds
        self._use, self._drop = map(Script.named, ("use", "drop_picture"))

    async def add(self, owner: str, picture: StoredPicture, data: bytes) -> None:
        image = keys.image(owner, picture.image_id)
        await self._hold(picture.sha256, image)  # before the bytes: whoever drops these meanwhile brings them back
        await self._blobs.put(picture.sha256, data)
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
            raise IMAGE_NOT_FOUND
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

    async def use(self, owner: str, session_id: str, image_ids: Sequence[str]) -> list[StoredPicture]:
        found = [await self.get(owner, image_id) for image_id in image_ids]
        for picture in found:
            image_id = picture.image_id
            names = [keys.image(owner, image_id), keys.used(owner, image_id), keys.pictures(owner, session_id)]
            if await self._use.run(self._redis, names, [image_id, session_id, self._ttl]) == ["not_found"]:
                raise IMAGE_NOT_FOUND
            await self._hold(picture.sha256, keys.image(owner, image_id))
            await self._redis.expire(keys.source(owner, picture.source_sha256), self._ttl)
        return found

    async def release(self, owner: str, session_id: str, keep: Collection[str] = ()) -> list[str]:
        gone = []
        for image_id in map(str, await self._redis.smembers(keys.pictures(owner, session_id))):
            used = keys.used(owner, image_id)
            await self._redis.srem(used, session_id)
            if image_id in keep:
                continue
            await self._drop_ended(owner, used)
            names = [keys.image(owner, image_id), used]
            [sha256] = await self._drop.run(self._redis, names, [image_id, keys.source(owner, "")])
            if sha256 and await self._let_go(sha256, keys.image(owner, image_id)):
                gone.append(sha256)
        await self._redis.delete(keys.pictures(owner, session_id))
        return gone

    async def _drop_ended(self, owner: str, used: str) -> None:
        """Take conversations that have expired, or were never this owner's, off those that use a picture."""
        for session_id in map(str, await self._redis.smembers(used)):
            if await self._redis.hget(keys.meta(session_id), "owner") != owner:
                await self._redis.srem(used, session_id)

    async def _hold(self, sha256: str, image: str) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.sadd(keys.holders(sha256), image)
            pipe.expire(keys.holders(sha256), self._ttl)
            await pipe.execute()

    async def _let_go(self, sha256: str, image: str) -> bool:
        """A picture is gone: drop its bytes, unless others have them. Whether they were dropped."""
        holders = keys.holders(sha256)
        await self._redis.srem(holders, image)
        for other in await self._redis.smembers(holders):
            if await self._redis.exists(other):
                return False
            await self._redis.srem(holders, other)
        data = await self._blobs.get(sha256)
        await self._blobs.delete(sha256)
        if data is not None and await self._redis.scard(holders):  # sent again meanwhile
            await self._blobs.put(sha256, data)
            return False
        return True
