"""Pictures with words, drawn with the font inside Pillow."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont


def written(
    lines: list[str], *, size: tuple[int, int] = (480, 240), font: int = 30, ground: str = "white", ink: str = "black"
) -> Image.Image:
    """Lines from the top left, each 1.5 times the font's size below the one before; empty ones leave space."""
    picture = Image.new("RGB", size, ground)
    draw, face = ImageDraw.Draw(picture), ImageFont.load_default(font)
    for number, line in enumerate(lines):
        draw.text((font, font + number * font * 1.5), line, font=face, fill=ink)
    return picture


def png(picture: Image.Image) -> bytes:
    """The bytes of its file."""
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
