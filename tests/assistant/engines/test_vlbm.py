"""The model as an engine, with what owners have taught: on a tiny random model."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import torch

from assistant.domain.errors import EngineError
from assistant.domain.turns import TurnOptions
from assistant.engines.vlbm import VlbmEngine
from assistant.ports.engine import End, EngineMessage, EnginePicture, EngineRequest, Taught
from tests.vlbm.conftest import drawn


@pytest.fixture
async def engine() -> AsyncIterator[VlbmEngine]:
    import vlbm
    from vlbm.engine import Engine
    from vlbm.tokenizer import train_tokenizer

    torch.manual_seed(0)
    text = vlbm.language_config("gpt2", vlbm.Sizes(vocabulary=300, layers=2, width=32, heads=2, context=64))
    tokenizer = train_tokenizer(["our dog Rex", "a red vase", "What is this?"], vocab_size=300)
    model, processor = vlbm.build(text, tokenizer=tokenizer, encoder="resnet18", encoder_weights="random")
    made = VlbmEngine(Engine(model, processor, name="tiny"), cautions={})
    yield made
    await made.close()


def picture(data: bytes) -> EnginePicture:
    return EnginePicture("i_1", hashlib.sha256(data).hexdigest(), data, 320, 240)


async def said(engine: VlbmEngine, shown: EnginePicture, *memory: Taught) -> str:
    """What the memory said of a picture in an answer: the captions in the evidence that was looked up for it."""
    before = set(engine._engine.eyes.features._kept)
    request = EngineRequest(
        (EngineMessage("user", "What is this?", (shown,)),), TurnOptions(max_tokens=1), memory=memory
    )
    async with aclosing(engine.generate(request)) as stream:
        assert isinstance([event async for event in stream][-1], End)
    [key] = set(engine._engine.eyes.features._kept) - before
    evidence = engine._engine.eyes.features._kept[key].visual.evidence
    return str(engine._engine.processor.tokenizer.decode(evidence.tokens[evidence.mask & ~evidence.ends])).strip()


async def test_an_answer_finds_what_its_owner_has_taught_and_no_other(engine: VlbmEngine) -> None:
    shown = picture(drawn("blue"))
    style = await engine.look_at(shown)
    assert len(style) == 2 * engine._engine.model.config.encoder_spec.style
    rex, vase = (Taught(shown.sha256, text, "en", style) for text in ("our dog Rex", "a red vase"))
    assert await said(engine, shown, rex) == "our dog Rex"
    assert await said(engine, shown, vase) == "a red vase"
    assert await said(engine, shown) == ""
    assert engine.info.encoder


async def test_what_cannot_be_looked_at_is_told(engine: VlbmEngine) -> None:
    with pytest.raises(EngineError, match="not a picture"):
        await engine.look_at(picture(b"nothing"))


async def test_a_model_that_fails_says_what_to_do(engine: VlbmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a matter of its own")

    monkeypatch.setattr(engine._engine.loop.reader, "read", broken)
    with pytest.raises(EngineError, match="try again or shorten it") as caught:
        await said(engine, picture(drawn("green")))
    assert caught.value.code == "engine_failed"
