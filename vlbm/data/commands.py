"""Running the clients of package registries, with their own words where they fail. It knows commands, not data."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vlbm.errors import DataError

SHOWN = 6  # words of a command that are shown: enough to know it by


def run(command: list[str], folder: Path) -> None:
    """Run a fixed command in a folder.

    Raises:
        DataError: it failed; the message has the command's last line.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (fixed commands)
    if done.returncode:
        why = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        shown = " ".join(command[:SHOWN]) + (" ..." if len(command) > SHOWN else "")
        raise DataError(f"`{shown}` failed: {why}")
