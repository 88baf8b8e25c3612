"""Bytes under their SHA-256: a folder on one machine, Redis where roles are split over machines.

Knows nothing of owners: knowing a hash grants nothing, because nobody reaches a blob but through a picture of his own.
"""

import asyncio
import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from assistant.ports.pictures import BlobStore
from assistant.stores import keys

_ASIDE = ".aside-"
LEFT_SECONDS = 3600
"""No write takes so long: what is still not in its place is left over from a crash."""


class FolderBlobs(BlobStore):
    """``ab/abcd...`` in a folder; written aside, synced and renamed, so that a name never stands for half a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, sha256: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, self._path(sha256), data)

    async def get(self, sha256: str) -> bytes | None:
        return await asyncio.to_thread(self._read, self._path(sha256))

    async def exists(self, sha256: str) -> bool:
        return await asyncio.to_thread(self._path(sha256).exists)

    async def set_aside(self, sha256: str) -> str | None:
        name = f"{sha256}{_ASIDE}{secrets.token_hex(8)}"
        return name if await asyncio.to_thread(self._move, self._path(sha256), name) else None

    async def put_back(self, sha256: str, aside: str) -> None:
        await asyncio.to_thread(self._move, self._path(aside), sha256)

    async def discard(self, sha256: str, aside: str) -> None:
        await asyncio.to_thread(self._path(aside).unlink, missing_ok=True)

    async def hashes(self) -> AsyncIterator[str]:
        for part in await asyncio.to_thread(_listed, self._folder):
            for path in await asyncio.to_thread(_listed, part):
                if not path.name.startswith(".") and _ASIDE not in path.name:
                    yield path.name
                elif await asyncio.to_thread(_is_left_over, path):
                    await asyncio.to_thread(self._tidy, path)

    def _tidy(self, path: Path) -> None:
        """A file that a crash has left: half of one goes, one that was set aside is looked at again."""
        sha256, aside, _ = path.name.partition(_ASIDE)
        if aside:
            self._move(path, sha256)
        else:
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    @staticmethod
    def _move(path: Path, name: str) -> bool:
        """Give a file another name, which may be that of a file with the same bytes. Whether there was one."""
        try:
            path.rename(path.with_name(name))
        except FileNotFoundError:
            return False
        return True

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).rename(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @staticmethod
    def _read(path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_left_over(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ctime < time.time() - LEFT_SECONDS
    return False


class RedisBlobs(BlobStore):
    """Blobs as Redis strings, forgotten with the conversations that could name them.

    Args:
        client: one that does not decode answers.
    """

    def __init__(self, client: Redis, *, ttl_seconds: int = 30 * 86400) -> None:
        self._redis = client
        self._ttl = ttl_seconds

    async def put(self, sha256: str, data: bytes) -> None:
        await self._redis.set(keys.blob(sha256), data, ex=self._ttl)

    async def get(self, sha256: str) -> bytes | None:
        found = await self._redis.getex(keys.blob(sha256), ex=self._ttl)
        return found if isinstance(found, bytes) else None

    async def exists(self, sha256: str) -> bool:
        return bool(await self._redis.expire(keys.blob(sha256), self._ttl))

    async def set_aside(self, sha256: str) -> str | None:
        name = f"{int(time.time())}-{secrets.token_hex(8)}"
        return name if await self._rename(keys.blob(sha256), keys.aside(sha256, name)) else None

    async def put_back(self, sha256: str, aside: str) -> None:
        await self._rename(keys.aside(sha256, aside), keys.blob(sha256))

    async def _rename(self, before: str, after: str) -> bool:
        """Give a key another name. Whether there was one."""
        try:
            await self._redis.rename(before, after)
        except ResponseError as error:
            if "no such key" not in str(error):
                raise
            return False
        return True

    async def discard(self, sha256: str, aside: str) -> None:
        await self._redis.unlink(keys.aside(sha256, aside))

    async def hashes(self) -> AsyncIterator[str]:
        async for name in self._redis.scan_iter(match=keys.aside("*", "*"), count=1000):
            await self._tidy(*keys.set_aside(name.decode()))
        before = keys.blob("")
        async for name in self._redis.scan_iter(match=keys.blob("*"), count=1000):
            yield name.decode().removeprefix(before)

    async def _tidy(self, sha256: str, aside: str) -> None:
        """What a crash has left aside is looked at again."""
        if int(aside.partition("-")[0]) < time.time() - LEFT_SECONDS:
            await self.put_back(sha256, aside)
