"""Bytes under their SHA-256: a folder on one machine, Redis where roles are split over machines.

Knows nothing of owners: knowing a hash grants nothing, because nobody reaches a blob but through a picture of his own.
"""

import asyncio
import os
import tempfile
from pathlib import Path

from redis.asyncio import Redis

from assistant.ports.pictures import BlobStore
from assistant.stores import keys


class FolderBlobs(BlobStore):
    """``ab/abcd...`` in a folder; written aside, synced and renamed, so that a name never stands for half a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, sha256: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, self._path(sha256), data)

    async def get(self, sha256: str) -> bytes | None:
        return await asyncio.to_thread(self._read, self._path(sha256))

    async def delete(self, sha256: str) -> None:
        await asyncio.to_thread(self._path(sha256).unlink, missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

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

    async def delete(self, sha256: str) -> None:
        await self._redis.delete(keys.blob(sha256))
