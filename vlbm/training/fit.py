"""Training of any model on any encoded examples: AdamW, checkpoints, exact resume, early stop.

Each step draws its randomness from (seed, step, process) alone, so a run that is stopped and started again makes the
same steps; on a CPU its weights are the same bit for bit. Devices, several processes and mixed precision are
accelerate's. It knows neither files of data nor pictures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vlbm.errors import ConfigError, DataError
from vlbm.perception import Visual
from vlbm.training.answers import answer_loss
from vlbm.training.batches import Batch, Draws, batches
from vlbm.training.encoded import Encoded, collate
from vlbm.training.lower import LowerLayers
from vlbm.training.optimiser import is_gate, parameter_groups, schedule
from vlbm.training.plan import Plan
from vlbm.training.prefix import Prefixes, Tokens
from vlbm.weights_file import read_tensors

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
PARTS = {"fusion": ("memory.", "fusions."), "all": ("memory.", "fusions.", "language_model.")}

Tell = Callable[[int, int, float], None]


def untold(_step: int, _steps: int, _loss: float) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluation: step, losses on training and held-out examples, mean size of each fused layer's gates."""

    step: int
    loss: float
    held_out: float
    gates: tuple[float, ...]
    seconds: float


class Fit:
    """Trains a model.

    Args:
        model: a `VLBMForConditionalGeneration`.
        train, held_out: encoded examples; `held_out` decides when to stop and which weights stay. While only the fusion
            learns, those to train on need pictures: without one the model is the bare one, and nothing would learn.
        plan: how long and how fast.
        folder: of the checkpoint and the log.
        tell: is told step, steps and loss.
        watch: is given all evaluations after each one.
        accelerator: accelerate's; by default one on the CPU or GPU that is there.
        beginnings: token ids that may stand before all prompts of a batch, one of them drawn each step; evaluations
            take the first. Only while the language model is frozen.
        workers: processes that make examples and batches of them meanwhile; 0: none.

    Raises:
        DataError: there are no examples, or they hold no pixels for an encoder that learns.
        ConfigError: the encoder has fewer stages than are to learn.
    """

    def __init__(
        self,
        model: Any,
        *,
        train: Sequence[Encoded],
        held_out: Sequence[Encoded],
        plan: Plan,
        folder: Path,
        tell: Tell = untold,
        watch: Callable[[Sequence[Point]], None] | None = None,
        accelerator: Any = None,
        beginnings: Sequence[Tokens] = ((),),
        workers: int = 0,
    ) -> None:
        if not train or not held_out:
            raise DataError(f"training needs examples, got {len(train)} to train on and {len(held_out)} held out")
        self.train, self.held_out, self.plan, self.folder, self.tell = train, held_out, plan, folder, tell
        self.workers = workers
        self.accelerator = accelerator or make_accelerator(plan)
        self.watch = watch
        self.model = model
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(PARTS[plan.trained]))
        model.train_encoder(plan.encoder_stages)
        if plan.encoder_stages and any(isinstance(v, Visual) for row in (*train, *held_out) for v in row.visuals):
            raise DataError(
                f"encoder_stages {plan.encoder_stages} needs pixels, but examples hold what was seen before"
            )
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        groups = parameter_groups(self.parameters.items(), rate=plan.rate, gate_rate=plan.gate_rate)
        optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.wrapped, self.optimiser = self.accelerator.prepare(model, optimiser)
        frozen = plan.trained == "fusion" and model.config.fusion_layers
        self.prefixes = Prefixes(model, beginnings)
        self.draws = Draws(plan, rank=int(self.accelerator.process_index), beginnings=len(beginnings))
        alone = not any(beginnings)  # what lower layers make of an example depends on what stands before it
        self.lower = LowerLayers(model, limit=int(plan.lower_cache_gb * 1e9)) if frozen and alone else None
        self.step, self.points = 0, list[Point]()
        self.best = self._weights()

    def run(self) -> list[Point]:
        """Train to the end of the plan, or until held-out examples stop gaining; the best weights stay.

        Goes on from the folder's checkpoint, where there is one.
        """
        self.resume()
        started, losses = time.monotonic(), list[float]()
        coming = self.coming()
        while self.step < self.plan.steps and not self._stalled():
            losses.append(self.train_step(coming))
            self.tell(self.step, self.plan.steps, losses[-1])
            if self.step % self.plan.evaluate_every == 0 or self.step == self.plan.steps:
                self._look(sum(losses) / len(losses), time.monotonic() - started)
                losses.clear()
        self.model.load_state_dict(self.best, strict=False)
        self.model.eval()
        return self.points

    def coming(self) -> Iterator[Batch]:
        """The batches of the steps from here on."""
        return batches(self.train, self.draws, first=self.step, workers=self.workers)

    def train_step(self, coming: Iterator[Batch]) -> float:
        """One optimiser step on the next batches; returns its loss."""
        torch.manual_seed(self.draws.torch_seed(self.step))
        self.wrapped.train()
        if self.plan.trained == "fusion":
            self.model.language_model.eval()  # no dropout in what is frozen
        share = schedule(self.step, steps=self.plan.steps, warmup=self.plan.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        total = 0.0
        self.optimiser.zero_grad(set_to_none=True)
        for part in islice(coming, self.plan.accumulate):
            batch = self._begin(part.beginning, part.inputs)
            with self.accelerator.autocast(), self._begun(part):
                loss = self._loss(self.wrapped, batch) / self.plan.accumulate
            self.accelerator.backward(loss)
            total += float(loss.detach())
        self.accelerator.clip_grad_norm_(list(self.parameters.values()), self.plan.clip)
        self.optimiser.step()
        self.step += 1
        return total

    def _begun(self, part: Batch) -> AbstractContextManager[None]:
        """Lower layers that are frozen are not run again."""
        return self.lower.begun(self.lower.states(part.numbers, part.texts)) if self.lower else nullcontext()

    def _begin(self, number: int, inputs: dict[str, Any]) -> dict[str, Any]:
        """A batch after one of the beginnings, where the model is."""
        there = {name: value.to(self.accelerator.device) for name, value in inputs.items()}
        return self.prefixes.before(number, there)

    def _loss(self, model: Any, batch: dict[str, Any]) -> torch.Tensor:
        return answer_loss(model, self.model.get_output_embeddings(), batch)

    @torch.no_grad()
    def evaluate(self) -> float:
        """Mean loss a batch over all held-out examples, the same in every process, so that all stop at one step."""
        self.model.eval()
        losses = []
        for start in range(0, len(self.held_out), self.plan.batch):
            batch = self._begin(0, collate(self.held_out[start : start + self.plan.batch]))
            with self.accelerator.autocast():
                losses.append(float(self._loss(self.model, batch)))
        mean = torch.tensor(sum(losses) / len(losses), device=self.accelerator.device)
        return float(self.accelerator.reduce(mean, "mean"))

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if not self.accelerator.is_main_process:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{CHECKPOINT}.part"
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "points": [asdict(point) for point in self.points],
            "weights": self._weights(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, part)
        part.rename(self.folder / CHECKPOINT)
        log = "".join(f"{json.dumps(asdict(point))}\n" for point in self.points)
        (self.folder / LOG).write_text(log, encoding="utf-8")

    def resume(self) -> bool:
        """Go on from the checkpoint, where there is one.

        Raises:
            ConfigError: it belongs to another plan or another model.
            WeightsDamaged: it cannot be read.
        """
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return False
        state = read_tensors(path, self.accelerator.device)
        if state["plan"] != asdict(self.plan):
            theirs = {key: value for key, value in state["plan"].items() if value != asdict(self.plan).get(key)}
            raise ConfigError(f"{path} belongs to another plan ({theirs}): remove it, or train in another folder")
        if {key: value.shape for key, value in state["weights"].items()} != {
            key: value.shape for key, value in self.parameters.items()
        }:
            raise ConfigError(f"{path} belongs to another model: remove it, or train in another folder")
        self.step, self.best = state["step"], state["best"]
        self.points = [Point(**{**point, "gates": tuple(point["gates"])}) for point in state["points"]]
        self.model.load_state_dict(state["weights"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        return True

    def _look(self, loss: float, seconds: float) -> None:
        self.points.append(Point(self.step, loss, self.evaluate(), self._gates(), seconds))
        if self.points[-1].held_out <= min(point.held_out for point in self.points):
            self.best = self._weights()
        self.save()
        if self.watch and self.accelerator.is_main_process:
            self.watch(self.points)

    def _gates(self) -> tuple[float, ...]:
        """Mean absolute value of alpha, or of what makes it, in each fused layer."""
        sizes = []
        for fusion in self.model.fusions:
            named = [(name, p) for name, p in fusion.named_parameters() if is_gate(f".{name}")]
            opening = [p for name, p in named if name == "alpha"] or [p for _, p in named]
            sizes.append(float(torch.cat([p.detach().flatten() for p in opening]).abs().mean()))
        return tuple(sizes)

    def _stalled(self) -> bool:
        if len(self.points) <= self.plan.patience:
            return False
        best = min(range(len(self.points)), key=lambda n: self.points[n].held_out)
        return len(self.points) - 1 - best >= self.plan.patience

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in self.parameters.items()}


def make_accelerator(plan: Plan) -> Any:
    """accelerate's view of the devices.

    Raises:
        ConfigError: accelerate is not installed, or the precision needs another device.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState
    except ImportError as error:
        raise ConfigError("training needs accelerate: pip install 'vlbm-assistant[train]'") from error
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a batch without evidence uses less
    if plan.precision == "fp16" and not torch.accelerator.is_available():
        raise ConfigError("precision 'fp16' needs a GPU: use 'bf16' or 'no'")
    AcceleratorState._reset_state()  # else the precision of a process's first training is that of all later ones
    alone = not torch.accelerator.is_available()  # said, or accelerate takes processes on CPUs for strangers
    return Accelerator(cpu=alone, mixed_precision=plan.precision, kwargs_handlers=[unused])


def trained_count(model: nn.Module) -> int:
    """Parameters that learn."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
