"""Training: resumed it is bit-equal, parts of a batch make the whole, it stops when nothing is gained, and says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config

import vlbm
from vlbm.data.records import Example
from vlbm.errors import ConfigError, DataError, WeightsDamaged
from vlbm.evaluation.contrast import log_likelihoods, preferred
from vlbm.perception import Visual
from vlbm.tasks import question
from vlbm.tokenizer import train_tokenizer
from vlbm.training.encoded import Encoded, collate, encode
from vlbm.training.fit import CHECKPOINT, LOG, Fit, trained_count
from vlbm.training.optimiser import parameter_groups, schedule
from vlbm.training.plan import Plan, Trained

TOKENIZER = train_tokenizer(["She saw the bat."], vocab_size=300)
PLAN = Plan(steps=6, batch=4, rate=3e-3, warmup=2, trained="all", evaluate_every=3, patience=9)


def fresh() -> tuple[Any, Any]:
    torch.manual_seed(0)
    text = GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=96, vocab_size=300, bos_token_id=0, eos_token_id=1)
    return vlbm.build(
        text, tokenizer=TOKENIZER, encoder="resnet18", encoder_weights="random", fusion_heads=2, fusion_head_width=8
    )


def rows(model: Any, processor: Any, count: int = 8) -> list[Encoded]:
    generator = torch.Generator().manual_seed(1)
    evidence = model.evidence(torch.zeros(1, 1000), torch.zeros(1, 512))
    made = []
    for number in range(count):
        visuals = [Visual(torch.randn(1, 49, 512, generator=generator), evidence)] * (number % 3)
        example = Example((), target=f"It is {number}.", task="chat", text="What?")
        made.append(encode(processor, example, visuals, context=96))
    return made


def fit(folder: Path, plan: Plan = PLAN) -> tuple[Fit, Any]:
    model, processor = fresh()
    examples = rows(model, processor)
    train = examples if plan.trained == "all" else [row for row in examples if row.visuals]
    return Fit(model, train=train, held_out=examples[:3], plan=plan, folder=folder), model


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("trained", ["all", "fusion"])  # with "fusion", lower layers are kept and found anew
def test_resumed_is_bit_equal(trained: Trained, tmp_path: Path) -> None:
    plan = replace(PLAN, trained=trained)
    whole, straight = fit(tmp_path / "whole", plan)
    whole.run()
    first, _ = fit(tmp_path / "parts", plan)
    coming = first.coming()
    for _ in range(3):
        first.train_step(coming)
    first._look(0.0, 0.0)
    first.train_step(coming)  # lost: the checkpoint is older
    second, resumed = fit(tmp_path / "parts", plan)
    points = second.run()
    assert [point.step for point in points] == [3, 6]
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(straight).items())
    assert (tmp_path / "parts" / LOG).read_text(encoding="utf-8").count("\n") == 2
    assert len(points[0].gates) == 1


def test_the_loss_falls_and_what_is_frozen_stays(tmp_path: Path) -> None:
    training, model = fit(tmp_path, replace(PLAN, steps=60, evaluate_every=30, trained="fusion"))
    before = weights(model)
    points = training.run()
    assert points[-1].held_out < points[0].held_out
    changed = {name.partition(".")[0] for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed == {"fusions", "memory"}
    assert trained_count(model) == sum(p.numel() for n, p in model.named_parameters() if n.startswith(("fus", "mem")))


def test_other_processes_make_the_same_batches(tmp_path: Path) -> None:
    model, processor = fresh()
    plan = replace(PLAN, accumulate=2, trained="fusion")
    examples = [row for row in rows(model, processor) if row.visuals]
    alone, helped = (
        Fit(model, train=examples, held_out=examples, plan=plan, folder=tmp_path, workers=workers) for workers in (0, 2)
    )
    alone.step = helped.step = 2
    pairs = list(zip(alone.coming(), helped.coming(), strict=True))
    assert len(pairs) == 2 * (PLAN.steps - 2)
    for one, other in pairs:
        assert (one.numbers, one.texts, one.beginning) == (other.numbers, other.texts, other.beginning)
        assert torch.equal(one.inputs["input_ids"], other.inputs["input_ids"])
        assert torch.equal(one.inputs["visual"].grid, other.inputs["visual"].grid)


def test_parts_of_a_batch_make_the_whole(tmp_path: Path) -> None:
    """Rows of equal length, so that a mean of means is the mean; nothing is dropped where all is frozen but fusions."""
    found = []
    for accumulate in (1, 4):
        model, processor = fresh()
        examples = [row for row in rows(model, processor) if len(row.visuals) == 1]
        plan = replace(PLAN, accumulate=accumulate, trained="fusion")
        training = Fit(model, train=examples, held_out=examples, plan=plan, folder=tmp_path / "x")
        coming = training.coming()
        found.append(([training.train_step(coming) for _ in range(3)], weights(model)))
    (whole, after), (parts, after_parts) = found
    assert whole == pytest.approx(parts, abs=1e-5)
    assert all(torch.allclose(value, after_parts[name], atol=1e-4) for name, value in after.items())


def test_mixed_precision_learns_and_keeps_weights_whole(tmp_path: Path) -> None:
    training, model = fit(tmp_path, replace(PLAN, steps=40, evaluate_every=20, precision="bf16"))
    points = training.run()
    assert points[-1].held_out < points[0].held_out
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.skipif(torch.accelerator.is_available(), reason="half precision needs a GPU, and there is one")
def test_half_precision_without_a_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precision 'fp16' needs a GPU: use 'bf16' or 'no'"):
        fit(tmp_path, replace(PLAN, precision="fp16"))


def test_it_stops_when_nothing_is_gained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, model = fit(tmp_path, replace(PLAN, steps=40, evaluate_every=2, patience=2))
    losses = iter([1.0, 0.5, 0.7, 0.6, 0.9])
    monkeypatch.setattr(training, "evaluate", lambda: next(losses))
    kept: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(training, "save", lambda: kept.append(weights(model)))
    points = training.run()
    assert [point.held_out for point in points] == [1.0, 0.5, 0.7, 0.6]
    assert all(torch.equal(value, weights(model)[name]) for name, value in kept[1].items())


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    training, _ = fit(tmp_path)
    training.save()
    with pytest.raises(ConfigError, match=r"another plan \(\{'batch': 4\}\)"):
        fit(tmp_path, replace(PLAN, batch=2))[0].resume()
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    state["weights"].pop("fusions.0.alpha")
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(ConfigError, match="another model"):
        fit(tmp_path)[0].resume()
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(WeightsDamaged, match="cannot be read as plain tensors"):
        fit(tmp_path)[0].resume()


def test_no_examples_and_long_ones_are_said(tmp_path: Path) -> None:
    model, processor = fresh()
    with pytest.raises(DataError, match="got 0 to train on and 1 held out"):
        Fit(model, train=[], held_out=rows(model, processor, 1), plan=PLAN, folder=tmp_path)
    with pytest.raises(DataError, match=r"have \d+ and \d+ tokens, the model holds 96"):
        encode(processor, Example((), "word " * 99), [], context=96)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "steps must be at least 1, got 0"),
        ("rate", 0.0, "rate must be above 0"),
        ("warmup", -1, "warmup must not be below 0"),
        ("accumulate", 3, "batch 4 must be a multiple of accumulate 3"),
        ("precision", "fp8", "unknown precision 'fp8': use one of no, bf16, fp16"),
        ("trained", "some", "unknown trained 'some': use one of fusion, all"),
    ],
)
def test_a_wrong_plan_names_the_field(field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PLAN, **{field: value})


def test_a_batch_has_labels_on_answers_only() -> None:
    model, processor = fresh()
    made = rows(model, processor, 3)
    batch = collate(made)
    labels = batch["labels"]
    for number, row in enumerate(made):
        assert tuple(labels[number][labels[number] >= 0].tolist()) == row.target
        assert int(batch["attention_mask"][number].sum()) == len(row.prompt) + len(row.target)
    assert batch["has_picture"].tolist() == [False, True, True]
    assert "visual" not in collate(made[:1])


def test_gates_have_no_decay() -> None:
    model, _ = fresh()
    decayed, plain, gates = parameter_groups(model.named_parameters(), rate=1.0, gate_rate=2.0)
    named = {id(p): name for name, p in model.named_parameters()}
    assert all("fusions" in named[id(p)] for p in gates["params"])
    assert {"alpha", "beta_offset"} <= {named[id(p)].rpartition(".")[2] for p in gates["params"]}
    assert gates["weight_decay"] == plain["weight_decay"] == 0
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert schedule(0, steps=10, warmup=2) == 0.5
    assert schedule(10, steps=10, warmup=2) == pytest.approx(0.05)


def test_likelihoods_are_sums_over_the_answer() -> None:
    model, processor = fresh()
    made = rows(model, processor, 4)
    together = log_likelihoods(model, made, batch=3)
    alone = torch.cat([log_likelihoods(model, [row]) for row in made])
    assert torch.allclose(together, alone, atol=1e-4)
    losses = [float(model(**collate([row])).loss.detach()) * -len(row.target) for row in made]
    assert alone.tolist() == pytest.approx(losses, abs=1e-3)
    assert preferred(model, made, made) == [0.5] * 4
    with pytest.raises(ValueError, match="4 right answers and 1 wrong"):
        preferred(model, made, made[:1])


def test_questions_of_tasks() -> None:
    assert question("caption") == "Describe the picture."
    assert question("caption", language="de") == "Describe the picture. Answer in German."
    assert question("translate", "a bat", "fr-CA") == "Translate into French: a bat"
    assert question("summarise", "Long.") == "Summarise: Long."
    assert question("chat", "Why?", "tlh") == "Why? Answer in tlh."
