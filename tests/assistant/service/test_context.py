import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.errors import EngineError, NotFound
from assistant.domain.messages import Message
from assistant.domain.turns import TurnOptions
from assistant.ports.engine import EngineMessage
from assistant.service.context import chat_prompt, fit, load_picture
from assistant.service.submissions import MOST_PICTURES
from tests.assistant.fakes import OWNER, FakeEngine, FakePictures, answer, info, question

ENGINE = FakeEngine()
SYSTEM = EngineMessage("system", "be kind")


def turns(*lengths: int) -> list[EngineMessage]:
    """User and assistant in turn, each with so many words."""
    return [
        EngineMessage("assistant" if index % 2 else "user", " ".join([f"w{index}"] * length))
        for index, length in enumerate(lengths)
    ]


def test_everything_stays_that_fits() -> None:
    messages = [SYSTEM, *turns(5, 5, 5)]
    assert fit(ENGINE, messages, 17) == messages


def test_the_oldest_turn_goes_whole() -> None:
    """Never a question without its answer, nor an answer without its question."""
    messages = [SYSTEM, *turns(5, 5, 5, 5, 5)]
    assert fit(ENGINE, messages, 26) == [SYSTEM, *messages[3:]]
    assert fit(ENGINE, messages, 12) == [SYSTEM, messages[-1]]


def test_questions_without_an_answer_go_one_by_one() -> None:
    messages = [SYSTEM, *[EngineMessage("user", "a b c") for _ in range(3)]]
    assert fit(ENGINE, messages, 8) == messages[:1] + messages[2:]


def test_a_message_that_alone_is_too_long_says_the_numbers() -> None:
    with pytest.raises(EngineError, match="has 12 tokens; this model takes 11") as refused:
        fit(ENGINE, [SYSTEM, *turns(5, 5, 10)], 11)
    assert refused.value.code == "prompt_too_long"


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(1, 6), st.integers(0, 60))
def test_what_is_left_is_the_newest_that_fits(lengths: list[int], last: int, budget: int) -> None:
    history = turns(*lengths[: len(lengths) // 2 * 2], last)
    messages = [SYSTEM, *history]
    if 2 + last > budget:
        with pytest.raises(EngineError):
            fit(ENGINE, messages, budget)
        return
    kept = fit(ENGINE, messages, budget)
    assert kept[0] is SYSTEM
    assert kept[1:] == history[len(history) - len(kept) + 1 :]
    assert kept[1].role == "user"
    assert ENGINE.count_tokens(kept) <= budget
    longer = [SYSTEM, *history[max(0, len(history) - len(kept) + 1 - 2) :]]
    assert longer == kept or ENGINE.count_tokens(longer) > budget


async def prompt(
    history: list[Message], pictures: FakePictures | None = None, options: TurnOptions | None = None
) -> tuple[EngineMessage, ...]:
    return await chat_prompt(
        FakeEngine(info_=info(context_tokens=60, default_max_tokens=10)),
        pictures or FakePictures(),
        OWNER,
        history,
        "be kind",
        options or TurnOptions(),
    )


async def test_the_prompt_is_the_system_s_word_and_the_conversation() -> None:
    history = [question("first"), answer("yes"), question("", "i_1", turn=2)]
    made = await prompt(history, FakePictures("i_1"))
    assert [(m.role, m.text) for m in made] == [
        ("system", "be kind"),
        ("user", "first"),
        ("assistant", "yes"),
        ("user", ""),
    ]
    picture = made[-1].pictures[0]
    assert (picture.image_id, picture.sha256, picture.data) == ("i_1", "sha-i_1", b"bytes of i_1")
    assert (picture.width, picture.height) == (64, 48)


async def test_room_is_kept_for_the_answer() -> None:
    history = [question("a " * 20), answer("b " * 20), question("c")]
    assert len(await prompt(history)) == 4
    assert len(await prompt(history, options=TurnOptions(max_tokens=30))) == 2


async def test_a_longer_answer_than_the_context_is_not_the_message_s_fault() -> None:
    with pytest.raises(EngineError) as refused:
        await prompt([question("hi")], options=TurnOptions(max_tokens=100))
    assert "-40" not in refused.value.message
    assert "max_tokens" in refused.value.message


async def test_the_newest_pictures_stay() -> None:
    names = [f"i_{number}" for number in range(MOST_PICTURES + 2)]
    history = [question("", *names[:4]), question("", *names[4:], turn=2)]
    store = FakePictures(*names)
    made = await prompt(history, store)
    assert [p.image_id for message in made for p in message.pictures] == names[2:] == store.loaded


async def test_a_picture_of_another_owner_is_not_loaded() -> None:
    with pytest.raises(NotFound):
        await load_picture(FakePictures("i_1"), "eve", "i_1")


async def test_an_old_picture_that_is_gone_does_not_end_the_conversation() -> None:
    made = await prompt([question("look", "i_gone"), answer(), question("and now?", turn=2)])
    assert made[-1].text == "and now?"
