import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.errors import EngineError
from assistant.ports.engine import EngineMessage
from assistant.service.lengths import Lengths
from tests.assistant.fakes import FakeEngine

ENGINE = FakeEngine()
SYSTEM = EngineMessage("system", "be kind")


def cut(messages: list[EngineMessage], budget: int) -> int:
    return Lengths(ENGINE, messages[1:]).cut(messages[0].text, 0, budget)


def turns(*lengths: int) -> list[EngineMessage]:
    """User and assistant in turn, each with so many words."""
    return [
        EngineMessage("assistant" if index % 2 else "user", " ".join([f"w{index}"] * length))
        for index, length in enumerate(lengths)
    ]


def test_the_oldest_turns_go_whole_until_half_is_free() -> None:
    """Never a question without its answer, nor an answer without its question."""
    messages = [SYSTEM, *turns(5, 5, 5, 5, 5)]
    assert cut(messages, 54) == 0
    assert cut(messages, 34) == 2
    assert cut(messages, 26) == 4


def test_questions_without_an_answer_go_one_by_one() -> None:
    messages = [SYSTEM, *[EngineMessage("user", "a b c") for _ in range(3)]]
    assert cut(messages, 16) == 1


def test_the_last_message_may_take_more_than_half() -> None:
    assert cut([SYSTEM, *turns(5, 5, 10)], 12) == 2


def test_a_message_that_alone_is_too_long_says_the_numbers() -> None:
    with pytest.raises(EngineError, match="has 12 tokens; this model takes 11") as refused:
        cut([SYSTEM, *turns(5, 5, 10)], 11)
    assert refused.value.code == "prompt_too_long"


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(1, 6), st.integers(0, 60))
def test_what_is_left_is_the_newest(lengths: list[int], last: int, budget: int) -> None:
    history = turns(*lengths[: len(lengths) // 2 * 2], last)
    messages = [SYSTEM, *history]
    if 2 + last > budget:
        with pytest.raises(EngineError):
            cut(messages, budget)
        return
    gone = cut(messages, budget)
    kept = [SYSTEM, *history[gone:]]
    assert kept[1].role == "user"
    assert ENGINE.count_tokens(kept) <= (budget if len(kept) == 2 else budget // 2)
    assert gone == 0 or ENGINE.count_tokens([SYSTEM, *history[gone - 2 :]]) > budget // 2


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 60))))
def test_whatever_was_asked_before_what_fits_is_as_long_as_all_counted_together(
    many: list[int], asked: list[tuple[int, int]]
) -> None:
    history = turns(*many)
    lengths = Lengths(ENGINE, history)
    for start, budget in asked:
        start = min(start, len(history) - 1)
        assert lengths.fits("be kind", start, budget) == (ENGINE.count_tokens([SYSTEM, *history[start:]]) <= budget)


def test_no_more_is_counted_than_is_needed_to_know_and_nothing_twice() -> None:
    engine = FakeEngine()
    lengths = Lengths(engine, turns(*[5] * 1000))
    for budget in (12, 22, 22, 12):
        assert not lengths.fits("be kind", 0, budget)
    assert lengths.cut("be kind", 0, 44) == 996
    said = [text for text in engine.counted if text not in ("", "be kind")]
    assert said == [message.text for message in turns(*[5] * 1000)[: -len(said) - 1 : -1]]
    assert len(said) == 5
