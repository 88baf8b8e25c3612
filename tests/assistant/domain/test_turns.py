import itertools
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assistant.domain.messages import ImagePart, Message, TextPart, ToolCallPart
from assistant.domain.turns import Submission, TurnOptions, answer_id, newest_branch, path_to, question_id

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def said(name: str, parent: str | None = None) -> Message:
    role: Literal["user", "assistant"] = "assistant" if "." in name else "user"
    turn_id = name.partition(".")[2] or f"t_{name}"
    return Message(message_id=name, role=role, parts=(), turn_id=turn_id, created_at=NOW, parent=parent)


def names(messages: list[Message]) -> list[str]:
    return [message.message_id for message in messages]


def test_an_answer_follows_its_question_however_the_log_interleaves() -> None:
    log = [said("a"), said("b", "a.1"), said("a.1", "a"), said("c", "b.2"), said("b.2", "b")]
    assert names(path_to("c", log)) == ["a", "a.1", "b", "b.2", "c"]
    assert names(path_to("b", log)) == ["a", "a.1", "b"], "what was asked later is left out"
    assert names(newest_branch(log)) == ["a", "a.1", "b", "b.2", "c"]


def test_what_follows_an_answer_that_never_came_follows_its_question() -> None:
    log = [said("a"), said("b", "a.1"), said("b.2", "b")]
    assert names(path_to("b", log)) == ["a", "b"]
    assert names(newest_branch(log)) == ["a", "b", "b.2"]


def test_an_edited_message_and_an_answer_made_again_are_branches_of_their_own() -> None:
    log = [said("a"), said("a.1", "a"), said("b", "a.1"), said("b.2", "b"), said("c", "a.1"), said("c.3", "c")]
    assert names(newest_branch(log)) == ["a", "a.1", "c", "c.3"]
    assert names(path_to("b.2", log)) == ["a", "a.1", "b", "b.2"]
    log.append(said("b.4", "b"))
    assert names(newest_branch(log)) == ["a", "a.1", "b", "b.4"]
    log.append(said("d"))
    assert names(newest_branch(log)) == ["d"], "the first message can be edited too"


def test_nothing_said_is_no_branch() -> None:
    assert newest_branch([]) == []
    with pytest.raises(LookupError, match="no message b"):
        path_to("b", iter([said("a")]))


def test_ids_of_answers_name_what_they_answer() -> None:
    assert question_id(answer_id("m_1", "t_2")) == question_id("m_1") == "m_1"


@st.composite
def trees(draw: st.DrawFn) -> list[Message]:
    """A log that can happen: questions after any earlier message or none; each answer somewhere behind its question."""
    log: list[Message] = []
    for turn in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from([None, *names(log)]))
        log.append(said(f"q{turn}", parent))
        for _ in range(draw(st.integers(0, 2))):
            log.append(said(f"q{turn}.{len(log)}", f"q{turn}"))
    return log


@given(trees())
def test_every_branch_is_a_path_from_a_beginning(log: list[Message]) -> None:
    for message in log:
        path = path_to(message.message_id, log)
        assert path[-1] == message
        assert path[0].parent is None
        assert all(after.parent == before.message_id for before, after in itertools.pairwise(path))
    assert newest_branch(log)[-1] == log[-1]


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
