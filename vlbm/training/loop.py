"""The training loop: AdamW over fusions and projection, everything else frozen; checkpoints and exact resume.

Each step draws its randomness from (seed, step) alone, so a run that is stopped and started again makes the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vlbm.errors import ConfigError
from vlbm.evidence.table import lay_out
from vlbm.perception import Visual
from vlbm.training.optimiser import parameter_groups, schedule
from vlbm.training.phrases import answer
from vlbm.training.prompts import Prompt, PromptCache
from vlbm.training.samples import Sample, Sampler, stack

IGNORED = -100
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long and how fast.

    Attributes:
        steps: optimiser steps.
        batch: samples a step; they share one prompt.
        rate: peak learning rate of projections; `gate_rate` of alpha, beta and the gates.
        warmup: steps of linear warm-up; then a cosine to a twentieth.
        other_share: share of steps on questions that have nothing to do with the picture.
        evaluate_every: steps between looks at held-out concepts; `patience` looks without gain end the run.
        seed: of everything random.
    """

    steps: int = 480
    batch: int = 20
    rate: float = 8e-4
    gate_rate: float = 4e-3
    warmup: int = 40
    other_share: float = 0.24
    evaluate_every: int = 80
    patience: int = 5
    seed: int = 20261124

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ConfigError(f"a plan needs steps and a batch, got {self.steps} steps of {self.batch}")


@dataclass(frozen=True, slots=True)
class Look:
    """One evaluation: step, loss on held-out concepts, seconds since the start."""

    step: int
    loss: float
    seconds: float


class Trainer:
    """Trains a model on samples.

    Args:
        model, processor: made fresh by `packaged.assemble`.
        sampler: draws samples.
        train, held_out: renderings that may be asked about in training, and in evaluation.
        prompts, others: questions about the picture, and others.
        folder: of the checkpoint.
        tell: is told step, steps and loss.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        sampler: Sampler,
        *,
        train: list[int],
        held_out: list[int],
        prompts: list[Prompt],
        others: list[Prompt],
        plan: TrainingPlan,
        folder: Path,
        tell: Callable[[int, int, float], None],
    ) -> None:
        self.model, self.processor, self.sampler = model, processor, sampler
        self.train, self.held_out, self.prompts, self.others = train, held_out, prompts, others
        self.plan, self.folder, self.tell = plan, folder, tell
        self.cache = PromptCache(model, processor)
        self.parameters = {name: p for name, p in model.named_parameters() if name.startswith(("memory.", "fusions."))}
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.parameters.items(), rate=plan.rate, gate_rate=plan.gate_rate), betas=(0.9, 0.98)
        )
        self.step, self.looks = 0, list[Look]()
        self.best: dict[str, torch.Tensor] = self._weights()

    def run(self) -> list[Look]:
        """Train to the end of the plan, or until held-out concepts stop gaining; the best weights stay."""
        self.resume()
        started = time.monotonic()
        while self.step < self.plan.steps and not self._stalled():
            loss = self.train_step()
            self.tell(self.step, self.plan.steps, loss)
            if self.step % self.plan.evaluate_every == 0:
                self.looks.append(Look(self.step, self.evaluate(), time.monotonic() - started))
                if self.looks[-1].loss <= min(look.loss for look in self.looks):
                    self.best = self._weights()
                self.save()
        self.model.load_state_dict(self.best, strict=False)
        return self.looks

    def train_step(self) -> float:
        """One step; returns its loss."""
        rng = np.random.default_rng([self.plan.seed, self.step])
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * schedule(self.step, steps=self.plan.steps, warmup=self.plan.warmup)
        loss = self._loss(rng, self.train)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(list(self.parameters.values()), 1.0)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def evaluate(self) -> float:
        """Loss over a fixed set of samples of held-out concepts."""
        losses = [float(self._loss(np.random.default_rng([self.plan.seed, 1, n]), self.held_out)) for n in range(12)]
        return sum(losses) / len(losses)

    def _loss(self, rng: np.random.Generator, allowed: list[int]) -> torch.Tensor:
        samples = [self.sampler.draw(allowed, rng) for _ in range(self.plan.batch)]
        if rng.random() < self.plan.other_share:
            prompt = self.others[int(rng.integers(len(self.others)))]
            samples = samples[: max(1, self.plan.batch // 3)]
            targets = [prompt.answer or [] for _ in samples]
        else:
            prompt = self.prompts[int(rng.integers(len(self.prompts)))]
            targets = [self._target(prompt, sample) for sample in samples]
        return self.loss(prompt, samples, targets)

    def loss(self, prompt: Prompt, samples: list[Sample], targets: list[list[int]]) -> torch.Tensor:
        """Cross-entropy of the answers, over the full vocabulary."""
        cache, header = self.cache.read(prompt, len(samples))
        length = max(len(target) for target in targets)
        ids = torch.full((len(samples), len(header) + length), 0)
        labels = torch.full_like(ids, IGNORED)
        for row, target in enumerate(targets):
            ids[row, : len(header) + len(target)] = torch.tensor(header + target)
            labels[row, len(header) : len(header) + len(target)] = torch.tensor(target)
        memory = self._memory(samples)
        with torch.autocast("cpu", torch.bfloat16):
            memories = [layer.prepare(memory) for layer in self.model.fusions]
            logits = self.model(input_ids=ids, past_key_values=cache, memories=memories, use_cache=True).logits
        shifted, wanted = logits[:, len(header) - 1 : -1], labels[:, len(header) :]
        return nn.functional.cross_entropy(shifted.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED)

    def _memory(self, samples: list[Sample]) -> Any:
        grid = torch.stack([self.sampler.renderings.grid[sample.rendering] for sample in samples]).float()
        visual = Visual(grid=grid, evidence=lay_out(stack(samples)))
        weight = self.model.get_input_embeddings().weight
        memory = self.model.memory(visual, weight, self.model.embedding_mean)
        shown = torch.tensor([sample.use_grid for sample in samples])[:, None] | memory.words
        return replace(memory, mask=memory.mask & shown)

    def _target(self, prompt: Prompt, sample: Sample) -> list[int]:
        text = answer(prompt.kind or "describe", sample.belief) + "<|im_end|>"
        ids: list[int] = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _stalled(self) -> bool:
        if len(self.looks) <= self.plan.patience:
            return False
        best = min(range(len(self.looks)), key=lambda n: self.looks[n].loss)
        return len(self.looks) - 1 - best >= self.plan.patience

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in self.parameters.items()}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{CHECKPOINT}.part"
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "looks": [asdict(look) for look in self.looks],
            "weights": self._weights(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, part)
        part.rename(self.folder / CHECKPOINT)

    def resume(self) -> bool:
        """Go on from the checkpoint, where there is one of the same plan."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise ConfigError(f"{path} belongs to another plan: remove it, or train in another folder")
        self.step, self.best = state["step"], state["best"]
        self.looks = [Look(**look) for look in state["looks"]]
        self.model.load_state_dict(state["weights"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        return True


def concept_split(heads: list[str], share: float, rng: np.random.Generator) -> set[str]:
    """Concepts held out: a share of the distinct head nouns."""
    distinct = sorted(set(heads))
    return {distinct[int(index)] for index in rng.permutation(len(distinct))[: int(len(distinct) * share)]}


def curve(looks: list[Look]) -> Iterator[str]:
    """The evaluations as lines of text."""
    for look in looks:
        yield f"step {look.step}: held-out loss {look.loss:.3f} after {look.seconds / 60:.1f} min"
