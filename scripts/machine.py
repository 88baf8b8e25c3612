"""What the tests drive beside the project's own code: Debian's programs, and pictures from packages."""

import os
import re
import shutil
import tarfile
from pathlib import Path

from packages import LOCKS, PYTHON, ROOT, install, version
from steps import SetupError, Step, run

PROGRAMS = {"chromium": "chromium", "redis-server": "redis-server", "prosody": "prosody"}
"""Programs that tests start -> their Debian packages."""
PICTURES: tuple[str, ...] = ("gcompris-qt-data",)
"""Debian packages with pictures for tests, unpacked into .cache/testdata/NAME. (PyPI: requirements/testdata.in.)"""
TEST_DATA = ROOT / ".cache" / "testdata"
HOSTILE = TEST_DATA / "hostile"
APT: list[str | Path] = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "SYSTEMD_OFFLINE": "1"}
"""No questions, and no service is started: the tests start their own."""


def programs() -> None:
    """Debian's programs; installed where this runs as root.

    Raises:
        SetupError: some are missing and cannot be installed.
    """
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not missing:
        return
    command: list[str | Path] = [*APT, "install", "--yes", "--no-install-recommends", *missing]
    by_hand = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(
            f"The tests need {', '.join(missing)}. Install with:\n  {by_hand}\n"
            "(Elsewhere than on Debian: by that system's packages; on Ubuntu chromium is `snap install chromium`.)"
        )
    environment = {**os.environ, **QUIET}
    run("Reading Debian's package lists", [*APT, "update"], cwd=ROOT, env=environment)
    run(f"Installing {', '.join(missing)}", command, cwd=ROOT, env=environment)


def test_data() -> None:
    """Pictures from packages of PyPI and Debian, under .cache/testdata."""
    lock = LOCKS / "testdata.lock"
    if re.search(r"^\w", lock.read_text(encoding="utf-8"), re.MULTILINE):
        Step(stamp=TEST_DATA / ".stamp", inputs=(lock, version()), outputs=(), action=_install_pictures).do()
    hostile = LOCKS / "hostile.lock"
    Step(stamp=TEST_DATA / ".stamp-hostile", inputs=(hostile,), outputs=(HOSTILE,), action=_fetch_hostile).do()
    for package in PICTURES:
        if not (TEST_DATA / package).exists():
            _unpack(package)


def _install_pictures() -> None:
    install("Fetching pictures for the tests", "testdata.lock", "--upgrade", "--target", TEST_DATA)


def _fetch_hostile() -> None:
    """The pictures of Pillow's own tests, out of its source distribution."""
    part = TEST_DATA / "hostile.part"
    shutil.rmtree(part, ignore_errors=True)
    command: list[str | Path] = [PYTHON, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    chosen: list[str | Path] = ["--no-binary=pillow", "--require-hashes", "--dest", part]
    run(
        "Fetching broken pictures for the tests", [*command, *chosen, "--requirement", LOCKS / "hostile.lock"], cwd=ROOT
    )
    with tarfile.open(next(part.glob("*.tar.gz"))) as archive:
        wanted = [member for member in archive if "/Tests/images/" in member.name]
        archive.extractall(part, wanted, filter="data")
    shutil.rmtree(HOSTILE, ignore_errors=True)
    next(part.glob("*/Tests/images")).rename(HOSTILE)
    shutil.rmtree(part)


def _unpack(package: str) -> None:
    """Fetch a Debian package and unpack it; only a whole one has the final name."""
    part = TEST_DATA / f"{package}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    run(f"Fetching {package} for the tests", ["apt-get", "download", package], cwd=part)
    archive = next(part.glob("*.deb"))
    run(f"Unpacking {package}", ["dpkg", "-x", archive, part], cwd=part)
    archive.unlink()
    part.rename(TEST_DATA / package)
