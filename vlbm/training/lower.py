"""What a frozen language model makes of an example below the first fusion, computed once.

While the language model is frozen, the output of the first fused layer, before it is fused, is the same each time an
example comes up: a training that sees each example many times need not compute it again. Every example is read alone,
so that what is kept does not depend on the order in which examples came, and a resumed training is bit-equal.

It knows layers of a language model, not pictures: none reaches these layers.

Shapes: b batch, t text tokens, d model width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from vlbm.language import decoder_layers
from vlbm.training.encoded import Encoded


class _Enough(Exception):
    """The layer that was waited for has been run."""


class LowerLayers:
    """Keeps states of examples, and lets a forward begin above them.

    Args:
        model: whose language model is frozen, and whose fusion acts on layers.
        limit: bytes that may be kept; examples beyond it are computed each time.
    """

    def __init__(self, model: Any, *, limit: int) -> None:
        self.model, self.limit = model, limit
        self.layers = list(decoder_layers(model.language_model))[: min(model.config.fusion_layers) + 1]
        self.kept: dict[int, torch.Tensor] = {}
        self.bytes = 0
        self.beside: tuple[None, ...] | None = None  # what layers put out beside states, where they do

    def states(self, numbers: Sequence[int], rows: Sequence[Encoded]) -> torch.Tensor:
        """Output of the first fused layer before it is fused, padded at the end [b,t,d].

        Args:
            numbers: of the examples; the same number is always the same example.
            rows: the examples.
        """
        return pad_sequence([self._of(number, row) for number, row in zip(numbers, rows, strict=True)], True)

    @contextmanager
    def begun(self, states: torch.Tensor) -> Iterator[None]:
        """Within it, forwards of the model take these states [b,t,d] as what the lower layers put out."""
        try:
            for layer in self.layers:
                layer.forward = self._passing(states if layer is self.layers[-1] else None)
            yield
        finally:
            for layer in self.layers:
                del layer.forward  # the class's own comes to light

    def _passing(self, states: torch.Tensor | None) -> Any:
        """What a layer does instead: pass its input on, or put out given states. Its hooks go on acting."""

        def forward(hidden_states: torch.Tensor, *_args: Any, **_kwargs: Any) -> Any:
            result = hidden_states if states is None else states
            return result if self.beside is None else (result, *self.beside)

        return forward

    def _of(self, number: int, row: Encoded) -> torch.Tensor:
        if number in self.kept:
            return self.kept[number]
        found = self._read(row)
        size = found.numel() * found.element_size()
        if self.bytes + size <= self.limit:
            self.kept[number], self.bytes = found, self.bytes + size
        return found

    @torch.no_grad()
    def _read(self, row: Encoded) -> torch.Tensor:
        """The states of one example [t,d]; layers above are not run."""
        found = list[torch.Tensor]()

        def stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, tuple):
                self.beside = (None,) * (len(output) - 1)
            found.append(output[0] if isinstance(output, tuple) else output)
            raise _Enough

        hook = self.layers[-1].register_forward_hook(stop)
        try:
            ids = torch.tensor([row.prompt + row.target], device=self.model.device)
            self.model.language_model(input_ids=ids, use_cache=False)
        except _Enough:
            return found[0][0]
        finally:
            hook.remove()
        raise AssertionError("the language model did not run its layers")
