"""Forgets bytes that no picture uses any more: those of pictures that ran out of time, and what a crash has left."""

import asyncio
import logging
import random

from assistant.domain.errors import trace
from assistant.stores.pictures import RedisPictures

log = logging.getLogger(__name__)
SWEEP_SECONDS = 3600.0


async def sweep(pictures: RedisPictures) -> int:
    """Forget all blobs without a picture. How many there were."""
    forgotten = 0
    async for sha256 in pictures.hashes():
        forgotten += await pictures.forget_unused(sha256)
    return forgotten


async def keep_sweeping(pictures: RedisPictures, every: float = SWEEP_SECONDS) -> None:
    """Sweep for ever, now and then; several may do so on one store."""
    while True:
        await asyncio.sleep(every * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            log.info("bytes of %d pictures were forgotten", await sweep(pictures))
        except Exception as error:  # Redis or the folder is away, and will be back: sweeping outlives it
            log.warning("bytes were not swept: %s", trace(error))
