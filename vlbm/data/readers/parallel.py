"""Pictures with parallel texts, line by line: Multi30k and CoMMuTE.

Multi30k (Elliott et al. 2016; github.com/multi30k/dataset) keeps a text file a language (`train.en`, `train.de`) and a
file with a picture's name a line (`image_splits/train.txt`; lines of the caption task read `name.jpg#2`).

CoMMuTE (Futeral et al. 2023; github.com/MatthieuFP/CoMMuTE) has, for each language, four files of equal length: the
ambiguous source, the right translation, the wrong one, and the picture's name. Its examples are contrasts: they have
what is `wrong`, and `write_jsonl` writes them as a file for `vlbm eval`.
"""

from __future__ import annotations

from pathlib import Path

from vlbm.data.records import Example, Problem, Read, inside, kept
from vlbm.errors import DataError


def read_multi30k(source: Path, target: Path, names: Path, pictures: Path, *, language: str) -> Read:
    """Translations with pictures.

    Args:
        source, target: the texts, such as train.en and train.de.
        names: the split's file of pictures.
        pictures: the folder of the pictures.
        language: of the target.

    Raises:
        DataError: a file is not there or no UTF-8, lengths differ, or nothing is usable.
    """
    examples, problems = list[Example](), list[Problem]()
    for number, (text, wanted, name) in enumerate(_rows(source, target, names), start=1):
        try:
            if not text or not wanted:
                raise ValueError("a text is empty")
            picture = inside(pictures, name.partition("#")[0])
            examples.append(Example((picture,), wanted, task="translate", text=text, language=language))
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    return kept(source, examples, problems)


def read_commute(source: Path, right: Path, wrong: Path, names: Path, pictures: Path, *, language: str) -> Read:
    """Contrasts: translations with pictures, and the translation that the picture rules out.

    Args:
        source, right, wrong, names: the four files of a language.
        pictures: the folder of the pictures.
        language: of the translations.

    Raises:
        DataError: a file is not there or no UTF-8, lengths differ, or nothing is usable.
    """
    examples, problems = list[Example](), list[Problem]()
    for number, (text, good, bad, name) in enumerate(_rows(source, right, wrong, names), start=1):
        try:
            if not text or not good or not bad:
                raise ValueError("a text is empty")
            if good == bad:
                raise ValueError("the right and the wrong translation are the same")
            shown = (inside(pictures, name),)
            examples.append(Example(shown, good, task="translate", text=text, language=language, wrong=bad))
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    return kept(source, examples, problems)


def _rows(*paths: Path) -> list[tuple[str, ...]]:
    columns = [_lines(path) for path in paths]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{path.name} {len(column)}" for path, column in zip(paths, columns, strict=True))
        raise DataError(f"parallel files must have as many lines as each other: {counts}")
    return list(zip(*columns, strict=True))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from error
    return [line.strip() for line in text.removesuffix("\n").split("\n")]
