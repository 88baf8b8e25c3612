from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from assistant.domain.messages import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def message(*parts: TextPart | ImagePart | ToolCallPart | ToolResultPart) -> Message:
    return Message(message_id="m_1", role="user", parts=parts, turn_id="t_1", created_at=NOW)


def test_text_joins_only_the_text_parts() -> None:
    call = ToolCallPart(name="caption", arguments={"text": "not this"})
    assert message(TextPart(text="a"), call, TextPart(text=" b\n")).text == "a b\n"
    assert message().text == ""


def test_image_ids_keep_their_order() -> None:
    parts = [ImagePart(image_id=name, width=1, height=2) for name in ("i_2", "i_1")]
    assert message(parts[0], TextPart(text="x"), parts[1]).image_ids == ("i_2", "i_1")


def test_tool_call_is_the_call_and_not_the_result() -> None:
    call = ToolCallPart(name="caption", arguments={})
    result = ToolResultPart(name="caption", result={})
    assert message(result, call).tool_call is call
    assert message(result).tool_call is None


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        message().turn_id = "t_2"


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="txet"):
        TextPart.model_validate({"text": "a", "txet": "b"})


@pytest.mark.parametrize("part", [{"type": "video"}, {}, {"type": "image", "image_id": "i_1"}, "text", None])
def test_a_part_of_no_known_type_is_an_error(part: object) -> None:
    with pytest.raises(ValidationError):
        Message.model_validate(
            {"message_id": "m", "role": "user", "parts": [part], "turn_id": "t", "created_at": "2026-01-31T12:00:00Z"}
        )


def test_json_has_no_absent_fields_and_reads_back() -> None:
    whole = message(
        ImagePart(image_id="i_1", width=3, height=4),
        ToolCallPart(name="caption", arguments={"style": None, "nested": {"a": [1, None]}}),
        ToolResultPart(name="caption", result={"image_weight": None}),
        TextPart(text='猫 "quoted" \u2028 \x00'),
    )
    assert Message.model_validate_json(whole.to_json()) == whole
