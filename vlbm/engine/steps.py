"""How a dense network runs a pass: in parts between fusions, as they come or, on a GPU, as graphs that were recorded.

A GPU computes a small layer faster than Python asks for it, so what is asked is recorded once for each size of a pass
and then asked for all together (CUDA graphs, docs.pytorch.org/docs/stable/notes/cuda.html). Sizes are rounded up; what
rows are too many read and write a page of the cache that belongs to nobody. It knows sizes and buffers, not arithmetic.

Shapes: t tokens, m pages of the longest turn, s wanted tokens, d model width, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch

from vlbm.engine.passes import PAGE, Pass, likeliest

Run = Callable[[], None]
Record = Callable[[Run], Run]
FEWEST_PAGES = 4
TOKEN, POSITION, PLACE, TABLE = range(4)  # columns of a pass's numbers; the table is the rest


class Layers(Protocol):
    """What a network offers: its parts as functions of tensors."""

    device: torch.device
    pages: int

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids [t] -> states [t,d]."""

    def rows(self, positions: torch.Tensor, places: torch.Tensor, tables: torch.Tensor) -> Any:
        """What all layers have of the tokens of a pass."""

    def through(self, states: torch.Tensor, rows: Any, layers: range) -> torch.Tensor:
        """States after some layers."""

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """States [s,d] -> logits [s,v]."""


class Step:
    """A pass of up to so many tokens, with tables of up to so many pages.

    Attributes:
        states: of the tokens, changed in place by the parts and by what comes between them [t,d].
        parts: runs over the layers up to one of `ends`, by its number.
    """

    states: torch.Tensor

    def __init__(self, layers: Layers, size: tuple[int, int], ends: Sequence[int], record: Record) -> None:
        self._layers, (tokens, pages) = layers, size
        self._staged = torch.empty(tokens, TABLE + pages, dtype=torch.long, pin_memory=layers.device.type == "cuda")
        self._clear(0)
        self._numbers = self._staged.to(layers.device)  # the very same on a CPU
        self._begin = record(self._embed)
        self._begin()  # what is recorded was not run: the parts are tried on states, not on whatever lies there
        starts = (0, *(end + 1 for end in ends))
        self.parts: Mapping[int, Run] = {
            end: record(partial(self._through, range(start, end + 1))) for start, end in zip(starts, ends, strict=False)
        }

    def begin(self, what: Pass) -> None:
        """Take the numbers of a pass, and the embeddings of its tokens."""
        many, pages = what.tables.shape
        for column, values in ((TOKEN, what.tokens), (POSITION, what.positions), (PLACE, what.places)):
            self._staged[:many, column] = values
        self._staged[:many, TABLE : TABLE + pages] = what.tables
        self._staged[:many, TABLE + pages :] = self._layers.pages
        self._clear(many)
        if self._numbers is not self._staged:
            self._numbers.copy_(self._staged, non_blocking=True)  # the end of each pass is waited for
        self._begin()

    def _clear(self, first: int) -> None:
        """Rows from one on are of nobody."""
        nobody = self._layers.pages
        self._staged[first:, : POSITION + 1] = 0
        self._staged[first:, PLACE] = nobody * PAGE
        self._staged[first:, TABLE:] = nobody

    def _embed(self) -> None:
        numbers = self._numbers
        self.states = self._layers.embedded(numbers[:, TOKEN])
        self._rows = self._layers.rows(numbers[:, POSITION], numbers[:, PLACE], numbers[:, TABLE:])

    def _through(self, layers: range) -> None:
        self.states.copy_(self._layers.through(self.states, self._rows, layers))


class Head:
    """The logits of up to so many tokens."""

    def __init__(self, layers: Layers, states: torch.Tensor, record: Record) -> None:
        self._layers, self._states = layers, states
        self._run = record(self._say)

    def of(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of states [s,d]: logits [s,v], and the likeliest of each [s] (see `Read`)."""
        many = len(states)
        self._states[:many] = states
        self._run()
        return self._logits[:many], self._likeliest[:many]

    def _say(self) -> None:
        self._logits = self._layers.logits(self._states)
        self._likeliest = likeliest(self._logits)


class Steps:
    """The steps of a network: each made for its pass, or recorded once for a size and kept.

    Args:
        layers: of the network.
        ends: the layers after which something comes in between, and the last.
        record: makes of a run one that does the same; None: nothing is kept, sizes are what they are.
    """

    def __init__(self, layers: Layers, ends: Sequence[int], record: Record | None) -> None:
        self._layers, self._ends, self._record = layers, ends, record
        self._steps: dict[tuple[int, int], Step] = {}
        self._heads: dict[int, Head] = {}

    def step(self, tokens: int, pages: int) -> Step:
        """Of a pass of so many tokens."""
        if self._record is None:
            return Step(self._layers, (tokens, pages), self._ends, _as_it_is)
        size = _rounded(tokens), max(_rounded(pages), FEWEST_PAGES)
        if size not in self._steps:
            self._steps[size] = Step(self._layers, size, self._ends, self._record)
        return self._steps[size]

    def head(self, states: torch.Tensor) -> Head:
        """For so many states."""
        if self._record is None:
            return Head(self._layers, torch.empty_like(states), _as_it_is)
        size = _rounded(len(states))
        if size not in self._heads:
            self._heads[size] = Head(self._layers, states.new_zeros(size, states.shape[1]), self._record)
        return self._heads[size]


class Recorder:
    """Records runs as graphs of a GPU, which share what memory they need meanwhile: they never run at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> Run:
        """The run, recorded."""
        own, beside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(own)
        with torch.cuda.stream(beside):  # what is made at first, kernels and work space, is no part of the graph
            for _ in range(2):
                run()
        own.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            run()
        return graph.replay


def _as_it_is(run: Run) -> Run:
    return run


def _rounded(many: int) -> int:
    """Up to a power of two."""
    return 1 << (many - 1).bit_length()
