import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assistant.domain.events import (
    ErrorInfo,
    Event,
    ImageUse,
    MessageCreated,
    Place,
    TokenWeight,
    ToolCalled,
    ToolFinished,
    TurnDelta,
    TurnFinished,
    TurnProgress,
    TurnQueued,
    TurnStarted,
    Usage,
    read_event,
)
from assistant.domain.messages import ImagePart, Message, TextPart
from assistant.domain.model import Value

PLACE = '{"session_id":"s_1","epoch":"e_1","seq":7,"at":"2026-01-31T12:00:00.000001Z",'

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(0, 10**9)
weights = st.floats(0, 1, allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, values, max_size=4)
messages = st.builds(
    Message,
    message_id=text,
    role=st.sampled_from(["user", "assistant"]),
    parts=st.tuples(st.builds(TextPart, text=text), st.builds(ImagePart, image_id=text, width=numbers, height=numbers)),
    turn_id=text,
    created_at=st.datetimes(timezones=st.just(UTC)),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(MessageCreated, message=messages),
    st.builds(TurnQueued, turn_id=text, position=numbers),
    st.builds(TurnStarted, turn_id=text, attempt=numbers, engine=text, model=text),
    st.builds(TurnProgress, turn_id=text, stage=text, done=numbers, total=numbers),
    st.builds(
        TurnDelta,
        turn_id=text,
        text=text,
        tokens=st.none() | st.tuples(st.builds(TokenWeight, text=text, image_weight=weights)),
    ),
    st.builds(ToolCalled, turn_id=text, name=text, arguments=objects),
    st.builds(ToolFinished, turn_id=text, name=text, result=objects),
    st.builds(
        TurnFinished,
        turn_id=text,
        status=st.sampled_from(["completed", "cancelled", "failed", "length"]),
        usage=st.none() | st.builds(Usage, prompt_tokens=numbers, completion_tokens=numbers, image_cells=numbers),
        images=st.tuples(st.builds(ImageUse, image_id=text, seen=st.booleans(), width=numbers, height=numbers)),
        error=st.none() | st.builds(ErrorInfo, code=text, message=text),
    ),
)


def placed(event: Value) -> str:
    """The JSON of a log: the place goes before the event's own fields, as the store writes it."""
    return PLACE + event.to_json()[1:]


@given(events)
def test_every_event_reads_back_as_it_was_written(event: Event) -> None:
    read = read_event(placed(event))
    assert read.event == event
    assert type(read.event) is type(event)
    at = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
    assert read.place == Place(session_id="s_1", epoch="e_1", seq=7, at=at)


@given(events)
def test_the_type_is_the_first_field_of_every_event(event: Event) -> None:
    """The store finds the end of the place by it."""
    assert event.to_json().startswith('{"type":"')


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_never_reach_the_wire(number: float) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    for event in (
        ToolCalled(turn_id="t", name="n", arguments={"x": number, "y": [number]}),
        TurnDelta(turn_id="t", text="a", tokens=(TokenWeight(text="a", image_weight=number),)),
    ):
        json.loads(placed(event), parse_constant=refuse)


@pytest.mark.parametrize(
    "frame",
    [
        PLACE + '"type":"turn.delta","turn_id":"t"}',
        PLACE + '"type":"turn.delta","turn_id":"t","text":5}',
        PLACE + '"type":"turn.delta","turn_id":"t","text":"a","extra":1}',
        PLACE + '"type":"turn.unheard"}',
        PLACE + '"turn_id":"t"}',
        '{"type":"turn.delta","turn_id":"t","text":"a"}',
        "{}",
    ],
)
def test_what_is_no_event_is_a_validation_error(frame: str) -> None:
    with pytest.raises(ValidationError):
        read_event(frame)


@pytest.mark.parametrize("frame", ["[]", "7", '"text"', "null", "{", ""])
def test_what_is_no_object_is_a_validation_error(frame: str) -> None:
    with pytest.raises(ValidationError):
        read_event(frame)


def test_a_client_reads_past_what_a_later_server_says_too() -> None:
    frame = (
        PLACE + '"type":"turn.delta","turn_id":"t","text":"a","extra":1,"tokens":[{"text":"a","image_weight":1,"x":2}]}'
    )
    tokens = (TokenWeight(text="a", image_weight=1),)
    assert read_event(frame, unknown_fields="ignore").event == TurnDelta(turn_id="t", text="a", tokens=tokens)


def test_bytes_are_read_as_text_is() -> None:
    event = TurnDelta(turn_id="t", text="naïve 猫")
    assert read_event(placed(event).encode()).event == event
