"""A memory that a request brings along: its answers are as if the model had it, and nobody else's are."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vlbm
from tests.vlbm.conftest import drawn, opened
from vlbm.config import VLBMConfig
from vlbm.data.records import Example
from vlbm.engine import Engine, GenerationRequest, Message, PictureRef, Token
from vlbm.engine.seen import Key
from vlbm.errors import MemoryUnusable, PictureError
from vlbm.evidence.neighbours import Lent
from vlbm.evidence.paint import PAINT
from vlbm.evidence.runs import CAPTION
from vlbm.evidence.table import EvidenceTable
from vlbm.evidence.things import Sighted
from vlbm.memory.index import Index
from vlbm.memory.teach import attach, look_at, teach
from vlbm.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["our dog Bello", "a red ball", "a blue ball", "What is this?"], vocab_size=300)
BLUE, RED = drawn("blue"), drawn("red")


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any]:
    torch.manual_seed(0)
    sizes = vlbm.Sizes(vocabulary=300, layers=2, width=32, heads=2, context=64)
    text = vlbm.language_config("gpt2", sizes)
    model, processor = vlbm.build(
        text, tokenizer=TOKENIZER, encoder="resnet18", encoder_weights="random", fusion_heads=2
    )
    return opened(model), processor


@pytest.fixture
def engine(made: tuple[Any, Any]) -> Engine:
    return Engine(*made)


@pytest.fixture(scope="module")
def index(made: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Index:
    """A blue picture is a dog, and a red one a ball."""
    folder = tmp_path_factory.mktemp("taught")
    return look_at(*made, list(_examples(folder)), lambda *_: None)[0]


def _examples(folder: Path) -> Iterator[Example]:
    for name, data, caption in (("blue", BLUE, "our dog Bello"), ("red", RED, "A red ball.")):
        (folder / f"{name}.png").write_bytes(data)
        yield Example((folder / f"{name}.png",), caption)


def answer(engine: Engine, memory: Lent | None, data: bytes = BLUE) -> list[tuple[int | None, float | None]]:
    """Tokens and weights of the answer to one question about a picture."""
    message = Message("user", "What is this?", (PictureRef.of(data),))
    steps = engine.generate(GenerationRequest((message,), max_tokens=4, memory=memory))
    return [(step.token_id, step.image_weight) for step in steps if isinstance(step, Token)]


def told(engine: Engine, memory: Lent | None, data: bytes = BLUE) -> str:
    """What memories said of a picture in an answer."""
    answer(engine, memory, data)
    key = Key(engine.eyes.identity, PictureRef.of(data).sha256, "en", memory.id if memory else "")
    found = engine.eyes.features.get(key)
    assert found is not None
    evidence = found.visual.evidence
    said = evidence.mask & ~evidence.ends & (evidence.kind == CAPTION)
    return str(engine.processor.tokenizer.decode(evidence.tokens[said])).strip()


def test_no_owner_gets_what_anothers_memory_said_of_the_same_picture(
    engine: Engine, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = engine.model, engine.processor
    anna = teach(model, processor, index.without(lambda entry: "ball" in entry.caption))
    ben = teach(model, processor, index.without(lambda entry: "dog" in entry.caption))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    alone = [answer(Engine(model, processor), memory) for memory in (anna, ben, None)]
    assert told(engine, anna) == "our dog Bello"
    assert told(engine, ben) == "a red ball"
    assert told(engine, None) == ""
    assert [answer(engine, memory) for memory in (anna, ben, None)] == alone
    monkeypatch.setattr(model, "look", lambda *_a, **_k: pytest.fail("what is cached was looked at again"))
    assert [told(engine, memory) for memory in (None, ben, anna)] == ["", "a red ball", "our dog Bello"]
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert model.config.memory_pictures == 0


def test_what_is_forgotten_is_gone_from_the_next_answer(engine: Engine, index: Index) -> None:
    assert set(told(engine, teach(engine.model, engine.processor, index)).split(" a ")) == {"our dog Bello", "red ball"}
    less = index.without(lambda entry: "dog" in entry.caption)
    assert told(engine, teach(engine.model, engine.processor, less)) == "a red ball"
    other = Index(index.encoder, tuple(reversed(index.entries)), index.features)
    assert told(engine, teach(engine.model, engine.processor, other)).startswith("a red ball")


def test_a_memory_brought_along_says_what_an_attached_one_does(made: tuple[Any, Any], index: Index) -> None:
    model, processor = made
    attached = copy.deepcopy(model)
    attach(attached, processor, index)
    pixels = processor.image_processor([BLUE, RED])["pixel_values"]
    lent, kept = model.look(pixels, lent=teach(model, processor, index)), attached.look(pixels)
    for name in ("tokens", "previous", "kind", "rank", "confidence", "ends", "mask"):
        assert torch.equal(getattr(lent.evidence, name), getattr(kept.evidence, name)), name
    assert (lent.evidence.kind == CAPTION).any()


def test_an_engine_looks_as_the_index_was_made(engine: Engine, index: Index) -> None:
    assert torch.equal(engine.style(PictureRef.of(BLUE)), index.features[0])
    with pytest.raises(PictureError, match="not a picture"):
        engine.style(PictureRef.of(b"nothing of the kind"))


def test_another_encoders_memory_is_refused(made: tuple[Any, Any], index: Index) -> None:
    with pytest.raises(MemoryUnusable, match="was made with another encoder"):
        teach(*made, Index("another", index.entries, index.features))


def test_regions_are_looked_up_in_it_too() -> None:
    config = VLBMConfig(
        text_config={"model_type": "gpt2", "n_layer": 2},
        fusion_layers=(1,),
        languages=("en", "de"),
        caption_tokens=2,
        evidence_neighbours=1,
        evidence_regions=4,
    )
    table = EvidenceTable(config, classes=1000, width=config.encoder_spec.style)
    style = torch.zeros(1, config.encoder_spec.style)
    style[0, 3] = 1
    sighted = Sighted(
        torch.tensor([[0, 0, 0.5, 0.5]]), torch.tensor([0.9]), style, torch.zeros(1, 1000), torch.zeros(1, PAINT)
    )
    lent = table.memory.taught(style, torch.tensor([[[7, 8]], [[17, -1]]]))
    assert table.things is not None
    [found] = table.things.things(sighted, table, 1, lent=lent)
    assert (found.first, found.name) == ((7, 8), (17,))
    runs, _ = table.things.describe([sighted], table, languages=torch.tensor([0]), lent=lent)
    assert runs.tokens.tolist() == [[[7, 8]]]
    assert not table.things.things(sighted, table, 1)
