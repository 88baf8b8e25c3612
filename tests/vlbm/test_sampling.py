"""Which token comes next: as transformers chooses, within a schema, and not before its time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from vlbm.engine import Engine, GenerationRequest, Message, Token
from vlbm.engine.sampling import Sampler
from vlbm.errors import ConfigError

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "size": {"enum": ["small", "large"]},
        "year": {"type": "integer", "minimum": 1, "maximum": 9999},
    },
    "required": ["city", "size", "year"],
    "additionalProperties": False,
}


def request(**settings: Any) -> GenerationRequest:
    return GenerationRequest((Message("user", "Tell me about a city, as JSON."),), **settings)


def said(engine: Engine, asked: GenerationRequest) -> str:
    return "".join(step.text for step in engine.generate(asked) if isinstance(step, Token))


def test_repetition_penalty_is_that_of_transformers() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    logits = torch.randn(50, generator=torch.Generator().manual_seed(3))
    prompt = [1, 4, 4, 9]
    processor = RepetitionPenaltyLogitsProcessor(1.7)
    wanted = processor(torch.tensor([prompt]), logits[None].clone())[0]
    assert torch.equal(Sampler(request(repetition_penalty=1.7), prompt)._penalise(logits), wanted)


def test_only_the_likeliest_are_drawn_from() -> None:
    logits = torch.tensor([0.0, 3.0, 2.0, 1.0])
    sampler = Sampler(request(temperature=9.0, top_k=2, seed=1), [])
    assert {sampler.choose(logits, 1) for _ in range(200)} == {1, 2}


def test_an_answer_does_not_end_before_its_time() -> None:
    sampler = Sampler(request(max_tokens=9, min_tokens=2), [], ends=[0])
    logits = torch.tensor([5.0, 3.0, 1.0])
    assert [sampler.choose(logits, 0) for _ in range(3)] == [1, 1, 0]
    assert logits.tolist() == [5.0, 3.0, 1.0]


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.5, "seed": 4}, {"min_tokens": 90}])
def test_an_answer_keeps_to_its_schema(engine: Engine, settings: dict[str, Any]) -> None:
    asked = request(schema=SCHEMA, max_tokens=100, **settings)
    found = json.loads(said(engine, asked))
    assert set(found) == {"city", "size", "year"}
    assert found["size"] in ("small", "large")
    assert len(found["city"]) <= 12
    assert 1 <= found["year"] <= 9999


def test_an_answer_that_was_begun_is_gone_on_with_by_its_schema(engine: Engine) -> None:
    begun = '{"city": "Rome", "size": "la'
    rest = said(engine, request(schema=SCHEMA, max_tokens=60, prefix=begun))
    found = json.loads(begun + rest)
    assert (found["city"], found["size"]) == ("Rome", "large")


@pytest.mark.parametrize(
    ("schema", "prefix", "message"),
    [
        ({"type": "nonsense"}, "", "schema cannot be followed: Invalid type: nonsense"),
        (SCHEMA, "Rome", "does not keep to its schema"),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused(
    engine: Engine, schema: dict[str, Any], prefix: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        said(engine, request(schema=schema, prefix=prefix))
