"""Set up what the program and its tests need, each step once and again when its inputs change.

``setup dependencies``: .venv with the locked packages; ``run``: with the project and the web client; ``lint``: with
what the checks need; ``test``: with what the tests need; ``npm ARGUMENTS``: npm in the web client's folder; ``lock``:
write the lock files anew.
Everything is made inside the checkout, but for Debian's programs. Needs only Python's standard library.
"""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator

import machine
import packages
import web
from steps import SetupError


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two set-ups of one checkout take turns."""
    web.STATE.mkdir(parents=True, exist_ok=True)
    with (web.STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up of this checkout to end ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def for_run() -> None:
    """All that `make run` needs."""
    packages.dependencies()
    packages.project()
    web.built()


def for_lint() -> None:
    """All that `make lint` needs."""
    packages.dependencies()
    packages.project()
    packages.test_dependencies()


def for_test() -> None:
    """All that `make test` needs."""
    machine.programs()
    for_lint()
    machine.test_data()
    web.built()
    web.modules()


def npm(arguments: list[str]) -> None:
    """Become npm in the web client's folder."""
    environment = web.environment()
    os.chdir(web.WEB)
    os.execvpe("npm", ["npm", *arguments], environment)


def lock(arguments: list[str]) -> None:
    """Write the lock files anew, with the arguments that go to uv."""
    packages.make_environment()
    packages.locked("tools", lambda: packages.install("Installing uv", "tools.lock"), "tools.lock")
    os.execv(packages.PYTHON, [str(packages.PYTHON), str(packages.ROOT / "scripts" / "lock.py"), *arguments])


STEPS = {"dependencies": packages.dependencies, "run": for_run, "lint": for_lint, "test": for_test}
PROGRAMS = {"npm": npm, "lock": lock}


def main(command: str, arguments: list[str]) -> None:
    """Do a command of the module's docstring; exit status 2 with the reason if it cannot be."""
    try:
        if command in STEPS:
            with alone():
                STEPS[command]()
        else:
            PROGRAMS[command](arguments)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run it again to go on from here.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
