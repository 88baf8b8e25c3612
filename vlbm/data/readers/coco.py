"""COCO captions (Chen et al. 2015): one JSON file with `images` and `annotations`, joined by `image_id`."""

from __future__ import annotations

import json
from pathlib import Path

from vlbm.data.records import Example, Problem, Read, inside, kept
from vlbm.errors import DataError


def read_coco(annotations: Path, pictures: Path) -> Read:
    """Captions in the order of the file; a problem's line is the annotation's number.

    Args:
        annotations: such as captions_val2017.json.
        pictures: the folder of the pictures.

    Raises:
        DataError: the file is no COCO captions, or has not one usable caption.
    """
    try:
        data = json.loads(annotations.read_bytes())
        names = {row["id"]: row["file_name"] for row in data["images"]}
        rows = list(data["annotations"])
    except OSError as error:
        raise DataError(f"{annotations} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{annotations} is no file of COCO captions ('images' with id and file_name, 'annotations'): {error!r}"
        ) from error
    examples, problems = list[Example](), list[Problem]()
    for number, row in enumerate(rows, start=1):
        try:
            examples.append(_example(row, names, pictures))
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    return kept(annotations, examples, problems)


def _example(row: object, names: dict[object, object], pictures: Path) -> Example:
    if not isinstance(row, dict) or row.get("image_id") not in names:
        raise ValueError("the annotation's image_id is not among the images")
    caption = row.get("caption")
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError("the caption is empty")
    return Example(pictures=(inside(pictures, names[row["image_id"]]),), target=caption.strip())
