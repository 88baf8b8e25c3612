"""One forward with a picture: how fusions get at the states of a language model that knows nothing of them.

Hooks on the outputs of chosen layers look for the pass that runs in their context; outside one they do nothing, and the
language model is the bare one. Adapters that `peft` puts on the language model are held to the same: they act where
the pass says so. It knows layers and fusions, and nothing of pictures, prompts or loss.

Shapes: b batch, t text tokens, d model width, n memory slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from vlbm.errors import ConfigError
from vlbm.fusion import Fused, Prepared


@dataclass(slots=True)
class FusionPass:
    """One forward with a picture.

    Attributes:
        fusions: those of the model.
        memories: what each of them attends to.
        tokens: embeddings of the current input tokens, RMS 1 [b,t,d].
        active: m, the tokens that are fused [b,t] bool.
        adapted: the tokens on which adapters of the language model act [b,t] bool.
        in_full: keep all that the fusions tell, not the picture's weight alone.
    """

    fusions: nn.ModuleList
    memories: list[Prepared]
    tokens: torch.Tensor
    active: torch.Tensor
    adapted: torch.Tensor
    in_full: bool = False
    _weights: list[torch.Tensor] = field(default_factory=list)
    _accounts: list[Fused] = field(default_factory=list)

    def fuse(self, index: int, states: torch.Tensor) -> torch.Tensor:
        """M -> R [b,t,d] by one fusion, noting what it did."""
        fused = self.fusions[index](states, self.tokens, self.memories[index], self.active)
        self._weights.append(fused.weight)
        if self.in_full:
            self._accounts.append(fused)
        result: torch.Tensor = fused.states
        return result

    def told(self) -> dict[str, torch.Tensor]:
        """What the fusions did, as fields of `VLBMOutput`."""
        weight = {"image_weight": torch.stack(self._weights).mean(dim=0)}
        if not self.in_full:
            return weight
        alphas, betas, attentions = (
            torch.stack([getattr(account, name) for account in self._accounts])
            for name in ("alpha", "beta", "attention")
        )
        return {
            **weight,
            "fusion_alphas": alphas,
            "fusion_betas": betas,
            "fusion_ratios": alphas / betas.clamp_min(1e-12),
            "fusion_attentions": attentions,
        }


def fusion_pass(
    fusions: nn.ModuleList,
    memories: list[Prepared],
    tokens: torch.Tensor,
    *,
    past: int,
    start: torch.Tensor | None,
    has_picture: torch.Tensor | None,
) -> FusionPass:
    """A forward's pass.

    Args:
        fusions, memories, tokens: see `FusionPass`; there may be several answers a picture (beams, sequences).
        past: tokens that were read before.
        start: first position, past included, on which fusions act [b]; default 0. A fusion of the prompt acts on as
            many tokens as it has from there on.
        has_picture: rows that have one [b] bool; default all.
    """
    b, t = tokens.shape[:2]
    pictures = memories[0].keys.shape[0]
    if pictures != b:
        memories = [layer.repeat(b // pictures) for layer in memories]
    positions = torch.arange(past, past + t, device=tokens.device)
    first = torch.zeros(b, dtype=torch.long) if start is None else start.reshape(-1)
    first = first.to(tokens.device).repeat_interleave(b // first.shape[0])
    answer = positions[None, :] >= first[:, None]  # [b,t]
    if has_picture is not None:
        answer = answer & has_picture.to(tokens.device).repeat_interleave(b // has_picture.shape[0])[:, None]
    active = answer
    if prompt := int(fusions[0].prompt_tokens):  # type: ignore[arg-type]
        active = answer & (positions[None, :] < first[:, None] + prompt)
    return FusionPass(fusions=fusions, memories=memories, tokens=tokens, active=active, adapted=answer)


# A context variable, not an attribute: two threads may run forwards of one model, and a copy shares no state with it.
_current: ContextVar[FusionPass | None] = ContextVar("vlbm_fusion_pass", default=None)
_adapters_asked_for: ContextVar[bool] = ContextVar("vlbm_adapters", default=False)


@contextmanager
def fusing(fusion_pass: FusionPass | None) -> Iterator[None]:
    """Within it, hooks act for this pass; None is none."""
    token = _current.set(fusion_pass)
    try:
        yield
    finally:
        _current.reset(token)


def fusing_hook(index: int) -> Any:
    """A forward hook that fuses a layer's output, and leaves it alone outside a pass."""

    def fuse(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        current = _current.get()
        if current is None:
            return None
        if isinstance(output, tuple):
            return (current.fuse(index, output[0]), *output[1:])
        return current.fuse(index, output)

    return fuse


def gate_adapters(model: nn.Module) -> int:
    """Let LoRA on the language model (Hu et al. 2022, by `peft`) act only where a picture or a task asks for it.

    Without it a trained adapter changes every answer. With it, the model without a picture is the bare language model,
    bit for bit; with one, adapters act from where the fusion begins. `adapters_everywhere` is for tasks of text alone.

    Args:
        model: what `peft.get_peft_model` returned. To be called once.

    Returns:
        how many adapted layers were found.

    Raises:
        ConfigError: there are none.
    """
    found = [layer for name, part in model.named_modules() if name.endswith(".lora_B") for layer in part.children()]
    if not found:
        raise ConfigError("the model has no LoRA layers: give what peft.get_peft_model made of it")
    for layer in found:
        layer.register_forward_hook(_gate)
    return len(found)


@contextmanager
def adapters_everywhere() -> Iterator[None]:
    """Within it, adapters act on every token, picture or not: for a task of text alone that they were trained on."""
    token = _adapters_asked_for.set(True)
    try:
        yield
    finally:
        _adapters_asked_for.reset(token)


def _gate(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
    """What LoRA adds to a layer's output [b,t,...], where it shall act; zero elsewhere."""
    current = _current.get()
    if _adapters_asked_for.get():
        return None
    if current is None:
        return torch.zeros_like(output)
    return torch.where(current.adapted.unsqueeze(-1), output, 0.0)
