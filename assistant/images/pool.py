"""Decoders of pictures: processes of their own, so that a picture that breaks a decoder breaks nothing else.

What is decoded was written by strangers, and decoders are C. Each process is bounded (``decoding``), takes one picture
at a time, and is started when it is first needed (0.2 s and 20 MB). One that dies or takes too long is replaced, and
its picture refused.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import asdict

from assistant.domain.errors import AssistantError, LimitReached, PictureError, Unavailable
from assistant.images.decoding import PROGRAM, REPLY, REQUEST, Bounds
from assistant.images.intake import ImageLimits, NormalisedPicture, unreadable

log = logging.getLogger(__name__)
PICTURES_EACH = 200
"""After so many pictures a process is replaced: what a decoder leaked goes with it."""
CLOSE_SECONDS = 2.0
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL")
"""Variables that a decoder gets; others may hold passwords."""


class DecoderPool:
    """``normalise`` in other processes. Close it with ``aclose``.

    Args:
        size: so many pictures are decoded at once; more wait.
        bounds: of one picture in its process.
        program: what is started; it speaks as ``decoding.main`` does.
    """

    def __init__(
        self,
        limits: ImageLimits,
        *,
        size: int = 2,
        bounds: Bounds | None = None,
        program: Sequence[str] = (sys.executable, "-m", PROGRAM),
    ) -> None:
        self.limits = limits
        self._bounds = bounds or Bounds()
        self._program = program
        self._free: asyncio.LifoQueue[_Decoder | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)
        self._all: set[_Decoder] = set()

    async def normalise(self, data: bytes | bytearray) -> NormalisedPicture:
        """As ``intake.normalise``.

        Raises:
            PictureError: as there, and ``image_unreadable`` where decoding it takes too much, or breaks the decoder.
            LimitReached: as there.
            Unavailable: no process can be started.
        """
        self.limits.check_bytes(len(data))
        decoder = await self._free.get()
        try:
            if decoder is None or not decoder.is_alive:
                await self._drop(decoder)
                decoder = await self._start()
            async with asyncio.timeout(self._bounds.wall_seconds):
                return await decoder.normalise(data, self.limits)
        except (TimeoutError, EOFError, OSError) as error:
            log.warning("a picture broke its decoder: %s", type(error).__name__)
            await self._drop(decoder)
            raise unreadable() from error
        except (PictureError, LimitReached):
            raise
        except BaseException:  # cancelled in the middle: an answer would be taken for the next one's
            await self._drop(decoder)
            raise
        finally:
            if decoder is not None and decoder.decoded >= PICTURES_EACH:
                await self._drop(decoder)
            self._free.put_nowait(decoder if decoder in self._all else None)

    async def aclose(self) -> None:
        """End all processes."""
        await asyncio.gather(*(self._drop(decoder) for decoder in list(self._all)))

    async def _start(self) -> "_Decoder":
        known = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._program,
                json.dumps(asdict(self._bounds)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,  # libraries write there what they like
                env={**known, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                # Ctrl-C is for the gateway, which ends what it started. It stays in the gateway's session, or its nice
                # would not be weighed against that: sched(7), "The autogroup feature".
                process_group=0,
            )
        except OSError as error:
            raise Unavailable("unavailable", "Pictures cannot be read now. Try again.", retry_after=1.0) from error
        decoder = _Decoder(process)
        self._all.add(decoder)
        return decoder

    async def _drop(self, decoder: "_Decoder | None") -> None:
        if decoder in self._all:
            self._all.discard(decoder)
            await decoder.end()


class _Decoder:
    """One process."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._requests = process.stdin
        self._replies = process.stdout
        self.decoded = 0

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def normalise(self, data: bytes | bytearray, limits: ImageLimits) -> NormalisedPicture:
        """Raises what ``intake.normalise`` does; ``EOFError`` or ``OSError`` where the process has died."""
        self.decoded += 1
        self._requests.write(REQUEST.pack(len(data), limits.bytes, limits.pixels, limits.side))
        self._requests.write(data)
        await self._requests.drain()
        head, body = REPLY.unpack(await self._replies.readexactly(REPLY.size))
        fields = json.loads(await self._replies.readexactly(head))
        if "error" in fields:
            raise _error(**fields)
        return NormalisedPicture(data=await self._replies.readexactly(body), **fields)

    async def end(self) -> None:
        """Kill the process, whatever it does, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._requests.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._process.wait()


def _error(error: str, code: str, message: str) -> AssistantError:
    return (LimitReached if error == "LimitReached" else PictureError)(code, message)
