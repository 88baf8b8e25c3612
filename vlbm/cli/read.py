"""`vlbm read`: say what is written in pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from vlbm.cli.terminal import EXIT_LEFT_OUT, say


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON a picture, with boxes and confidences.")
def read(files: tuple[Path, ...], as_json: bool) -> None:
    """Say what is written in pictures: signs, menus, pages. Needs no model, but the extra 'ocr'.

    Of several FILES each text follows the file's name. With --json each is a line {"image": ..., "text": ..., "width":
    ..., "height": ..., "notes": [...], "lines": [{"text": ..., "confidence": ..., "box": [[x, y], ...]}]}; boxes are
    corners in pixels of the upright picture. Pictures that cannot be read are named, and the exit status is 1.
    """
    from vlbm.errors import PictureError
    from vlbm.pictures import open_picture
    from vlbm.reading import read as read_picture

    left_out = 0
    for path in files:
        try:
            reading = read_picture(open_picture(path.read_bytes()))
        except (PictureError, OSError) as error:
            left_out += 1
            say(f"left out: {path}: {error}")
            continue
        if as_json:
            click.echo(json.dumps({"image": str(path), **reading.to_json()}, ensure_ascii=False))
            continue
        for note in reading.notes:
            say(f"{path}: {note}")
        if not reading.lines:
            say(f"{path}: no words found")
        click.echo(f"== {path}\n{reading.text}" if len(files) > 1 else reading.text)
    if left_out:
        sys.exit(EXIT_LEFT_OUT)
