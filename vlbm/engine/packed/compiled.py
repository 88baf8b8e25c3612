"""Compiles `step.cpp` for the machine that it runs on, once, and tells Python what is in it.

It knows a compiler's command line and the layout of structures, and nothing of networks.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import platform
import shutil
import subprocess
import tempfile
from functools import cache, partial
from pathlib import Path
from weakref import finalize

log = logging.getLogger(__name__)
SOURCE = Path(__file__).with_name("step.cpp")
FLAGS = (
    "-O3",
    "-march=native",
    "-ffast-math",
    "-mprefer-vector-width=512",
    "-pthread",
    "-std=c++20",
    "-fPIC",
)
# Not with -ffast-math: a library that is linked so takes subnormal numbers from the whole process that loads it.
LINK = ("-shared", "-pthread")
COMPILERS = ("c++", "g++", "clang++")

_I, _P = ctypes.c_int64, ctypes.c_void_p


class Matrix(ctypes.Structure):
    """As in `step.cpp`."""

    _fields_ = (("steps", _P), ("scales", _P), ("offsets", _P), ("n", _I), ("k", _I), ("bits", _I))


class Layer(ctypes.Structure):
    """As in `step.cpp`."""

    _fields_ = (
        *(("before", _P), ("after", _P)),
        *(("qkv", Matrix), ("out", Matrix), ("gate_up", Matrix), ("down", Matrix)),
        *(("keys", _P), ("values", _P)),
    )


class Net(ctypes.Structure):
    """`Network` in `step.cpp`."""

    _fields_ = (
        *(("layers", _P), ("norm", _P), ("head", Matrix), ("cosines", _P), ("sines", _P)),
        *((name, _I) for name in ("d", "f", "h", "g", "k")),
        ("eps", ctypes.c_float),
    )


class Rows(ctypes.Structure):
    """As in `step.cpp`."""

    _fields_ = (
        *(("states", _P), ("positions", _P), ("places", _P), ("tables", _P), ("t", _I), ("m", _I)),
        *((name, _P) for name in ("qkv", "heads", "wide", "numbers", "sizes", "totals")),
    )


@cache
def library(folder: Path) -> ctypes.CDLL | None:
    """The compiled step; None where it cannot be compiled, which is logged with the reason.

    Args:
        folder: where it is kept. It is compiled again (a second) for another processor, compiler or source.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        log.warning("there is no C++ compiler (%s): answers take longer", ", ".join(COMPILERS))
        return None
    try:
        made = _made(compiler, folder / f"step-{_key(compiler)}.so")
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        log.warning("step.cpp was not compiled, answers take longer: %s", said.strip().splitlines()[0])
        return None
    made.begin_team.argtypes, made.begin_team.restype = (ctypes.c_int,), _P
    made.end_team.argtypes, made.end_team.restype = (_P,), None
    made.read_layers.argtypes, made.read_layers.restype = (_P, _P, _I, _I, _P), None
    made.read_head.argtypes, made.read_head.restype = (_P, _P, _P, _P), None
    made.pack.argtypes, made.pack.restype = (_P, _P, _I, _I, _I, _P, _P, _P), None
    return made


class Step:
    """The compiled step with threads of its own, for one network: one call at a time.

    Args:
        made: of `library`.
        threads: how many.
    """

    def __init__(self, made: ctypes.CDLL, threads: int) -> None:
        team = made.begin_team(threads)
        self.pack, self.read_layers, self.read_head = (
            partial(do, team) for do in (made.pack, made.read_layers, made.read_head)
        )
        finalize(self, made.end_team, team)


def _made(compiler: str, path: Path) -> ctypes.CDLL:
    """The library at a path, compiled where it is not there or torn."""
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        _compile(compiler, path)
        return ctypes.CDLL(str(path))


def _key(compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    parts = (SOURCE.read_text("utf-8"), *FLAGS, *LINK, version, _processor())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """What tells processors apart that run different instructions."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in info.read_text("utf-8").splitlines() if line.startswith(("flags", "Features"))), "")


def _compile(compiler: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # what is there is run
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        object_file, part = Path(folder) / "step.o", Path(folder) / path.name
        for command in ((*FLAGS, "-c", SOURCE, "-o", object_file), (*LINK, object_file, "-o", part)):
            arguments = [compiler, *map(str, command)]
            subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)  # noqa: S603
        part.replace(path)
