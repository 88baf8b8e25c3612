"""Write the lock files of ``requirements/`` from ``pyproject.toml`` and the ``.in`` files there (``make lock``).

Reads the metadata of packages only and downloads no wheel. One resolution serves every platform and Python version;
what only a CUDA build of torch needs goes to a lock of its own. What is locked stays as it is where it can; arguments
go to uv: ``--upgrade`` takes the newest of all, ``--upgrade-package NAME`` of one.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("requirements")
CUDA = re.compile(r"(nvidia-|cuda-|triton==)")
COMPILE = ["-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"]
COMPILE += ["--no-annotate", "--no-header", "--no-emit-index-url"]
OVERRIDES = ["--override", "requirements/overrides.txt"]

Lock = dict[str, list[str]]
"""A requirement with its version and marker -> its hashes."""


def read(name: str) -> Lock:
    """A lock file; empty if there is none."""
    path = ROOT / FOLDER / name
    return parse(path.read_text(encoding="utf-8")) if path.exists() else {}


def parse(text: str) -> Lock:
    """The requirements in the text of a lock file."""
    lock: Lock = {}
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        if requirement and not requirement.startswith("#"):
            lock[requirement] = hashes
    return lock


def show(lock: Lock) -> str:
    """The text of a lock file, sorted."""
    return "".join(
        " \\\n    ".join([requirement, *(f"--hash={value}" for value in sorted(lock[requirement]))]) + "\n"
        for requirement in sorted(lock)
    )


def write(name: str, lock: Lock, *sources: str) -> None:
    """Replace a lock file."""
    text = f"# Written by `make lock` from {' and '.join(sources)}.\n{show(lock)}"
    (ROOT / FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{FOLDER / name}: {len(lock)} packages")


def resolve(kept: Lock, sources: Iterable[str], *options: str) -> Lock:
    """The lock of ``sources``: versions of ``kept`` where they still serve, the newest otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.lock"
        output.write_text(show(kept), encoding="utf-8")
        command = [sys.executable, *COMPILE, *options, *sys.argv[1:], *sources, "--output-file", str(output)]
        subprocess.run(command, cwd=ROOT, check=True)
        return parse(output.read_text(encoding="utf-8"))


def lock_run() -> Lock:
    """What the program needs. Returns all of it, CUDA included."""
    sources = ["pyproject.toml", "requirements/run.in"]
    locked = resolve(read("run.lock") | read("cuda.lock"), sources, "--extra=ocr", *OVERRIDES)
    cuda = {name: locked.pop(name) for name in [*locked] if CUDA.match(name)}
    weights = resolve(read("run.lock"), ["requirements/weights.in"], "--no-deps")
    for name, hashes in read("torch-cpu.lock").items():
        if name not in locked:
            sys.exit(f"torch-cpu.lock has {name}, which is not what is locked: put the new build there")
        locked[name] = sorted({*locked[name], *hashes})
    write("run.lock", locked | weights, "pyproject.toml [ocr]", sources[1], "requirements/weights.in")
    write("cuda.lock", cuda, "torch's default build")
    return locked | weights | cuda


def lock_test(run: Lock) -> None:
    """What the tests need beside what the program needs."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(run))
        constraints.flush()
        options = ["--extra=test", "--constraint", constraints.name, *OVERRIDES]
        extra = resolve(run | read("test.lock"), ["pyproject.toml"], *options)
    write("test.lock", {name: hashes for name, hashes in extra.items() if name not in run}, "pyproject.toml [test]")


def main() -> None:
    """Write all locks."""
    lock_test(lock_run())
    for name in ("node", "tools", "testdata"):
        source = f"requirements/{name}.in"
        write(f"{name}.lock", resolve(read(f"{name}.lock"), [source], "--no-deps"), source)


if __name__ == "__main__":
    main()
