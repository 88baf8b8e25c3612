"""How sure an answer is: of the names in it, and not of what it does not say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.vlbm.conftest import drawn, picture_ref
from vlbm.engine import End, Engine, GenerationRequest, Message, Token
from vlbm.evidence.marks import Mark, slots_of
from vlbm.evidence.names import to_tokens
from vlbm.evidence.runs import ALIAS, CAPTION, COLOUR, GROUP, KIND, THING, Evidence, Runs, lay_out
from vlbm.evidence.said import confidence

SEEN = {
    "a cat": (GROUP, 0.8),
    "an Egyptian cat": (CAPTION, 0.3),
    "an animal": (KIND, 0.9),
    "a ball of yarn": (THING, 0.6),
    "red": (COLOUR, 0.95),
    "Katze": (CAPTION, 0.4),
}


@pytest.fixture(scope="module")
def evidence(packaged: tuple[Any, Any]) -> Evidence:
    kinds = torch.tensor([[kind for kind, _ in SEEN.values()]])
    sure = torch.tensor([[sure for _, sure in SEEN.values()]])
    return lay_out(Runs(to_tokens([*SEEN], packaged[1].tokenizer, 8)[None].long(), kinds, kinds * 0, sure))


@pytest.mark.parametrize(
    ("answer", "sure"),
    [
        ("The picture shows a cat.", 0.8),
        ("Maybe an Egyptian cat.", 0.8),
        ("Two CATS, I think", 0.8),
        ("It could be an egyptian cat", 0.8),
        ("There are three balls of yarn.", 0.6),
        ("I am not sure what it is. It seems to be an animal.", 0.9),
        ("Eine Katze.", 0.4),
        ("I cannot tell what is in this picture.", 0.0),
        ("It is concatenated and red.", 0.0),
        ("", 0.0),
    ],
)
def test_an_answer_is_as_sure_as_the_surest_name_in_it(
    packaged: tuple[Any, Any], evidence: Evidence, answer: str, sure: float
) -> None:
    assert confidence(evidence, packaged[1].tokenizer, answer) == pytest.approx(sure)


def test_another_name_of_a_thing_is_one_too(packaged: tuple[Any, Any], evidence: Evidence) -> None:
    tokenizer = packaged[1].tokenizer
    token, before = (to_tokens([word], tokenizer, 1)[0].tolist()[0] for word in ("laptop", "yarn"))
    found = evidence.beside(slots_of([[Mark(token, before, ALIAS, 0, 0.2)]]))
    assert confidence(found, tokenizer, "The laptop is red.") == pytest.approx(0.2)
    assert confidence(found, tokenizer, "A ball of yarn.") == pytest.approx(0.6)


def test_no_evidence_is_sure_of_nothing(packaged: tuple[Any, Any], evidence: Evidence) -> None:
    assert confidence(evidence.map(lambda value: value[:, :0]), packaged[1].tokenizer, "A cat.") == 0


def test_the_engine_ends_with_it(packaged: tuple[Any, Any], engine: Engine) -> None:
    processor = packaged[1]
    picture = picture_ref(drawn())
    asked = GenerationRequest((Message("user", "What is this?", (picture,)),), max_tokens=24, prefix="A cat and")
    *steps, end = engine.generate(asked)
    assert isinstance(end, End)
    text = asked.prefix + "".join(step.text for step in steps if isinstance(step, Token))
    (seen,) = engine.eyes.features._kept.values()  # a second look may differ in its last bits
    assert end.confidence == confidence(seen.visual.evidence, processor.tokenizer, text)
    assert end.confidence > 0
    *_, blind = engine.generate(GenerationRequest((Message("user", "Hello"),), max_tokens=2))
    assert isinstance(blind, End)
    assert blind.confidence is None
