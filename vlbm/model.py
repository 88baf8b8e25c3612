"""The joint: pictures -> encoder -> evidence and projection -> fused language model -> loss.

It is a transformers model (`from_pretrained`, `save_pretrained`, `generate`). The language model inside is untouched:
its keys are its own, and the fusion acts through hooks on the outputs of chosen layers, only while a forward with a
picture runs and only on the tokens of the answer. Without a picture the logits are bit-equal to the bare model's.

This file knows how the parts are joined, and nothing of prompts, files or serving.

Shapes: b batch, v views, t text tokens, d model width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from vlbm.config import VLBMConfig
from vlbm.encoders import encoder as encoder_spec
from vlbm.evidence.table import EvidenceTable
from vlbm.fusion import Fusion, Prepared, fusion, unit
from vlbm.language import decoder_layers
from vlbm.perception import MemoryBuilder, Visual, average_views


@dataclass(slots=True)
class _Pass:
    """One forward with a picture: what the hooks need, and what they report."""

    fusions: nn.ModuleList
    memories: list[Prepared]
    tokens: torch.Tensor
    active: torch.Tensor
    weights: list[torch.Tensor] = field(default_factory=list)
    attentions: list[torch.Tensor] | None = None  # gathered where asked for


# A context variable, not an attribute: two threads may run forwards of one model, and a copy shares no state with it.
_current: ContextVar[_Pass | None] = ContextVar("vlbm_fusion_pass", default=None)


@contextmanager
def _fusing(fusion_pass: _Pass | None) -> Iterator[None]:
    token = _current.set(fusion_pass)
    try:
        yield
    finally:
        _current.reset(token)


def _hook(index: int) -> Any:
    """A forward hook that fuses a layer's output, and leaves it alone outside a pass."""

    def fuse(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        current = _current.get()
        if current is None:
            return None
        states = output[0] if isinstance(output, tuple) else output
        fused = current.fusions[index](states, current.tokens, current.memories[index], current.active)
        current.weights.append(fused.weight)
        if current.attentions is not None:
            current.attentions.append(fused.attention)
        return (fused.states, *output[1:]) if isinstance(output, tuple) else fused.states

    return fuse


@dataclass
class VLBMOutput(CausalLMOutputWithPast):
    """transformers' output, and what the fusions did.

    Attributes:
        image_weight: the picture's share in each token, averaged over the fused layers [b,t].
        fusion_weights: with `output_fusion`, the share in each fused layer [layers,b,t], in [0,1].
        fusion_ratios: with `output_fusion`, ||alpha*F|| / ||beta*M|| in each fused layer [layers,b,t].
        fusion_attentions: with `output_fusion`, attention over the memory, its grid cells first [layers,b,t,n].
    """

    image_weight: torch.Tensor | None = None
    fusion_weights: torch.Tensor | None = None
    fusion_ratios: torch.Tensor | None = None
    fusion_attentions: torch.Tensor | None = None


class VLBMForConditionalGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """A causal language model that sees.

    Attributes:
        language_model: the transformers causal language model, keys unchanged.
        encoder: the picture encoder, frozen.
        evidence: names and memory.
        memory: projection into fused memory.
        fusions: one a fused layer.
    """

    config_class = VLBMConfig
    base_model_prefix = ""
    embedding_mean: torch.Tensor
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012 (the base class declares it so)
    _supports_sdpa = True
    _no_split_modules: list[str] = []  # noqa: RUF012 (the base class declares it so)

    def __init__(self, config: VLBMConfig) -> None:
        super().__init__(config)
        spec = encoder_spec(config.encoder)
        self.language_model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config.text_config
        )
        if self.language_model.loss_type is None:  # GPT-2's class has a name that transformers' table of losses lacks
            self.language_model.loss_type = "ForCausalLM"
        self.encoder = spec.build().requires_grad_(False).eval()
        self.evidence = EvidenceTable(config, classes=spec.classes, width=spec.width)
        width = self.language_model.config.hidden_size
        self.memory = MemoryBuilder(config, spec, width)
        self.fusions = nn.ModuleList(
            fusion(config.fusion)(width=width, heads=config.fusion_heads, head_width=config.fusion_head_width)
            for _ in config.fusion_layers
        )
        layers = decoder_layers(self.language_model)
        for index, layer in enumerate(config.fusion_layers):
            layers[layer].register_forward_hook(_hook(index))
        self.register_buffer("embedding_mean", torch.zeros(width))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Parts made here initialise themselves when built; transformers calls this for what a checkpoint lacks."""
        if isinstance(module, (Fusion, MemoryBuilder)):
            module.reset_parameters()

    def train(self, mode: bool = True) -> VLBMForConditionalGeneration:
        """As usual, but the frozen encoder keeps its batch statistics."""
        super().train(mode)
        self.encoder.eval()
        return self

    def get_input_embeddings(self) -> nn.Module:
        """The language model's."""
        embeddings: nn.Module = self.language_model.get_input_embeddings()
        return embeddings

    def get_output_embeddings(self) -> nn.Module:
        """The language model's."""
        head: nn.Module = self.language_model.get_output_embeddings()
        return head

    @torch.no_grad()
    def look(self, pixel_values: torch.Tensor, *, exclude: torch.Tensor | None = None) -> Visual:
        """Encode pictures.

        Args:
            pixel_values: [b,v,3,h,w]; the first view is the whole picture and gives the grid.
            exclude: pictures that the memory may not return [b,N] bool.
        """
        b, views = pixel_values.shape[:2]
        seen = self.encoder(pixel_values.flatten(0, 1))
        first = torch.arange(b, device=pixel_values.device) * views
        pooled = seen.pooled.view(b, views, -1).mean(dim=1)
        evidence = self.evidence(average_views(seen.logits, views), pooled, exclude=exclude)
        return Visual(grid=seen.grid[first], evidence=evidence)

    def remember(self, visual: Visual) -> list[Prepared]:
        """What each fused layer attends to, from what was seen: computed once a picture."""
        memory = self.memory(visual, self.get_input_embeddings().weight, self.embedding_mean)
        return [layer.prepare(memory) for layer in self.fusions]  # type: ignore[operator]

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        visual: Visual | None = None,
        memories: list[Prepared] | None = None,
        fusion_from: torch.Tensor | None = None,
        has_picture: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        past_key_values: Any = None,
        labels: torch.Tensor | None = None,
        output_fusion: bool = False,
        **kwargs: Any,
    ) -> VLBMOutput:
        """Run the language model, fused where there is a picture.

        Args:
            input_ids: [b,t].
            attention_mask: [b, past + t].
            position_ids: [b,t]; `generate` makes them where prompts are padded.
            pixel_values, visual, memories: the pictures, at one of three stages: pixels [b,v,3,h,w], what was seen, or
                each fused layer's memory. None of them: the bare language model.
            fusion_from: first position (past included) on which the fusion acts [b]; default 0.
            has_picture: m [b] bool; default all True where pictures are given.
            labels: as in transformers: [b,t], -100 is ignored.
            output_fusion: report each fused layer's weights, ratios and attention (None without a picture).
        """
        if memories is None and (visual is not None or pixel_values is not None):
            memories = self.remember(visual if visual is not None else self.look(pixel_values))  # type: ignore[arg-type]
        embeds = inputs_embeds if inputs_embeds is not None else self.get_input_embeddings()(input_ids)
        current = None
        if memories is not None:
            past = past_key_values.get_seq_length() if past_key_values is not None else 0
            current = self._new_pass(memories, embeds, past, fusion_from, has_picture)
            current.attentions = [] if output_fusion else None
        with _fusing(current):
            out = self.language_model(
                input_ids=None if inputs_embeds is not None else input_ids,
                inputs_embeds=inputs_embeds,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                labels=labels,
                **kwargs,
            )
        weights = torch.stack(current.weights) if current else None  # [layers,b,t]
        shown = weights if output_fusion else None
        return VLBMOutput(
            loss=out.loss,
            logits=out.logits,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
            image_weight=None if weights is None else weights.mean(dim=0),
            fusion_weights=shown,
            fusion_ratios=None if shown is None else shown / (1 - shown),
            fusion_attentions=torch.stack(current.attentions) if current and current.attentions else None,
        )

    def _new_pass(
        self,
        memories: list[Prepared],
        embeds: torch.Tensor,
        past: int,
        fusion_from: torch.Tensor | None,
        has_picture: torch.Tensor | None,
    ) -> _Pass:
        b, t = embeds.shape[:2]
        pictures = memories[0].keys.shape[0]
        if pictures != b:  # several answers a picture: beams, num_return_sequences
            memories = [layer.repeat(b // pictures) for layer in memories]
        positions = torch.arange(past, past + t, device=embeds.device)
        start = torch.zeros(b, dtype=torch.long) if fusion_from is None else fusion_from.reshape(-1)
        start = start.to(embeds.device).repeat_interleave(b // start.shape[0])
        active = positions[None, :] >= start[:, None]  # [b,t]
        if has_picture is not None:
            active = active & has_picture.to(embeds.device).repeat_interleave(b // has_picture.shape[0])[:, None]
        tokens = unit(embeds.detach() - self.embedding_mean)
        return _Pass(fusions=self.fusions, memories=memories, tokens=tokens, active=active)

    @torch.no_grad()
    def generate(
        self, *args: Any, pixel_values: torch.Tensor | None = None, visual: Visual | None = None, **kwargs: Any
    ) -> Any:
        """transformers' generate; pictures are encoded and remembered once, before the first token."""
        if pixel_values is not None:
            visual = self.look(pixel_values)
        if visual is not None:
            kwargs["memories"] = self.remember(visual)
        return super().generate(*args, **kwargs)  # type: ignore[misc]


AutoModelForImageTextToText.register(VLBMConfig, VLBMForConditionalGeneration, exist_ok=True)
