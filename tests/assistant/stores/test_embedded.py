import os
from pathlib import Path

import pytest

from assistant.stores.embedded import EmbeddedRedis, running_url


async def test_a_server_that_runs_on_a_folder_is_found_by_others_until_it_stops(tmp_path: Path) -> None:
    assert running_url(tmp_path) is None
    async with EmbeddedRedis(tmp_path) as server:
        assert running_url(tmp_path) == server.url
        left = (tmp_path / "socket").read_text(encoding="utf-8")
    assert running_url(tmp_path) is None
    assert not (tmp_path / "socket").exists()
    (tmp_path / "socket").write_text(left, encoding="utf-8")  # as after a crash
    assert running_url(tmp_path) is None


async def test_a_socket_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give a folder away")
    async with EmbeddedRedis(tmp_path / "redis") as server:
        assert running_url(tmp_path / "redis") == server.url
        os.chown(tmp_path / "redis", 12345, -1)
        assert running_url(tmp_path / "redis") is None
        os.chown(tmp_path / "redis", 0, -1)
