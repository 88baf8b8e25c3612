"""The synthetic proof in its short form: one fusion, one encoder, one language model, measured for real."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from vlbm.cli import EXIT_ERROR, main
from vlbm.evaluation import proof
from vlbm.evaluation.proof import Proof


@pytest.mark.timeout(600)  # less than half a minute on two idle cores
def test_the_picture_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "TRAIN", 480)
    monkeypatch.setattr(proof, "TEST", 96)
    monkeypatch.setattr(proof, "PLAN", replace(proof.PLAN, steps=150, rate=5e-3, evaluate_every=150))
    result = CliRunner().invoke(main, ["prove", "--language-model", "gru", "--fusion", "sum_token"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "the picture is used"
    assert result.stdout.startswith("right picture: ")


@pytest.mark.parametrize("option", ["fusion", "language-model", "encoder"])
def test_wrong_names_are_said_at_once(option: str) -> None:
    result = CliRunner().invoke(main, ["prove", f"--{option}", "nonsense"])
    assert result.exit_code == EXIT_ERROR
    assert result.stderr.startswith("vlbm: unknown ")
    assert "'nonsense': use one of" in result.stderr


def test_a_proof_needs_all_its_parts() -> None:
    good = Proof("f", "e", "l", right=0.95, swapped=0.05, blank=0.5, none=0.5, seconds=1.0)
    assert good.holds
    assert not Proof("f", "e", "l", right=0.94, swapped=0.05, blank=0.5, none=0.5, seconds=1.0).holds
    assert not Proof("f", "e", "l", right=0.95, swapped=0.06, blank=0.5, none=0.5, seconds=1.0).holds
    assert not Proof("f", "e", "l", right=0.95, swapped=0.05, blank=0.5, none=0.56, seconds=1.0).holds
