"""Layers with few bits: compiled once, the same weights as before, nearly the same numbers; and an engine without."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from vlbm.engine import Engine, GenerationRequest, Message, Token
from vlbm.engine.packed import compiled
from vlbm.engine.packed.compiled import Step, library
from vlbm.engine.packed.weights import lossless, packed, unpacked
from vlbm.engine.reader import Part
from vlbm.engine.readers import reader
from vlbm.errors import ConfigError


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    library.cache_clear()
    made = library(tmp_path_factory.mktemp("compiled"))
    if made is None:
        pytest.skip("there is no compiler")
    yield Step(made, 2)
    library.cache_clear()


@pytest.mark.parametrize(("bits", "worst"), [(4, 1 / 30), (8, 1 / 500)])
def test_a_weight_is_rounded_to_the_nearest_of_its_group(step: Step, bits: int, worst: float) -> None:
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(0))
    groups = weight.view(48, 3, 32)
    spread = (groups.amax(dim=2) - groups.amin(dim=2))[:, :, None].expand_as(groups).reshape(48, 96)
    assert bool(((unpacked(packed(step, weight, bits)) - weight).abs() <= spread * worst + 1e-6).all())


def test_weights_of_few_bits_are_kept_as_they_are(step: Step, model: Any) -> None:
    assert lossless(step, model) == "int4"
    for layer in (0, 29):
        weight = model.language_model.model.layers[layer].mlp.down_proj.weight.detach()
        assert float((unpacked(packed(step, weight, 4)) - weight).abs().max()) < 1e-6
    head = model.language_model.lm_head.weight.detach()[:512]
    assert float((unpacked(packed(step, head, 8)) - head).abs().max()) < 1e-6


def test_what_is_not_made_of_groups_is_refused(step: Step) -> None:
    with pytest.raises(ConfigError, match="multiples of 16 outputs and 32 inputs, got 16 and 40"):
        packed(step, torch.zeros(16, 40), 4)


def test_logits_are_those_of_float32_but_for_rounding(model: Any) -> None:
    ids = [(place * 37) % 40_000 for place in range(70)]
    found = {}
    for precision in ("fp32", "auto"):
        read, _ = reader(model, precision, 256)
        text = read.begin(ids, 80, None)
        (seen,) = read.read([Part(text, ids, wanted=70)])
        found[precision] = seen.logits
    assert float((found["fp32"] - found["auto"]).abs().max()) < 0.15
    assert bool((found["fp32"].argmax(dim=1) == found["auto"].argmax(dim=1)).float().mean() > 0.98)


def test_it_is_compiled_once_and_again_where_it_is_torn(tmp_path: Path, step: Step) -> None:
    folder = tmp_path / "compiled"
    library.cache_clear()
    assert library(folder) is not None
    (made,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    written = made.stat().st_mtime_ns
    library.cache_clear()
    assert library(folder) is not None
    assert made.stat().st_mtime_ns == written
    other = tmp_path / "other"
    other.mkdir()
    (other / made.name).write_bytes(made.read_bytes()[:100])
    library.cache_clear()
    assert library(other) is not None
    assert (other / made.name).stat().st_size > 1000


def test_numbers_of_the_process_stay_as_they_are(step: Step) -> None:
    """A library that is linked with -ffast-math makes subnormal numbers zero in all that runs beside it."""
    assert torch.tensor(1e-310, dtype=torch.float64).item() * 0.5 > 0
    assert float("1e-310") * 0.5 > 0


@pytest.mark.parametrize(
    ("compilers", "said"), [(("no-such-compiler",), "no C++ compiler"), (("false",), "was not compiled")]
)
def test_without_a_compiler_torch_does_the_same(
    compilers: tuple[str, ...],
    said: str,
    model: Any,
    processor: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(compiled, "COMPILERS", compilers)
    monkeypatch.setenv("VLBM_CACHE", str(tmp_path))
    library.cache_clear()
    with caplog.at_level(logging.WARNING):
        engine = Engine(model, processor, tokens=1024)
    library.cache_clear()
    assert engine.precision == "fp32"
    assert said in caplog.text
    asked = GenerationRequest((Message("user", "What is the capital of France?"),), max_tokens=8)
    assert "Paris" in "".join(step.text for step in engine.generate(asked) if isinstance(step, Token))
    engine.close()


def test_an_unknown_precision_is_named(model: Any) -> None:
    with pytest.raises(ConfigError, match="unknown precision 'int3': use one of auto, fp32, bf16, fp16, int8, int4"):
        reader(model, "int3", 64)  # type: ignore[arg-type]
