import pytest

from assistant.images import sniff
from tests import pictures


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pictures.jpeg(), "JPEG"),
        (pictures.png(), "PNG"),
        (pictures.webp(), "WEBP"),
        (pictures.gif(), "GIF"),
        (b"GIF87a", "GIF"),
        (b"BM....", "BMP"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"%PDF-1.7", "PDF"),
        (pictures.heic(), "HEIC"),
        (pictures.heic(b"mif1"), "HEIC"),
        (pictures.heic(b"avif"), "AVIF"),
        (pictures.heic(b"isom"), None),
        (pictures.svg(), "SVG"),
        (b"\xef\xbb\xbf \n<SVG >", "SVG"),
        (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"><svg>', "SVG"),
        (b"<?xml version='1.0'?><html>", None),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"\xff\xd8", None),
        (b"\x89PNG\r\n\x1a", None),
        (pictures.text(), None),
        (b"", None),
        (b"\x00" * 1000, None),
    ],
)
def test_the_first_bytes_say_what_it_is(data: bytes, kind: str | None) -> None:
    assert sniff(data) == kind
