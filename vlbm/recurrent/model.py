"""A GRU or LSTM language model with the interface of a transformers causal language model.

Layers are residual: x + RNN(LayerNorm(x)). States live in transformers' own cache, one entry a token, so beams,
continued answers and other users of that cache need nothing of their own; with an LSTM, only the newest entry has the
cell's state, and a cache that is cropped cannot go on. Padding leaves states as they were.

Shapes: b batch, t text tokens, d model width.
"""

from __future__ import annotations

from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import AutoModelForCausalLM, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from vlbm.recurrent.config import RecurrentConfig

State = tuple[torch.Tensor, torch.Tensor]  # hidden and cell state [1,b,d]; a GRU has the same in both


class RecurrentLayer(nn.Module):
    """One residual recurrent layer; its output is the states [b,t,d]."""

    def __init__(self, config: RecurrentConfig, index: int) -> None:
        super().__init__()
        kind = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.index = index
        self.norm = nn.LayerNorm(config.hidden_size)
        self.cell = kind(config.hidden_size, config.hidden_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, cache: Any) -> torch.Tensor:
        """Read t tokens after those that the cache has seen.

        Args:
            states: [b,t,d].
            mask: tokens that are no padding [b,t] bool; None is all.
            cache: transformers' cache, which is brought up to date; None starts from zero and keeps nothing.
        """
        before = self._before(cache)
        normal = self.norm(states)
        read, after = self._run(normal, before) if mask is None else self._run_masked(normal, mask, before)
        if cache is not None:
            history = torch.cat([read[:, :-1], after[0].transpose(0, 1)], dim=1)
            cell = after[1].transpose(0, 1).expand(history.shape)
            cache.update(history.unsqueeze(1), cell.unsqueeze(1), self.index)
        result: torch.Tensor = states + self.dropout(read)
        return result

    def _before(self, cache: Any) -> State | None:
        if cache is None or cache.get_seq_length(self.index) == 0:
            return None
        layer = cache.layers[self.index]
        return layer.keys[:, 0, -1][None].contiguous(), layer.values[:, 0, -1][None].contiguous()

    def _run(self, normal: Any, before: State | None) -> tuple[Any, State]:
        if isinstance(self.cell, nn.LSTM):
            read, (hidden, cell) = self.cell(normal, before)
            return read, (hidden, cell)
        read, hidden = self.cell(normal, None if before is None else before[0])
        return read, (hidden, hidden)

    def _run_masked(self, normal: torch.Tensor, mask: torch.Tensor, before: State | None) -> tuple[torch.Tensor, State]:
        """Move each row's tokens to its front, run them packed, and move the results back."""
        t = mask.shape[1]
        order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)  # [b,t]
        counts = mask.sum(dim=1)
        moved = normal.gather(1, order.unsqueeze(-1).expand_as(normal))
        packed = pack_padded_sequence(moved, counts.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False)
        read, after = self._run(packed, before)
        unpacked = pad_packed_sequence(read, batch_first=True, total_length=t)[0]
        back = unpacked.gather(1, order.argsort(dim=1).unsqueeze(-1).expand_as(unpacked))
        back = torch.where(mask.unsqueeze(-1), back, 0.0)
        some = (counts > 0)[None, :, None]
        old = before or (torch.zeros_like(after[0]), torch.zeros_like(after[1]))
        return back, (torch.where(some, after[0], old[0]), torch.where(some, after[1], old[1]))


class RecurrentModel(nn.Module):
    """Embeddings, layers and a last norm."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(RecurrentLayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, cache: Any) -> torch.Tensor:
        """Embeddings [b,t,d] -> states [b,t,d]."""
        for layer in self.layers:
            states = layer(states, mask, cache)
        result: torch.Tensor = self.norm(states)
        return result


class RecurrentForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """A recurrent language model whose output embeddings are, by default, its input embeddings."""

    config_class = RecurrentConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 (the base class declares it so)

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.model = RecurrentModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.GRU, nn.LSTM)):
            for name, parameter in module.named_parameters():
                if "weight_hh" in name:
                    nn.init.orthogonal_(parameter)
                elif "weight" in name:
                    nn.init.xavier_uniform_(parameter)
                else:
                    nn.init.zeros_(parameter)
        elif isinstance(module, (nn.Embedding, nn.Linear)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings."""
        embeddings: nn.Module = self.model.embed_tokens
        return embeddings

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        head: nn.Module = self.lm_head
        return head

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the next token after each.

        Args:
            input_ids, inputs_embeds: one of [b,t] and [b,t,d].
            attention_mask: 0 for padding, on either side [b, past + t].
            past_key_values: what was read before.
            labels: [b,t], -100 is ignored; shifted here.
            logits_to_keep: only the last so many positions; 0 is all.
        """
        states = self.model.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        wanted = self.config.use_cache if use_cache is None else use_cache
        cache = (past_key_values if past_key_values is not None else DynamicCache()) if wanted else None
        mask = None if attention_mask is None else attention_mask[:, -states.shape[1] :].bool()
        if mask is not None and bool(mask.all()):
            mask = None
        states = self.model(states, mask, cache)
        logits = self.lm_head(states[:, -logits_to_keep:] if logits_to_keep else states)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)


AutoModelForCausalLM.register(RecurrentConfig, RecurrentForCausalLM, exist_ok=True)
