"""The idle server with the packaged model: what it takes, and what it answers on plain HTTP."""

import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.conftest import Server, Start

pytestmark = pytest.mark.e2e


def test_the_idle_server_takes_less_than_a_gigabyte_and_a_half(start: Start) -> None:
    process = psutil.Process(start("serve").process.pid)
    whole = sum(part.memory_info().rss for part in (process, *process.children(recursive=True)))
    assert whole < 1.5e9, f"{whole / 1e9:.2f} GB"


def test_turns_leave_little_behind(model_server: Server) -> None:
    """After the turns of the other tests: memory of its own, without what is mapped from files (weights, libraries)."""
    status = Path(f"/proc/{model_server.worker.pid}/status").read_text(encoding="utf-8")
    own = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))
    assert own < 1e9, f"{own / 1e9:.2f} GB"


def test_health_and_page(model_server: Server) -> None:
    with urllib.request.urlopen(f"{model_server.url}/healthz", timeout=10) as answer:  # noqa: S310
        assert answer.status == 200
        assert b'"ok"' in answer.read()
    with urllib.request.urlopen(model_server.url, timeout=10) as answer:  # noqa: S310
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert b"<script" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{model_server.url}/v1/images/i_nobody", timeout=10)  # noqa: S310
    assert refused.value.code == 404
    refused.value.close()
