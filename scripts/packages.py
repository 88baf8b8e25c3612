"""The virtual environment with the locked Python packages and the project. Knows nothing of what they are for."""

import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from steps import SetupError, Step, run

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = ROOT / "requirements"
INSTALL: list[str | Path] = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
FROM_LOCK = [*INSTALL, "--require-hashes"]


def make_environment() -> None:
    """The virtual environment; one that is there and works is kept."""
    if not ((VENV / "bin" / "pip").exists() and PYTHON.exists()):
        run("Making .venv", [sys.executable, "-m", "venv", "--clear", VENV], cwd=ROOT)


def version() -> str:
    """The Python version of .venv and the kind of machine, read without starting it."""
    settings = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    found = re.search(r"^version\w* = (\d+\.\d+)", settings, re.MULTILINE)
    return f"{found and found[1]} {platform.system()} {platform.machine()}"


def dependencies() -> None:
    """What the program needs."""
    make_environment()
    locked("run", _install_dependencies, "run.lock", "torch-cpu.lock", "cuda.lock")


def project() -> None:
    """The project itself, editable."""
    command = [*INSTALL, "--no-build-isolation", "--editable", ROOT]
    Step(
        stamp=VENV / ".stamp-project",
        inputs=(ROOT / "pyproject.toml", ROOT / "vlbm" / "__init__.py", str(ROOT), version()),
        outputs=(VENV / "bin" / "assistant", VENV / "bin" / "vlbm"),
        action=lambda: run("Installing the project", command, cwd=ROOT),
    ).do()


def test_dependencies() -> None:
    """What the tests need beside that."""
    locked("test", lambda: install("Installing what the tests need", "test.lock"), "test.lock")


def locked(name: str, action: Callable[[], None], *locks: str) -> None:
    """A step that installs lock files into .venv."""
    inputs = tuple(LOCKS / lock for lock in locks)
    Step(stamp=VENV / f".stamp-{name}", inputs=(*inputs, version()), outputs=(PYTHON,), action=action).do()


def install(title: str, lock: str, *options: str | Path) -> None:
    """Install what a lock file lists, with its hashes checked."""
    _ask_installed("repair")
    run(title, [*FROM_LOCK, *options, "--requirement", LOCKS / lock], cwd=ROOT)


def _install_dependencies() -> None:
    """All of run.lock; CUDA's packages only where torch's build asks for them."""
    if not any(VENV.glob("lib/*/site-packages/torch/version.py")):
        _install_local_torch()
    install("Installing the dependencies", "run.lock")
    if _ask_installed("cuda"):
        install("Installing CUDA's packages for PyTorch (some GB)", "cuda.lock")
    if not _ask_installed("check"):
        raise SetupError("What is installed does not fit together, see above: `make clean`, then again.")


def _install_local_torch() -> None:
    """The CPU build of torch, if one of pip's find-links folders holds it.

    They are asked first and alone, since pip takes a build of which the registry tells the hash over one in a folder.
    """
    command = [*FROM_LOCK, "--no-index", "--requirement", LOCKS / "torch-cpu.lock"]
    found = subprocess.run([*command, "--dry-run"], capture_output=True, check=False).returncode == 0
    if found:
        run("Installing PyTorch's CPU build from this machine", command, cwd=ROOT)


def _ask_installed(question: str) -> bool:
    return subprocess.run([PYTHON, ROOT / "scripts" / "installed.py", question], check=False).returncode == 0
