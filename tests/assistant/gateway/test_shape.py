import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.errors import InvalidRequest
from assistant.gateway.shape import MOST_DEPTH, MOST_DIGITS, MOST_MEMBERS, check_shape


def refused(text: str) -> str:
    with pytest.raises(InvalidRequest) as error:
        check_shape(text)
    return error.value.code


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_depth() -> None:
    check_shape(nested(MOST_DEPTH))
    check_shape("[" + "[]," * 100 + "[]]")
    assert refused(nested(MOST_DEPTH + 1)) == "frame_too_deep"
    assert refused("[" * 100_000) == "frame_too_deep"
    assert refused('{"a":' * 100 + "1" + "}" * 100) == "frame_too_deep"


def test_width() -> None:
    check_shape(json.dumps(list(range(MOST_MEMBERS + 1))))
    assert refused(json.dumps(list(range(MOST_MEMBERS + 2)))) == "frame_too_wide"
    assert refused(json.dumps({str(number): 1 for number in range(60_000)})) == "frame_too_wide"


def test_numbers() -> None:
    check_shape("9" * MOST_DIGITS)
    assert refused("9" * (MOST_DIGITS + 1)) == "number_too_long"
    assert refused('{"a":1e' + "9" * 50 + "}") == "number_too_long"
    for word in ("NaN", "-Infinity", "Infinity"):
        assert refused(f'{{"a":{word}}}') == "malformed_json"


@given(st.text(alphabet='[]{}",\\:9NaInfity\n', max_size=400))
def test_what_a_message_says_is_never_too_deep_or_wide(text: str) -> None:
    check_shape(json.dumps({"text": text * 50}))
    check_shape(json.dumps({"text": text, "more": [text, {"x": text}]}, ensure_ascii=False))
