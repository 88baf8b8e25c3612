"""Steps done once, and again only when what they are made from changes; and commands with their progress shown.

Knows nothing of this project. A stamp is written when its step is done, so an interrupted step has none.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

TICK_SECONDS = 0.2
LINE_SECONDS = 15.0
"""How often a line is printed where the output is no terminal."""


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a set-up."""

    stamp: Path
    """Holds the key of what was done."""
    inputs: tuple[Path | str, ...]
    """Files, folders and values that the result depends on."""
    outputs: tuple[Path, ...]
    """What must exist afterwards."""
    action: Callable[[], None]

    def is_done(self) -> bool:
        """Whether the outputs are there and were made from the inputs as they are now."""
        if not all(path.exists() for path in self.outputs):
            return False
        try:
            return self.stamp.read_text(encoding="utf-8") == key(self.inputs)
        except FileNotFoundError:
            return False

    def do(self) -> None:
        """Do the step, unless it is done."""
        if self.is_done():
            return
        self.stamp.unlink(missing_ok=True)
        made_from = key(self.inputs)
        self.action()
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        part = self.stamp.with_name(f"{self.stamp.name}.part")
        part.write_text(made_from, encoding="utf-8")
        part.replace(self.stamp)


def key(inputs: Iterable[Path | str]) -> str:
    """SHA-256 of the values, and of the names and contents of the files."""
    digest = hashlib.sha256()
    for item in inputs:
        paths = [item] if isinstance(item, Path) else []
        if isinstance(item, Path) and item.is_dir():
            paths = sorted(path for path in item.rglob("*") if path.is_file())
        for path in paths:
            content = path.read_bytes() if path.exists() else b""
            digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
        if isinstance(item, str):
            digest.update(f"{item}\0".encode())
    return digest.hexdigest()


def run(title: str, command: list[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command and show for how long; the end of what it prints is shown when it fails.

    Raises:
        SetupError: the command failed.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            seconds = _show_until_done(title, process, output)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            sys.stderr.write(_tail(output, 4000).strip() + "\n")
            raise SetupError(f"{title}: failed after {seconds:.0f} s, see above. Run it again to go on from here.")


def _show_until_done(title: str, process: subprocess.Popen[bytes], output: BinaryIO) -> float:
    """Show progress: a live line on a terminal, else a line now and then. Returns the seconds it took."""
    terminal = sys.stdout.isatty()
    began = shown = time.monotonic()
    if not terminal:
        print(f"{title} ...", flush=True)
    while True:
        try:
            process.wait(TICK_SECONDS)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if terminal:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\033[2K{f'{title} {now - began:4.0f} s  {_last_line(output)}':.{width}}", end="", flush=True)
            elif now - shown >= LINE_SECONDS:
                shown = now
                print(f"  {now - began:.0f} s  {_last_line(output):.100}", flush=True)
            continue
        seconds = time.monotonic() - began
        print(f"\r\033[2K{title}: {seconds:.1f} s" if terminal else f"  done in {seconds:.1f} s", flush=True)
        return seconds


def _last_line(output: BinaryIO) -> str:
    lines = [line.strip() for line in _tail(output, 2000).replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _tail(output: BinaryIO, length: int) -> str:
    """The end of what a command printed, read without moving its place in the file."""
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), length, max(0, size - length)).decode(errors="replace")
