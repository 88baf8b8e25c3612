"""The joint: pictures -> encoder -> evidence and projection -> fused language model -> loss.

It is a transformers model (`from_pretrained`, `save_pretrained`, `generate`). The language model inside is untouched:
its keys are its own, and the fusion acts through hooks on the outputs of chosen layers (or on the embeddings of the
prompt), only while a forward with a picture runs and only on the tokens that it is meant for. Without a picture the
logits are bit-equal to the bare model's.

This file knows how the parts are joined, and nothing of prompts, files or serving.

Shapes: b batch, v views, t text tokens, d model width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from vlbm.config import VLBMConfig
from vlbm.encoders import Seen
from vlbm.encoders.stages import open_stages
from vlbm.evidence.aliases import called, unaliased
from vlbm.evidence.asked import question_in
from vlbm.evidence.neighbours import Lent
from vlbm.evidence.paint import PAINT, paint_of
from vlbm.evidence.regions import RegionFinder, cut
from vlbm.evidence.runs import joined, lay_out
from vlbm.evidence.table import EvidenceTable
from vlbm.evidence.things import Sighted
from vlbm.fusing import fusing, fusing_hook, fusion_pass
from vlbm.fusion import Fusion, Prepared, fusion, unit
from vlbm.language import decoder_layers
from vlbm.perception import MemoryBuilder, Visual, average_views, rows_of


@dataclass
class VLBMOutput(CausalLMOutputWithPast):
    """transformers' output, and what the fusions did.

    Attributes:
        image_weight: the picture's share in each token, averaged over the fused layers [b,t].
        fusion_alphas, fusion_betas: with `output_fusion`, the sizes of alpha and beta (see `vlbm.fusion.Fused`) in each
            fused layer [layers,b,t].
        fusion_ratios: with `output_fusion`, ||alpha*F|| / ||beta*M|| in each fused layer [layers,b,t].
        fusion_attentions: with `output_fusion`, attention over the memory, its grid cells first [layers,b,t,n].
    """

    image_weight: torch.Tensor | None = None
    fusion_alphas: torch.Tensor | None = None
    fusion_betas: torch.Tensor | None = None
    fusion_ratios: torch.Tensor | None = None
    fusion_attentions: torch.Tensor | None = None


class VLBMForConditionalGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """A causal language model that sees.

    Attributes:
        language_model: the transformers causal language model, keys unchanged.
        encoder: the picture encoder, frozen but for the last stages that `train_encoder` opens.
        evidence: names and memory.
        memory: projection into fused memory.
        fusions: one a fused layer, or one for the prompt.
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
        spec = config.encoder_spec
        self.language_model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config.text_config
        )
        if self.language_model.loss_type is None:  # GPT-2's class has a name that transformers' table of losses lacks
            self.language_model.loss_type = "ForCausalLM"
        self.encoder = spec.build().requires_grad_(False).eval()
        self.encoder_stages = 0
        self.evidence = EvidenceTable(config, classes=spec.classes, width=spec.style)
        width = self.language_model.config.hidden_size
        self.memory = MemoryBuilder(config, spec, width)
        self.fusions = nn.ModuleList(
            fusion(config.fusion)(width=width, heads=config.fusion_heads, head_width=config.fusion_head_width)
            for _ in config.fusion_layers or (0,)
        )
        layers = decoder_layers(self.language_model)
        for index, layer in enumerate(config.fusion_layers):
            layers[layer].register_forward_hook(fusing_hook(index))
        self.register_buffer("embedding_mean", torch.zeros(width))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Parts made here initialise themselves when built; transformers calls this for what a checkpoint lacks."""
        if isinstance(module, (Fusion, MemoryBuilder, RegionFinder)):
            module.reset_parameters()

    def train(self, mode: bool = True) -> VLBMForConditionalGeneration:
        """As usual, but the encoder keeps its batch statistics and drops nothing, even in stages that learn.

        A few pictures are poor statistics, and frozen stages, the names of classes and what is known of remembered
        pictures rest on those that the encoder came with. So it computes in training what it computes in use.
        """
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

    def train_encoder(self, stages: int) -> None:
        """Let the encoder's last stages learn, from pictures that are given as pixels; 0 freezes it.

        Raises:
            ConfigError: the encoder has fewer stages.
        """
        open_stages(self.encoder, stages)
        self.encoder_stages = stages

    @torch.no_grad()
    def look(
        self,
        pixel_values: torch.Tensor,
        *,
        languages: torch.Tensor | None = None,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
        seen: Seen | None = None,
    ) -> Visual:
        """Encode pictures, without a gradient.

        Args:
            pixel_values: [b,v,3,h,w]; the first view is the whole picture and gives the grid.
            languages: numbers of the languages that names and captions shall be in [b]; default the first.
            exclude: pictures that the memory may not return [b,N] bool.
            lent: pictures that are in the memory for this look alone (`vlbm.memory.teach`).
            seen: what `encode` made of them, where that is known.
        """
        return self._see(pixel_values, seen or self.encode(pixel_values), languages, exclude=exclude, lent=lent)

    def encode(self, pixel_values: torch.Tensor) -> Seen:
        """What the encoder makes of pictures [b,v,3,h,w], their views joined, with a gradient into stages that learn.

        The grid is the first view's [b,n,d_v]; pooled features [b,d_v] and style [b,s] are the mean over views; logits
        are the log of the mean class probability over views [b,c].
        """
        b, views = pixel_values.shape[:2]
        # Not by the parameters' own flags: transformers sets them anew when it loads a checkpoint.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.encoder_stages > 0):
            seen = self.encoder(pixel_values.flatten(0, 1))
        first = torch.arange(b, device=pixel_values.device) * views
        pooled, style = (value.view(b, views, -1).mean(dim=1) for value in (seen.pooled, seen.style))
        return Seen(seen.grid[first], pooled, average_views(seen.logits, views), style)

    def _see(
        self,
        pixel_values: torch.Tensor,
        seen: Seen,
        languages: torch.Tensor | None,
        *,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
    ) -> Visual:
        """As `look`, with a gradient through the grid into the stages that learn."""
        if languages is None:
            languages = torch.zeros(len(seen.grid), dtype=torch.long, device=seen.grid.device)
        with torch.no_grad():  # evidence is looked up: nothing to learn there
            runs = self.evidence.find(seen.logits, seen.style, languages=languages, exclude=exclude, lent=lent)
            if self.evidence.things is None:
                return Visual(grid=seen.grid, evidence=lay_out(runs))
            sighted = self.regions(pixel_values[:, 0], seen.grid)
            things, marks = self.evidence.things.describe(
                sighted, self.evidence, languages=languages, exclude=exclude, lent=lent
            )
            return Visual(grid=seen.grid, evidence=lay_out(joined(runs, things)).beside(marks))

    @torch.no_grad()
    def regions(self, pixels: torch.Tensor, grid: torch.Tensor) -> list[Sighted]:
        """Regions of whole pictures [b,3,h,h], found in their grid [b,n,d_v] and encoded one by one."""
        assert self.evidence.things is not None  # noqa: S101
        found = self.evidence.things.finder.find(grid, self.evidence.things.most)
        clear = found.scores > 0
        if not bool(clear.any()):
            spec = self.config.encoder_spec
            none = [grid.new_zeros(0, width) for width in (spec.style, spec.classes, PAINT)]
            return [Sighted(found.boxes[0, :0], found.scores[0, :0], *none)] * len(grid)
        cuts = cut(pixels, found.boxes[clear], clear.nonzero()[:, 0])
        seen = self.encoder(cuts)
        counts = clear.sum(dim=1).tolist()
        columns = (found.boxes[clear], found.scores[clear], seen.style, seen.logits, self._paint(cuts))
        return [Sighted(*row) for row in zip(*(column.split(counts) for column in columns), strict=True)]

    def _paint(self, pixels: torch.Tensor) -> torch.Tensor:
        """Shares of colours in cut-out squares, normalised as for the encoder [r,3,h,h] -> [r,PAINT]."""
        mean, std = (pixels.new_tensor(each)[:, None, None] for each in (self.config.image_mean, self.config.image_std))
        return paint_of(pixels * std + mean)

    def _see_rows(
        self, pixel_values: torch.Tensor, pictures: torch.Tensor | None, languages: torch.Tensor | None
    ) -> Visual:
        """Pixels of several pictures a row as one batch of rows."""
        visual = self._see(pixel_values, self.encode(pixel_values), languages)
        return visual if pictures is None else rows_of(visual, pictures.tolist())

    def remember(self, visual: Visual, question: torch.Tensor | None = None) -> list[Prepared]:
        """What each fused layer attends to, from what was seen: computed once a question.

        Args:
            visual: what was seen of b pictures, or of fewer that are each asked about as often.
            question: token ids of what is asked, padded with -1 [b,q]; None: nothing.
        """
        if question is None:
            evidence, asked = unaliased(visual.evidence), None
        else:
            if len(question) != len(visual.grid):
                visual = visual.repeat(len(question) // len(visual.grid))
            evidence = called(visual.evidence, question, self.evidence.same)
            asked = self.evidence.asked(evidence, question)
        visual = replace(visual, evidence=evidence)
        memory = self.memory(visual, self.get_input_embeddings().weight, self.embedding_mean, asked)
        return [layer.prepare(memory) for layer in self.fusions]  # type: ignore[operator]

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pictures: torch.Tensor | None = None,
        languages: torch.Tensor | None = None,
        visual: Visual | None = None,
        memories: list[Prepared] | None = None,
        question: torch.Tensor | None = None,
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
            question: token ids of what is asked of the pictures, padded with -1 [b,q]; default those of `input_ids`
                from `fusion_from` on that `labels` do not say. Answers in `input_ids` without labels need it said.
            pictures: how many of the pictures in `pixel_values` each row has, in their order [b]; default one each.
            languages: number of the language of each picture's names and captions; default the first.
            fusion_from: first position (past included) on which the fusion acts [b]; default 0. A fusion of the prompt
                acts on as many tokens as it has from there on.
            has_picture: m [b] bool; default all True where pictures are given.
            labels: as in transformers: [b,t], -100 is ignored.
            output_fusion: report each fused layer's alpha, beta, their ratio and attention (None without a picture).
        """
        past = 0 if past_key_values is None else int(past_key_values.get_seq_length())
        if memories is None and (visual is not None or pixel_values is not None):
            seen = visual or self._see_rows(pixel_values, pictures, languages)  # type: ignore[arg-type]
            if question is None:
                question = question_in(input_ids, past=past, mask=attention_mask, start=fusion_from, labels=labels)
            memories = self.remember(seen, question)
        embeds = inputs_embeds if inputs_embeds is not None else self.get_input_embeddings()(input_ids)
        current = None
        if memories is not None:
            current = fusion_pass(
                self.fusions,
                memories,
                unit(embeds.detach() - self.embedding_mean),
                past=past,
                start=fusion_from,
                has_picture=has_picture,
            )
            current.in_full = output_fusion
            if not self.config.fusion_layers:
                inputs_embeds = current.fuse(0, embeds)
        with fusing(current):
            out = self.language_model(
                input_ids=None if inputs_embeds is not None else input_ids,
                inputs_embeds=inputs_embeds,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                labels=labels,
                **kwargs,
            )
        return VLBMOutput(
            loss=out.loss,
            logits=out.logits,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
            **(current.told() if current else {}),
        )

    @torch.no_grad()
    def generate(
        self,
        *args: Any,
        pixel_values: torch.Tensor | None = None,
        pictures: torch.Tensor | None = None,
        languages: torch.Tensor | None = None,
        visual: Visual | None = None,
        question: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """transformers' generate; pictures are encoded and remembered once, before the first token."""
        if pixel_values is not None:
            visual = self._see_rows(pixel_values, pictures, languages)
        if visual is not None:
            if question is None:
                ids = kwargs.get("input_ids", kwargs.get("inputs", args[0] if args else None))
                question = question_in(ids, mask=kwargs.get("attention_mask"), start=kwargs.get("fusion_from"))
            kwargs["memories"] = self.remember(visual, question)
        return super().generate(*args, **kwargs)  # type: ignore[misc]


AutoModelForImageTextToText.register(VLBMConfig, VLBMForConditionalGeneration, exist_ok=True)
