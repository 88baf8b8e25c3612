"""Finds the lines of a picture and reads them, with the models inside `rapidocr-onnxruntime` (PP-OCRv4, Apache-2.0).

Detection and cutting out are that package's. Its classifier of lines on their head is not asked: it turned one of 20
upright pages, of which the recogniser is sure. The recogniser was taught mostly Chinese, where words have no spaces
between them: in Latin text it sees a space and says nothing. The probability that it gives to the space still tells the
two apart, so the letters are decoded here (connectionist temporal classification, Graves et al. 2006: of equal
neighbours one, blanks dropped), with a space where its probability between two letters is enough.

One session a process, made at the first reading, with a bounded number of threads. Letters are those of the model's
alphabet: English, digits, Chinese; it has few accents.
"""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from vlbm.errors import ReadingMissing
from vlbm.pictures import to_rgb
from vlbm.reading.fitting import fit
from vlbm.reading.layout import arrange
from vlbm.reading.result import Line, Reading

ADVICE = (
    "pip install 'vlbm-assistant[ocr]'; where a library such as libGL is missing, "
    "opencv-python-headless in place of opencv-python"
)
MOST_THREADS = 2
LEAST_SEEN = 480
"""The detector enlarges pictures whose shorter side is shorter, in pixels. Its own 736 finds no more, more slowly."""
LEAST_CONFIDENCE = 0.7
"""Lines below are dropped: patterns that look like letters."""
SPACE = 0.05
"""Of 3,008 spaces on 20 rendered pages 2 had a lower probability, of 10,836 gaps between letters 5 a higher one."""
TURNED_LINES = 3
TURNED_GAIN = 0.03
"""Of 20 pages and 11 words on signs each gains at least 0.05 by being turned upright; "NO" and "SOS" gain nothing."""
LINE_HEIGHT = 48
MOST_LINE_WIDTH = 3200
"""The recogniser's height of a line, and the width that bounds its work (some 250 letters), both in pixels."""
BLANK = 0

_turn = Lock()


def read(picture: Image.Image) -> Reading:
    """Read a picture as it stands (see `vlbm.pictures.open_picture` for files).

    Raises:
        ReadingMissing: the package that reads is not installed, or cannot be loaded.
        PictureError: the picture has no pixels.
    """
    upright = to_rgb(picture)
    fitted = fit(upright)
    with _turn:  # the detector keeps the size of its last picture
        found = _lines(_ocr(), np.asarray(fitted.picture)[:, :, ::-1])
    lines = []
    for text, confidence, corners in found:
        points = [(float(x), float(y)) for x, y in fitted.back(corners, *upright.size)]
        lines.append(Line(text, confidence, (points[0], points[1], points[2], points[3])))
    ordered, text = arrange(lines)
    return Reading(ordered, text, *upright.size, fitted.notes)


@cache
def _ocr() -> Any:
    """The models, loaded once."""
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        raise ReadingMissing(f"words in pictures cannot be read ({error}): {ADVICE}") from error
    return RapidOCR(intra_op_num_threads=_threads(), inter_op_num_threads=1, det_limit_side_len=LEAST_SEEN)


def _threads() -> int:
    """As many as torch would take, but few: they wait busily for each other, which is worse than one where cores are
    taken."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(asked) if asked.isdecimal() else MOST_THREADS, MOST_THREADS, os.cpu_count() or 1) or 1


def _lines(ocr: Any, pixels: np.ndarray) -> list[tuple[str, float, np.ndarray]]:
    """Text, confidence and corners [4,2] of each line in pixels [h,w,3] (blue, green, red)."""
    corners, _ = ocr.auto_text_det(pixels)
    if corners is None:
        return []
    cut = ocr.get_crop_img_list(pixels, corners)
    if _upside_down(ocr, cut):
        cut = [np.rot90(line, 2) for line in cut]
        # Layout reads in the order of places: those of the turned picture, whose corners begin at the other end.
        corners = [np.roll(box, 2, axis=0) for box in corners]
    found = []
    for line, box in zip(cut, corners, strict=True):
        text, confidence = _recognise(ocr.text_rec, line)
        if text and confidence >= LEAST_CONFIDENCE:
            found.append((text, confidence, np.asarray(box, dtype=np.float64)))
    return found


def _upside_down(ocr: Any, cut: list[np.ndarray]) -> bool:
    """Whether the longest lines are read more surely the other way up; "NO" is read as well as "ON"."""
    longest = sorted(cut, key=lambda line: line.shape[1], reverse=True)[:TURNED_LINES]
    gains = [
        _recognise(ocr.text_rec, np.rot90(line, 2))[1] - _recognise(ocr.text_rec, line)[1]  # a confidence each
        for line in longest
    ]
    return float(np.mean(gains)) >= TURNED_GAIN


def _recognise(recogniser: Any, line: np.ndarray) -> tuple[str, float]:
    """What a cut-out line [h,w,3] says, and how sure that is."""
    height, width = line.shape[:2]
    wanted = min(max(LINE_HEIGHT // 3, round(LINE_HEIGHT * width / height)), MOST_LINE_WIDTH)
    scaled = Image.fromarray(line).resize((wanted, LINE_HEIGHT), Image.Resampling.BILINEAR)
    values = np.asarray(scaled, dtype=np.float32).transpose(2, 0, 1)[None] / 127.5 - 1  # [1,3,48,w]
    return decode(recogniser.session(values)[0][0], recogniser.postprocess_op.character)


def decode(probabilities: np.ndarray, alphabet: list[str]) -> tuple[str, float]:
    """Text and mean probability of its letters, from probabilities [steps, letters] of which letter 0 is the blank."""
    space = len(alphabet) - 1
    best = probabilities.argmax(axis=1)
    starts = [
        step
        for step, letter in enumerate(best)
        if letter != BLANK and alphabet[letter].strip() and (step == 0 or letter != best[step - 1])
    ]
    text = ""
    for number, step in enumerate(starts):
        if number and probabilities[starts[number - 1] : step, space].max() >= SPACE:
            text += " "
        text += alphabet[best[step]]
    confidence = float(np.mean([probabilities[step, best[step]] for step in starts])) if starts else 0.0
    return _plain(text), confidence


def _plain(text: str) -> str:
    """Full-width signs as plain ones where nothing else is Chinese or Japanese."""
    wide = any(unicodedata.east_asian_width(letter) == "W" for letter in text)
    return text if wide else unicodedata.normalize("NFKC", text)
