"""Pictures of every shape and mode become the same views; text is left alone."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vlbm.errors import ConfigError, PictureError
from vlbm.pictures import open_picture, whole
from vlbm.processing import VLBMImageProcessor, VLBMProcessor


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "I;16"])
def test_modes_become_rgb(mode: str) -> None:
    picture = Image.new(mode, (40, 30))
    pixels = VLBMImageProcessor()(picture)["pixel_values"]
    assert pixels.shape == (1, 4, 3, 224, 224)
    assert torch.isfinite(pixels).all()


@pytest.mark.parametrize("size", [(1, 1), (3000, 20), (20, 3000), (224, 224)])
def test_shapes_become_squares(size: tuple[int, int]) -> None:
    assert whole(Image.new("RGB", size, "teal"), 224).size == (224, 224)


def test_transparency_is_laid_on_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(out, "PNG")
    assert open_picture(out.getvalue()).getpixel((0, 0)) == (255, 255, 255)


def test_orientation_is_applied() -> None:
    picture = Image.new("RGB", (40, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    out = BytesIO()
    picture.save(out, "JPEG", exif=exif)
    assert open_picture(out.getvalue()).size == (20, 40)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\nbroken", b"GIF89a"])
def test_what_cannot_be_read_is_an_error(data: bytes) -> None:
    with pytest.raises(PictureError):
        open_picture(data)


def test_arrays_and_bytes_are_taken_too() -> None:
    array = np.zeros((10, 12, 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(array).save(out, "PNG")
    processor = VLBMImageProcessor(views=2)
    assert torch.equal(processor(array)["pixel_values"], processor([out.getvalue()])["pixel_values"])
    with pytest.raises(ValueError, match="views must be"):
        VLBMImageProcessor(views=3)


def test_text_has_no_trace_of_a_picture(processor: Any) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    with_picture = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    plain = [{"role": "user", "content": "What is this?"}]
    assert with_picture == processor.tokenizer.apply_chat_template(plain, add_generation_prompt=True, tokenize=False)


def test_fusion_starts_at_the_last_answer(processor: Any) -> None:
    text = (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
        "<|im_start|>user\nThis?<|im_end|>\n<|im_start|>assistant\n"
    )
    made = VLBMProcessor(processor.image_processor, processor.tokenizer)
    inputs = made(images=[Image.new("RGB", (8, 8))], text=text)
    start = int(inputs["fusion_from"][0])
    assert made.tokenizer.decode(inputs["input_ids"][0, start:]) == "<|im_start|>assistant\n"
    assert made.fusion_start([5, 6, 7]) == 0


def test_fusion_may_start_at_the_last_question(processor: Any) -> None:
    made = VLBMProcessor(processor.image_processor, processor.tokenizer, fusion_begins="question")
    chat = [
        {"role": role, "content": text} for role, text in (("user", "One"), ("assistant", "Two"), ("user", "Three"))
    ]
    text = made.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    inputs = made(images=[Image.new("RGB", (8, 8))], text=text)
    start = int(inputs["fusion_from"][0])
    assert made.tokenizer.decode(inputs["input_ids"][0, start:]).startswith("<|im_start|>user\nThree")


def test_languages_are_numbered_and_others_refused(processor: Any) -> None:
    made = VLBMProcessor(processor.image_processor, processor.tokenizer, languages=("en", "de"))
    assert made(images=[Image.new("RGB", (8, 8))], text="Was?", language="de-AT")["languages"].tolist() == [1]
    with pytest.raises(ConfigError, match="pictures cannot be spoken of in 'ja': use one of en, de"):
        made(images=[Image.new("RGB", (8, 8))], text="Was?", language="ja")
