"""Training learns, resumes exactly, and keeps its hands off the frozen parts. On eight small stamps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlbm import packaged
from vlbm.data.stamps import read_stamps
from vlbm.errors import ConfigError
from vlbm.evidence.names import imagenet_names
from vlbm.training.loop import CHECKPOINT, Trainer, TrainingPlan, concept_split, curve
from vlbm.training.phrases import Belief, answer, with_article
from vlbm.training.prompts import Prompt, picture_prompts
from vlbm.training.recipes import stamps as recipe
from vlbm.training.renderings import cached_render
from vlbm.training.samples import Sampler, from_similarity

PLAN = TrainingPlan(steps=4, batch=3, other_share=0.0, evaluate_every=2, warmup=2, seed=3)


def silent(*_: Any) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def material(stamp_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that makes a new, untrained trainer in a folder."""
    stamps = read_stamps(stamp_folder)
    cache = packaged.default_cache_dir()
    model, processor, settings = recipe.fresh_model(stamps, cache, silent)
    work = tmp_path_factory.mktemp("work")
    renderings = cached_render(model, processor, stamps, work, each=2, empty=2, seed=1, tell=silent)
    again = cached_render(model, processor, stamps, work, each=2, empty=2, seed=1, tell=silent)
    assert torch.equal(renderings.pooled, again.pooled)
    sampler = Sampler(
        model.evidence, imagenet_names(), stamps, renderings, processor.tokenizer, model.encoder.net.classifier.weight
    )
    start = {name: p.detach().clone() for name, p in model.named_parameters() if name.startswith(("memory.", "fus"))}

    def make(folder: Path, plan: TrainingPlan = PLAN) -> Trainer:
        model.load_state_dict(start, strict=False)
        train, held_out = recipe.split(stamps, renderings, seed=3)
        prompts = picture_prompts(np.random.default_rng(0))[:2]
        return Trainer(
            model,
            processor,
            sampler,
            train=train,
            held_out=held_out or train,
            prompts=prompts,
            others=[],
            plan=plan,
            folder=folder,
            tell=silent,
        )

    make.settings = settings  # type: ignore[attr-defined]
    return make


def test_grad_of_alpha_is_there_at_step_one_and_logits_are_bare(material: Any, tmp_path: Path) -> None:
    trainer = material(tmp_path)
    model = trainer.model
    ids = torch.tensor([[1, 520, 9531, 198]])
    visual = model.look(torch.randn(1, 1, 3, 224, 224))
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids, visual=visual).logits, model.language_model(input_ids=ids).logits)
    trainer.train_step()
    for layer in model.fusions:
        assert layer.alpha.grad is not None
        assert layer.alpha.grad.abs().max() > 0
    assert all(p.grad is None for p in model.language_model.parameters())
    assert all(p.grad is None for p in model.encoder.parameters())


def test_no_weight_decay_on_alpha_beta_and_gates(material: Any, tmp_path: Path) -> None:
    trainer = material(tmp_path)
    decay = {id(p): group["weight_decay"] for group in trainer.optimiser.param_groups for p in group["params"]}
    assert len(decay) == len(trainer.parameters)
    for name, parameter in trainer.parameters.items():
        if ".gate." in name or name.endswith((".alpha", ".beta_offset")):
            assert decay[id(parameter)] == 0


def test_it_overfits_eight_examples(material: Any, tmp_path: Path) -> None:
    plan = TrainingPlan(steps=30, batch=8, warmup=4, rate=2e-3, gate_rate=1e-2, other_share=0.0, seed=3)
    trainer = material(tmp_path, plan)
    rng = np.random.default_rng(5)
    samples = [trainer.sampler.name(rng) for _ in range(8)]
    prompt = Prompt(trainer.prompts[0].messages, "caption")
    targets = [trainer._target(prompt, sample) for sample in samples]
    first = last = float("nan")
    for step in range(plan.steps):
        for group in trainer.optimiser.param_groups:
            group["lr"] = group["peak"]
        loss = trainer.loss(prompt, samples, targets)
        trainer.optimiser.zero_grad()
        loss.backward()
        trainer.optimiser.step()
        first, last = (float(loss.detach()) if step == 0 else first), float(loss.detach())
    assert first > 2
    assert last < 0.5


def test_a_resumed_run_is_bit_equal(material: Any, tmp_path: Path) -> None:
    whole = material(tmp_path / "whole")
    whole.run()
    wanted = {name: p.detach().clone() for name, p in whole.parameters.items()}
    part = material(tmp_path / "part")
    while part.step < 2:
        part.train_step()
    part.save()
    resumed = material(tmp_path / "part")
    assert resumed.resume()
    assert resumed.step == 2
    while resumed.step < PLAN.steps:
        resumed.train_step()
    last = torch.load(tmp_path / "whole" / CHECKPOINT, weights_only=True)["weights"]
    assert all(torch.equal(p, last[name]) for name, p in resumed.parameters.items())
    assert set(wanted) == set(last)
    assert len(list(curve(whole.looks))) == 2


def test_a_checkpoint_of_another_plan_is_refused(material: Any, tmp_path: Path) -> None:
    material(tmp_path).save()
    with pytest.raises(ConfigError, match="another plan"):
        material(tmp_path, TrainingPlan(steps=9)).resume()
    with pytest.raises(ConfigError, match="0 steps"):
        TrainingPlan(steps=0)


def test_what_is_written_loads_again(material: Any, tmp_path: Path) -> None:
    trainer = material(tmp_path / "work")
    recipe.write(trainer.model, material.settings, tmp_path / "out")
    packaged.verify(tmp_path / "out")
    model, _ = packaged.load_packaged(folder=tmp_path / "out")
    assert model.config.memory_pictures == 8


def test_concepts_are_split_whole() -> None:
    heads = ["cat", "dog", "cat", "owl", "bee", "ant", "cow", "pig", "hen", "fox", "bat"]
    held = concept_split(heads, 0.2, np.random.default_rng(0))
    assert len(held) == 2
    assert held <= set(heads)


@pytest.mark.parametrize(
    ("belief", "said"),
    [
        (Belief("a cat", 0.9), "This is a cat."),
        (Belief("two flowers", 0.9), "These are two flowers."),
        (Belief("a cat", 0.3), "It looks like a cat."),
        (Belief("a cat", 0.15, other="a fox"), "I am not sure. It could be a cat or a fox."),
        (Belief("a cat", 0.15), "I am not sure. It could be a cat."),
        (Belief("a cat", 0.02), "I cannot tell what is in this picture."),
        (Belief(None, 0.0), "I cannot tell what is in this picture."),
    ],
)
def test_answers_are_as_sure_as_the_evidence(belief: Belief, said: str) -> None:
    assert answer("what", belief) == said


def test_articles_and_similarities() -> None:
    assert [with_article(name) for name in ("owl", "unicycle", "jeans", "cup")] == [
        "an owl",
        "a unicycle",
        "jeans",
        "a cup",
    ]
    assert from_similarity(0.1) == 0
    assert from_similarity(0.9) == 1
    assert answer("describe", Belief("a cat", 0.9, fine="a tabby")) == "The picture shows a cat. It looks like a tabby."
