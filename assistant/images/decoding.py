"""The program of a process that decodes pictures: reads one after another and writes what they became.

It bounds itself before it reads anything: memory, processor time, and no file or socket to open. macOS does not keep
the bound of memory; there the bound of pixels, checked by the header, has to do.
"""

import contextlib
import json
import os
import resource
import struct
import sys
from dataclasses import asdict, dataclass
from typing import BinaryIO

from assistant.domain.errors import AssistantError
from assistant.images import intake
from assistant.images.intake import ImageLimits

PROGRAM = "assistant.images.decoding"
NICENESS = 5
"""A picture may wait for the gateway, and the model for a picture."""
REQUEST = struct.Struct(">QQQQ")
"""Length of the picture that follows; bytes, pixels and side of ``ImageLimits``."""
REPLY = struct.Struct(">QQ")
"""Length of a JSON object (the fields of a ``NormalisedPicture`` but its data, or an error's), of the data after it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one picture may take: ``memory`` in bytes of address space, processor time, and time.

    Of pictures of 25 megapixels, a PNG or JPEG was seen to need 0.35 to 0.5 GB, a transparent WebP 0.7 GB.
    """

    memory: int = 1024 * 1024 * 1024
    cpu_seconds: int = 10
    wall_seconds: float = 30.0


def main() -> None:
    """Serve until standard input ends."""
    bounds = Bounds(**json.loads(sys.argv[1]))
    os.nice(NICENESS)
    intake.load_decoders()
    _lower(resource.RLIMIT_AS, bounds.memory)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, 3)  # those that are open: the next cannot be
    while _serve(sys.stdin.buffer, sys.stdout.buffer, bounds):
        pass


def _serve(requests: BinaryIO, replies: BinaryIO, bounds: Bounds) -> bool:
    """Answer one request; False when there are no more. A ``MemoryError`` ends the process, as a crash does."""
    head = requests.read(REQUEST.size)
    if len(head) < REQUEST.size:
        return False
    length, *limits = REQUEST.unpack(head)
    _allow_cpu(bounds.cpu_seconds)
    data = b""
    try:
        picture = intake.normalise(requests.read(length), ImageLimits(*limits))
        fields = asdict(picture)
        data = fields.pop("data")
    except AssistantError as error:
        fields = {"error": type(error).__name__, "code": error.code, "message": error.message}
    told = json.dumps(fields).encode()
    replies.write(REPLY.pack(len(told), len(data)) + told)
    replies.write(data)
    replies.flush()
    return True


def _allow_cpu(seconds: int) -> None:
    """So much more processor time from now on; then the system ends the process (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))


def _lower(which: int, value: int) -> None:
    """Set a bound, as far as this system has it."""
    _, hard = resource.getrlimit(which)
    lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS: RLIMIT_AS cannot be set below what is mapped
        resource.setrlimit(which, (lowest, lowest))


if __name__ == "__main__":
    main()
