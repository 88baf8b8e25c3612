import itertools
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assistant.domain.messages import ImagePart, Message, TextPart, ToolCallPart
from assistant.domain.turns import Submission, TurnOptions, conversation_until

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def said(role: Literal["user", "assistant"], turn: int) -> Message:
    return Message(message_id=f"m_{role}{turn}", role=role, parts=(), turn_id=f"t_{turn}", created_at=NOW)


def test_an_answer_follows_its_question_however_the_log_interleaves() -> None:
    log = [said("user", 1), said("user", 2), said("assistant", 1), said("user", 3), said("assistant", 2)]
    assert [m.message_id for m in conversation_until("t_3", log)] == [
        "m_user1",
        "m_assistant1",
        "m_user2",
        "m_assistant2",
        "m_user3",
    ]


def test_what_was_asked_later_is_left_out() -> None:
    log = [said("user", 1), said("user", 2), said("user", 3), said("assistant", 1)]
    assert [m.message_id for m in conversation_until("t_2", log)] == ["m_user1", "m_assistant1", "m_user2"]


def test_its_own_answer_is_left_out() -> None:
    assert [m.role for m in conversation_until("t_1", [said("user", 1), said("assistant", 1)])] == ["user"]


def test_a_turn_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="t_9"):
        conversation_until("t_9", [said("user", 1)])


def test_messages_may_come_from_an_iterator() -> None:
    assert conversation_until("t_1", iter([said("user", 1)])) == [said("user", 1)]


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Message], int]:
    """A log that can happen: questions in order, each answer somewhere behind its question; and a turn of it."""
    count = draw(st.integers(1, 6))
    log = [said("user", turn) for turn in range(count)]
    for turn in range(count):
        if draw(st.booleans()):
            place = draw(st.integers(log.index(said("user", turn)) + 1, len(log)))
            log.insert(place, said("assistant", turn))
    return log, draw(st.integers(0, count - 1))


@given(logs())
def test_the_conversation_is_every_earlier_turn_whole_and_in_order(case: tuple[list[Message], int]) -> None:
    log, turn = case
    conversation = conversation_until(f"t_{turn}", log)
    expected = [message for earlier in range(turn) for message in log if message.turn_id == f"t_{earlier}"]
    assert conversation == [*expected, said("user", turn)]
    for before, after in itertools.pairwise(conversation):
        if after.role == "assistant":
            assert (before.role, before.turn_id) == ("user", after.turn_id)


@pytest.mark.parametrize(
    "field",
    [
        {"max_tokens": 0},
        {"max_tokens": 4097},
        {"max_tokens": "many"},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": float("nan")},
        {"seed": -1},
        {"seed": 2**63},
        {"top_k": 1},
    ],
)
def test_options_out_of_range_are_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TurnOptions.model_validate(field)


def test_options_at_their_bounds_are_taken() -> None:
    TurnOptions(max_tokens=1, temperature=0.0, top_p=1.0, seed=0)
    TurnOptions(max_tokens=4096, temperature=2.0, top_p=0.001, seed=2**63 - 1)
    assert TurnOptions().to_json() == "{}"


def test_parts_are_pictures_then_the_tool_then_the_text() -> None:
    picture = ImagePart(image_id="i_1", width=1, height=1)
    call = ToolCallPart(name="caption", arguments={})
    whole = Submission(client_message_id="c", text="hi", images=(picture,), tool=call)
    assert whole.parts() == (picture, call, TextPart(text="hi"))
    assert Submission(client_message_id="c", text="").parts() == ()
