"""`vlbm memory`: teach a model what pictures show, in seconds and without training."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlbm.cli.files import ENDINGS, is_picture, pictures_in
from vlbm.cli.terminal import bars, load, say
from vlbm.errors import DataError, MemoryUnusable

if TYPE_CHECKING:
    from vlbm.data.records import Example

NONE = "none"


def default_memory() -> Path:
    """$VLBM_MEMORY, else $XDG_DATA_HOME/vlbm/memory.safetensors, else below ~/.local/share."""
    if own := os.environ.get("VLBM_MEMORY"):
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "vlbm" / "memory.safetensors"


def lend_memory(model: Any, processor: Any, memory: str | None) -> None:
    """Attach the memory that is meant, where there is one; what cannot be used is said, and the model goes without."""
    if memory == NONE:
        return
    from vlbm.memory.index import read_index
    from vlbm.memory.teach import attach

    path = Path(memory) if memory else default_memory()
    if memory and not path.exists():
        raise MemoryUnusable(f"{path} is not there: make it with `vlbm memory add`, or use --memory none")
    try:
        attach(model, processor, read_index(path))
    except MemoryUnusable as error:
        say(f"answering without the memory: {error}")


_file = click.option("--memory", type=click.Path(path_type=Path), help="The memory's file.  [default: your own]")


@click.group()
def memory() -> None:
    """Teach a model what pictures show: add, list and remove.

    A memory belongs to an encoder; `vlbm caption` uses yours where it fits.
    """


@memory.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--caption", help="What it shows, where SOURCE is one picture.")
@click.option("--language", default="en", show_default=True, help="Of captions from names and --caption.")
@click.option("--model", default="packaged", show_default=True, help="Whose encoder looks.")
@_file
def add(source: Path, caption: str | None, language: str, model: str, memory: Path | None) -> None:
    """Remember the pictures of SOURCE: a folder, a file of JSON Lines (docs/data.md), or one picture with --caption.

    In a folder a picture is captioned by the text file beside it (cat.txt for cat.jpg), else by its own name.
    """
    from vlbm.memory.index import read_index, write_index
    from vlbm.memory.teach import look_at

    path = memory or default_memory()
    index = read_index(path)
    examples, problems = _examples(source, caption, language)
    loaded, processor = load(model)
    with bars() as tell:
        new, unread = look_at(loaded, processor, examples, lambda done, total: tell("Looking", done, total, ""))
    grown = index.plus(new.encoder, new.entries, new.features) if new.entries else index
    if new.entries:
        write_index(path, grown)
    for problem in [*problems, *unread]:
        say(f"left out: {problem}")
    click.echo(f"added: {len(new.entries)}; remembered: {len(grown.entries)} in {path}")


@memory.command(name="list")
@_file
def list_entries(memory: Path | None) -> None:
    """Say what is remembered: the picture's hash, language, caption and file."""
    from vlbm.memory.index import read_index

    for entry in read_index(memory or default_memory()).entries:
        click.echo(f"{entry.sha256[:12]}  {entry.language}  {entry.caption}  ({entry.name})")


@memory.command()
@click.argument("words", nargs=-1, required=True)
@_file
def remove(words: tuple[str, ...], memory: Path | None) -> None:
    """Forget pictures, each named by its caption, its file's name or the beginning of its hash (8 digits or more)."""
    from vlbm.memory.index import matches, read_index, write_index

    path = memory or default_memory()
    index = read_index(path)
    kept = index.without(matches(words))
    if len(kept.entries) == len(index.entries):
        raise DataError(f"nothing in {path} is called {', '.join(words)}: `vlbm memory list` says what there is")
    write_index(path, kept)
    click.echo(f"removed: {len(index.entries) - len(kept.entries)}; remembered: {len(kept.entries)} in {path}")


def _examples(source: Path, caption: str | None, language: str) -> tuple[list[Example], list[str]]:
    """Pictures with what they show, and what was left out."""
    from vlbm.data.records import Example, read_jsonl

    if source.is_dir():
        named = [Example((path,), _caption(path), language=language) for path in pictures_in(source)]
        if not named:
            raise DataError(f"{source} has no pictures ({', '.join(sorted(ENDINGS))})")
        return named, []
    if is_picture(source):
        if not (caption or "").strip():
            raise DataError(f"say what {source} shows with --caption")
        return [Example((source,), caption or "", language=language)], []
    read = read_jsonl(source)
    captions = [example for example in read.examples if example.pictures and example.task == "caption"]
    if not captions:
        raise DataError(f"{source} has no captions of pictures (task 'caption')")
    return captions, [str(problem) for problem in read.problems]


def _caption(path: Path) -> str:
    """The text beside a picture, or its name without numbers and underscores: our_dog-2.jpg is "our dog"."""
    beside = path.with_suffix(".txt")
    if beside.is_file() and (text := beside.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()):
        return text
    return re.sub(r"[\s\d_-]+", " ", path.stem).strip() or path.stem
