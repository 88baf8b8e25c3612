"""Pictures of owners: an index in Redis over a ``BlobStore``. The bytes are kept before their id exists.

Each picture knows the conversations that use it, and bytes know the pictures that have them, of whatever owner: so both
go with the last that needs them. What has expired counts for nothing.

Which picture uses bytes is written down before they are kept, and they are forgotten only when they have been set aside
and none is found to use them then. So an upload of the same bytes at the same time is safe: either its use is seen, and
they are put back, or it finds none in their place, and keeps its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from redis.asyncio import Redis

from assistant.domain.errors import LimitReached, NotFound
from assistant.ports.pictures import BlobStore, PictureStore, StoredPicture
from assistant.stores import keys
from assistant.stores.connection import Script, reporting
from assistant.stores.forgotten import Forgotten

IMAGE_NOT_FOUND = NotFound("image_not_found", "There is no such picture. Send it again.")
UPLOAD_SECONDS = 3600
"""A use that was written down so long ago, and whose picture is not there, has ended (or never came about)."""
ENDED = 0
"""Written in the place of the time for a use that has ended."""
ASIDE_SECONDS = 0.1
"""Bytes that are not found are looked for again after so long: they may have been aside."""
Found = TypeVar("Found", bytes | None, bool)


@reporting
class RedisPictures(PictureStore):
    """``PictureStore`` whose index is in Redis.

    Args:
        forgotten: told of bytes that are gone.
        quota: bytes that the pictures of an owner may have, as kept.
        ttl_seconds: a picture that nobody has asked for in so long is forgotten.
    """

    def __init__(
        self,
        client: Redis,
        blobs: BlobStore,
        forgotten: Forgotten,
        *,
        quota: int = 1024**3,
        ttl_seconds: int = 30 * 86400,
    ) -> None:
        self._redis = client
        self._blobs = blobs
        self._forgotten = forgotten
        self._quota = quota
        self._ttl = ttl_seconds
        self._use, self._drop = map(Script.named, ("use", "drop_picture"))

    async def add(self, owner: str, picture: StoredPicture, data: bytes) -> None:
        await self.check_room(owner, len(data))
        image = keys.image(owner, picture.image_id)
        await self._write_down(picture.sha256, image, int(time.time()))
        await self._blobs.put(picture.sha256, data)
        fields: dict[Any, Any] = {**asdict(picture), "resized": int(picture.resized), "animated": int(picture.animated)}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(image, mapping=fields)
            pipe.expire(image, self._ttl)
            pipe.set(keys.source(owner, picture.source_sha256), picture.image_id, ex=self._ttl)
            pipe.hset(keys.sizes(owner), picture.image_id, str(len(data)))
            pipe.expire(keys.sizes(owner), self._ttl)
            await pipe.execute()

    async def check_room(self, owner: str, size: int) -> None:
        if await self._taken(owner) + size <= self._quota:
            return
        await self._strike_out_forgotten(owner)
        if await self._taken(owner) + size > self._quota:
            raise LimitReached(
                "picture_quota",
                f"Your pictures take all of the {self._quota // 1024**2} MB that are kept for you. "
                "Delete conversations with pictures that you do not need, or send a smaller picture.",
            )

    async def _taken(self, owner: str) -> int:
        sizes = await self._redis.hvals(keys.sizes(owner))
        return sum(map(int, sizes))

    async def _strike_out_forgotten(self, owner: str) -> None:
        """Pictures that were not asked for in so long that they are gone count no more."""
        image_ids = [str(image_id) for image_id in await self._redis.hkeys(keys.sizes(owner))]
        there = await self._exist([keys.image(owner, image_id) for image_id in image_ids])
        gone = [image_id for image_id, exists in zip(image_ids, there, strict=True) if not exists]
        if gone:
            await self._redis.hdel(keys.sizes(owner), *gone)

    async def _exist(self, names: list[str]) -> list[bool]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.exists(name)
            return [bool(answer) for answer in await pipe.execute()]

    async def find(self, owner: str, source_sha256: str) -> StoredPicture | None:
        image_id = await self._redis.getex(keys.source(owner, source_sha256), ex=self._ttl)
        if image_id is None:
            return None
        try:
            picture = await self.get(owner, str(image_id))
        except NotFound:
            return None
        # An index without its bytes must not keep them from being sent again.
        return picture if await self._look(self._blobs.exists, picture.sha256) else None

    async def get(self, owner: str, image_id: str) -> StoredPicture:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.image(owner, image_id))
            for name in (keys.image(owner, image_id), keys.used(owner, image_id), keys.sizes(owner)):
                pipe.expire(name, self._ttl)
            fields: dict[Any, Any] = (await pipe.execute())[0]
        if not fields:
            raise IMAGE_NOT_FOUND
        return StoredPicture(
            image_id=fields["image_id"],
            sha256=fields["sha256"],
            source_sha256=fields["source_sha256"],
            width=int(fields["width"]),
            height=int(fields["height"]),
            resized=fields["resized"] == "1",
            animated=fields.get("animated") == "1",
        )

    async def data(self, picture: StoredPicture) -> bytes:
        found = await self._look(self._blobs.get, picture.sha256)
        if found is None:
            raise NotFound("image_gone", "The bytes of this picture are gone. Send it again.")
        return found

    async def _look(self, look: Callable[[str], Awaitable[Found]], sha256: str) -> Found:
        """Look for bytes, which may be aside for a moment; where they are, who uses them is kept as long as they."""
        found = await look(sha256)
        if not found:
            await asyncio.sleep(ASIDE_SECONDS)
            found = await look(sha256)
        if found:
            await self._redis.expire(keys.users(sha256), self._ttl * 2)
        return found

    async def use(self, owner: str, session_id: str, image_ids: Sequence[str]) -> list[StoredPicture]:
        found = [await self.get(owner, image_id) for image_id in image_ids]
        for picture in found:
            image_id = picture.image_id
            await self._write_down(picture.sha256, keys.image(owner, image_id), int(time.time()))
            names = [keys.image(owner, image_id), keys.used(owner, image_id), keys.pictures(owner, session_id)]
            if await self._use.run(self._redis, names, [image_id, session_id, self._ttl]) == ["not_found"]:
                raise IMAGE_NOT_FOUND
            await self._redis.expire(keys.source(owner, picture.source_sha256), self._ttl)
        return found

    async def release(self, owner: str, session_id: str, keep: Collection[str] = ()) -> None:
        for image_id in map(str, await self._redis.smembers(keys.pictures(owner, session_id))):
            used = keys.used(owner, image_id)
            await self._redis.srem(used, session_id)
            if image_id in keep:
                continue
            await self._drop_ended(owner, used)
            names = [keys.image(owner, image_id), used, keys.sizes(owner)]
            [sha256] = await self._drop.run(self._redis, names, [image_id, keys.source(owner, "")])
            if sha256:
                await self._write_down(sha256, keys.image(owner, image_id), ENDED)
                await self.forget_unused(sha256)
        await self._redis.delete(keys.pictures(owner, session_id))

    def hashes(self) -> AsyncIterator[str]:
        """The hashes of all bytes that are kept, used or not."""
        return self._blobs.hashes()

    async def _drop_ended(self, owner: str, used: str) -> None:
        """Take conversations that have expired, or were never this owner's, off those that use a picture."""
        for session_id in map(str, await self._redis.smembers(used)):
            if await self._redis.hget(keys.meta(session_id), "owner") != owner:
                await self._redis.srem(used, session_id)

    async def _write_down(self, sha256: str, image: str, begun: int) -> None:
        """Say that a picture uses a blob, or (``ENDED``) that it does no more."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.users(sha256), image, str(begun))
            pipe.expire(keys.users(sha256), self._ttl * 2)
            await pipe.execute()

    async def forget_unused(self, sha256: str) -> bool:
        """Forget a blob that pictures used and none uses now. Whether it was forgotten.

        One of which no use was ever written down is left: it may be another store's.
        """
        ended, used = await self._uses(sha256)
        aside = await self._blobs.set_aside(sha256) if ended and not used else None
        if aside is not None and (await self._uses(sha256))[1]:
            await self._blobs.put_back(sha256, aside)
            aside = None
        if aside is not None:
            await self._forgotten.tell(sha256)
            await self._blobs.discard(sha256, aside)
        if ended:
            await self._redis.hdel(keys.users(sha256), *ended)
        return aside is not None

    async def _uses(self, sha256: str) -> tuple[list[str], bool]:
        """The pictures that use a blob no more, and whether any does or is about to."""
        written: dict[Any, Any] = await self._redis.hgetall(keys.users(sha256))
        there = await self._exist(list(written))
        oldest = time.time() - UPLOAD_SECONDS
        ended = [
            str(image)
            for (image, begun), exists in zip(written.items(), there, strict=True)
            if not exists and int(begun) <= oldest
        ]
        return ended, len(ended) < len(written)
