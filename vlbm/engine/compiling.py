"""Functions of tensors as fewer, larger kernels, where torch can compile them; else as they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

log = logging.getLogger(__name__)


class Compiled:
    """A function that is compiled when it is first called (torch.compile, which keeps what it made on the disk).

    Where that fails, as without a compiler on the machine, it is run as it is from then on, and the log says so once.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run, self._fast = run, torch.compile(run, dynamic=True)

    def __call__(self, *values: Any) -> Any:
        """What the function gives."""
        try:
            return self._fast(*values)
        except torch._dynamo.exc.TorchDynamoException as error:
            log.warning("torch cannot compile a part of the model, so it is slower: %s", type(error).__name__)
            self._fast = self._run
            return self._run(*values)
