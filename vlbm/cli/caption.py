"""`vlbm caption`: say what pictures show, one line of JSON a picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from vlbm.cli.files import pictures_in
from vlbm.cli.memory import lend_memory
from vlbm.cli.terminal import EXIT_LEFT_OUT, bars, load, say
from vlbm.tasks import CAPTIONS
from vlbm.tasks import question as ask


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--style", default="sentence", show_default=True, type=click.Choice(list(CAPTIONS)), help="Of captions.")
@click.option(
    "--language", default="en", show_default=True, help="Of captions: of the packaged model, en es fr de it pt."
)
@click.option("--question", help="What to ask about each picture in the place of a caption.")
@click.option("--max-tokens", default=60, show_default=True, type=click.IntRange(1))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write; what is there is kept.")
@click.option("--memory", help="File of a visual memory, or none.  [default: your own, where there is one]")
def caption(
    model: str,
    files: tuple[Path, ...],
    style: str,
    language: str,
    question: str | None,
    max_tokens: int,
    out: Path | None,
    memory: str | None,
) -> None:
    """Caption pictures with MODEL: 'packaged', a folder, or a name on a hub.

    FILES are pictures, or folders of them. Each caption is a line {"image": ..., "caption": ..., "confidence": ...,
    "image_weight": ..., "notes": [...]} on standard output or in --out; there, pictures that have a line already are
    passed over, so that a run that was stopped goes on. Pictures that cannot be read are named, and the exit status
    is 1.
    """
    from vlbm.engine import Engine
    from vlbm.errors import PictureError

    done = _captioned(out) if out else set[str]()
    pictures = [path for path in _pictures(files) if str(path) not in done]
    if not pictures:
        say(f"every picture has a caption in {out} already" if done else "there are no pictures in these folders")
        return
    loaded, processor = load(model, device="auto")
    processor.language_number(language)  # one that it cannot speak is said before anything is looked at
    lend_memory(loaded, processor, memory)
    asked = question or ask("caption", language=language, style=style)
    engine, left_out = Engine(loaded, processor), 0
    with out.open("a", encoding="utf-8") if out else nullcontext(sys.stdout) as file, bars() as tell:
        for number, path in enumerate(pictures, start=1):
            try:
                said = _say_one(engine, path, asked, language, max_tokens)
                print(json.dumps(said, ensure_ascii=False), file=file, flush=True)
            except (PictureError, OSError) as error:
                left_out += 1
                say(f"left out: {path}: {error}")
            tell("Captioning", number, len(pictures), path.name)
    if left_out:
        sys.exit(EXIT_LEFT_OUT)


def _pictures(files: Iterable[Path]) -> Iterator[Path]:
    """Files as they are named, and what folders hold of pictures, in order of names."""
    for path in files:
        yield from pictures_in(path) if path.is_dir() else (path,)


def _captioned(out: Path) -> set[str]:
    """The pictures that have a line already; a torn last line is cut off, and its picture asked about again."""
    if not out.is_file():
        return set()
    whole, _, torn = out.read_bytes().rpartition(b"\n")
    if torn:
        out.write_bytes(whole + b"\n" if whole else b"")
    return {str(json.loads(line)["image"]) for line in whole.splitlines() if line.strip()}


def _say_one(engine: Any, path: Path, question: str, language: str, max_tokens: int) -> dict[str, Any]:
    from vlbm.engine import End, GenerationRequest, Message, PictureRef, Token

    picture = PictureRef.of(path.read_bytes())
    request = GenerationRequest((Message("user", question, (picture,)),), max_tokens=max_tokens, language=language)
    steps = list(engine.generate(request))
    said = [step for step in steps if isinstance(step, Token)]
    end = next(step for step in steps if isinstance(step, End))
    (use,) = end.images
    weights = [step.image_weight for step in said if step.image_weight is not None]
    return {
        "image": str(path),
        "caption": "".join(step.text for step in said).strip(),
        "confidence": None if end.confidence is None else round(end.confidence, 4),
        "image_weight": round(sum(weights) / len(weights), 4) if weights else None,
        "notes": list(use.notes),
    }
