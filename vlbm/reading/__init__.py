"""Words in pictures: signs, menus, pages.

`read` gives what a picture says, line by line, with where each line stands and how sure it is. The weights are inside
the package `rapidocr-onnxruntime` (extra `ocr`). This package knows nothing of language models.
"""

from __future__ import annotations

from vlbm.reading.reader import read
from vlbm.reading.result import Line, Reading

__all__ = ["Line", "Reading", "read"]
