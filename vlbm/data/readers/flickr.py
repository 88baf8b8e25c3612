"""Flickr8k and Flickr30k (Hodosh et al. 2013; Young et al. 2014): several captions a picture in one text file.

Three forms are about: `name.jpg#0<TAB>caption` (the authors'), and copies on the web with a first line of titles:
`image_name| comment_number| comment`, or `image,caption`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from vlbm.data.records import Example, Problem, Read, inside, kept
from vlbm.errors import DataError


def read_flickr(captions: Path, pictures: Path) -> Read:
    """Captions in the order of the file.

    Args:
        captions: in one of the three forms, which is told by its first line.
        pictures: the folder of the pictures.

    Raises:
        DataError: the file is not there or no UTF-8, or has not one usable caption.
    """
    try:
        lines = captions.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{captions} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{captions} is not UTF-8: {error}") from error
    split, titles = _form(lines[0])
    examples, problems = list[Example](), list[Problem]()
    for number, line in enumerate(lines, start=1):
        if not line.strip() or number <= titles:
            continue
        try:
            name, caption = split(line)
            if not caption:
                raise ValueError("the caption is empty")
            examples.append(Example(pictures=(inside(pictures, name),), target=caption))
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    return kept(captions, examples, problems)


def _form(first: str) -> tuple[Callable[[str], tuple[str, str]], int]:
    if first.replace(" ", "").startswith("image_name|"):
        return _bars, 1
    if first.replace(" ", "").startswith("image,caption"):
        return _commas, 1
    return _tokens, 0


def _tokens(line: str) -> tuple[str, str]:
    key, tab, caption = line.partition("\t")
    if not tab:
        raise ValueError("no tab between the picture's name and the caption")
    return key.rpartition("#")[0] or key, caption.strip()


def _bars(line: str) -> tuple[str, str]:
    parts = line.split("|", 2)
    if len(parts) != 3:
        raise ValueError("name, number and caption, with bars between, are wanted")
    return parts[0].strip(), parts[2].strip()


def _commas(line: str) -> tuple[str, str]:
    parts = next(csv.reader([line]))
    if len(parts) < 2:
        raise ValueError("name and caption, with a comma between, are wanted")
    return parts[0].strip(), ",".join(parts[1:]).strip()
