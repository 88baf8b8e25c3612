"""Lets `import torchvision` succeed beside a torch that it was not compiled for.

A CPU build of torch beside the registry's torchvision cannot load torchvision's compiled operators, and its import then
fails with "operator torchvision::nms does not exist", because it registers a shape function for an operator that nobody
declared. Declaring the schemas first is enough for models and transforms. transformers imports torchvision by itself as
soon as Pillow is installed, so this must run before anything imports transformers or timm.

It declares schemas only: it knows nothing of what the operators compute, and calling one still fails with torch's own
message.
"""

from __future__ import annotations

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library: torch.library.Library | None = None


def declare_missing_operators() -> None:
    """Declare the schemas of `torchvision::nms` and `::qnms` where no compiled torchvision did so. Idempotent."""
    global _library
    if _library is not None or _compiled_operators_load():
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS.values():
        library.define(schema)  # type: ignore[no-untyped-call]
    _library = library


def _compiled_operators_load() -> bool:
    """Whether torchvision's own compiled operators are there: then declaring a schema twice would be an error."""
    from importlib.util import find_spec
    from pathlib import Path

    if hasattr(torch.ops.torchvision, "nms"):
        return True
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    for binary in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(str(binary))  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError):
            continue
    return hasattr(torch.ops.torchvision, "nms")


declare_missing_operators()
