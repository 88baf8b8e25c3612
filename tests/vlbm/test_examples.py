"""The programs in examples/ run as they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.vlbm.conftest import ROOT


@pytest.mark.parametrize("name", ["vgg19_gpt2.py"])
def test_runs(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "gradients" in done.stdout
    assert not done.stderr
