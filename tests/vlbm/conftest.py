"""The packaged model, loaded once for all tests here, and photos and small stamps to show it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

import vlbm
from vlbm.engine import Engine, PictureRef, readers
from vlbm.engine.engine import TOKENS
from vlbm.engine.paged import PagedReader

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Torch computes in one thread: several wait for each other busily, which is slower where anything else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def packaged() -> tuple[Any, Any]:
    """The packaged model and its processor."""
    return vlbm.load_packaged()


@pytest.fixture(scope="session")
def model(packaged: tuple[Any, Any]) -> Any:
    return packaged[0]


@pytest.fixture(scope="session")
def processor(packaged: tuple[Any, Any]) -> Any:
    return packaged[1]


@pytest.fixture(scope="session")
def reader(model: Any) -> tuple[PagedReader, str]:
    """What engines read with, and its precision: rounding and packing all weights takes a second."""
    torch.set_num_threads(2)  # the reader's own; it shares its work out among them
    read, precision = readers.reader(model, "auto", TOKENS)
    torch.set_num_threads(1)
    assert isinstance(read, PagedReader)
    return read, precision


@pytest.fixture
def engine(model: Any, processor: Any, reader: tuple[PagedReader, str]) -> Iterator[Engine]:
    """An engine that has seen and read nothing; only the packed weights are those of the test before."""
    shared, precision = reader
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlbm.engine.engine.reader", lambda *_: (PagedReader(shared.network), precision))
        made = Engine(model, processor)
    yield made
    made.close()


def drawn(colour: str = "tomato", size: tuple[int, int] = (320, 240)) -> bytes:
    """A PNG with a disc on a gradient."""
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(picture).ellipse((60, 40, 260, 200), fill=colour)
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def aligned(model: Any) -> Any:
    """The model with its weights moved to where an allocator puts them.

    Weights that a file is mapped to lie at any address, and matrix products sum in an order that depends on it: the
    same weights then give logits that differ in their last bits.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def opened(model: Any, alpha: float = 0.5) -> Any:
    """The model with its gates as training would open them: a closed one lets nothing of a picture through."""
    with torch.no_grad():
        for name, parameter in model.fusions.named_parameters():
            if name.endswith("alpha"):
                parameter.fill_(alpha)
    return model


def picture_ref(data: bytes) -> PictureRef:
    return PictureRef.of(data)


@pytest.fixture(scope="session")
def stamp_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cut-outs with captions, laid out as the stamps are."""
    folder = tmp_path_factory.mktemp("stamps")
    things = {
        "ball": ("A red ball.", "crimson"),
        "box": ("A green box.", "seagreen"),
        "moon": ("A yellow moon.", "gold"),
        "pond": ("A blue pond.", "royalblue"),
        "wall": ("A grey wall.", "grey"),
        "plum": ("A purple plum.", "purple"),
        "log": ("A brown log.", "saddlebrown"),
        "egg": ("A white egg.", "ivory"),
    }
    (folder / "things").mkdir()
    for number, (name, (caption, colour)) in enumerate(things.items()):
        picture = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
        draw = ImageDraw.Draw(picture)
        box = (8, 8, 60 + 4 * number, 88 - 4 * number)
        if number % 2:
            draw.rectangle(box, fill=colour)
        else:
            draw.ellipse(box, fill=colour)
        picture.save(folder / "things" / f"{name}.png")
        (folder / "things" / f"{name}.txt").write_text(f"{caption}\nde.utf8=Ding.\n", encoding="utf-8")
    return folder
