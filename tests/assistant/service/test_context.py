import pytest

from assistant.domain.errors import EngineError, NotFound
from assistant.domain.messages import Message
from assistant.domain.prompts import Prompt
from assistant.domain.turns import TurnOptions
from assistant.service.context import SUMMARY, Context, Contexts, load_picture
from assistant.service.submissions import MOST_PICTURES
from tests.assistant.fakes import (
    OWNER,
    FakeConversations,
    FakeEngine,
    FakePictures,
    answer,
    claim,
    end,
    info,
    question,
    words,
)

EARLIER = Prompt("earlier", 1, frozenset({"text"}), "Sum up:\n$text")


class House:
    """Prompts of 50 tokens, over fakes."""

    def __init__(self, *script: object, pictures: FakePictures | None = None) -> None:
        self.engine = FakeEngine(*script, info_=info(context_tokens=200, default_max_tokens=150))
        self.conversations = FakeConversations()
        self.told = 0
        self.contexts = Contexts(self.engine, self.conversations, pictures or FakePictures(), "be kind", EARLIER)

    async def of(self, history: list[Message], options: TurnOptions | None = None) -> Context:
        return await self.contexts.of(claim(options=options or TurnOptions()), history, self.tell)

    async def tell(self) -> None:
        self.told += 1


def talk(many: int, words: int = 5) -> list[Message]:
    """So many questions of a few words, each but the last with its answer."""
    said = [
        m for n in range(1, many + 1) for m in (question(f"q{n} " * words, turn=n), answer(f"a{n} " * words, turn=n))
    ]
    return said[:-1]


async def test_the_prompt_is_the_system_s_word_and_the_conversation() -> None:
    history = [question("first"), answer("yes"), question("", "i_1", turn=2)]
    made = await House(pictures=FakePictures("i_1")).of(history)
    assert [(m.role, m.text) for m in made.prompt] == [
        ("system", "be kind"),
        ("user", "first"),
        ("assistant", "yes"),
        ("user", ""),
    ]
    assert made.notes == ()
    picture = made.prompt[-1].pictures[0]
    assert (picture.image_id, picture.sha256, picture.data) == ("i_1", "sha-i_1", b"bytes of i_1")
    assert (picture.width, picture.height) == (64, 48)


async def test_what_no_longer_fits_is_summed_up_once() -> None:
    house = House(*words("They greeted. "), end())
    history = talk(6)
    made = await house.of(history)
    (summary,) = house.conversations.summaries
    assert (summary.until, summary.text) == (history[7].message_id, "They greeted.")
    assert [m.text.split()[0] for m in made.prompt] == ["be", "q5", "a5", "q6"]
    assert made.prompt[0].text == "be kind\n\nEarlier in this conversation: They greeted."
    assert made.notes == (
        "The first 8 messages of this conversation no longer fit: the answer knows a summary of them.",
    )
    (asked,) = house.engine.requests
    assert asked.options == SUMMARY
    assert asked.owner == OWNER
    assert "The user said: q1" in asked.messages[0].text
    assert "The assistant answered: a4" in asked.messages[0].text
    assert "q5" not in asked.messages[0].text
    assert house.told == 1

    later = await house.of(talk(7))
    assert later.prompt[: len(made.prompt)] == made.prompt  # what was read before need not be read again
    assert len(house.engine.requests) == 1


async def test_a_later_summary_goes_on_from_the_one_before() -> None:
    house = House(*words("They greeted."), end())
    await house.of(talk(6))
    made = await house.of(talk(9))
    assert "Before that: They greeted." in house.engine.requests[-1].messages[0].text
    assert "q4" not in house.engine.requests[-1].messages[0].text
    assert house.conversations.summaries[-1].until == talk(9)[13].message_id
    assert made.notes[0].startswith("The first 14 messages")


async def test_a_summary_of_another_branch_is_not_used() -> None:
    house = House(*words("They greeted."), end())
    await house.of(talk(6))
    house.conversations.summaries[-1] = house.conversations.summaries[-1].model_copy(update={"until": "m_gone"})
    await house.of(talk(6))
    assert len(house.engine.requests) == 2


@pytest.mark.parametrize("script", [[EngineError("engine_failed", "no")], [end()]])
async def test_without_a_summary_the_reader_is_told_what_was_left_out(script: list[object]) -> None:
    made = await House(*script).of(talk(6))
    assert made.prompt[0].text == "be kind"
    assert made.notes == ("The first 8 messages of this conversation no longer fit and were left out.",)


async def test_a_last_message_that_leaves_no_room_for_a_summary_stands_alone() -> None:
    made = await House(*words("They greeted each other."), end()).of(
        [*talk(3), answer(turn=3), question("x " * 47, turn=4)]
    )
    assert [m.text.split()[0] for m in made.prompt] == ["be", "x"]
    assert "left out" in made.notes[0]


async def test_what_is_too_long_to_be_summed_up_whole_is_cut_at_its_beginning() -> None:
    house = House(*words("Much."), end())
    await house.of([question("old " * 200 + "new"), answer(), question("and now?", turn=2)])
    asked = house.engine.requests[0].messages[0].text
    assert len(asked.split()) <= 80
    assert "new" in asked


async def test_room_is_kept_for_the_answer() -> None:
    house = House(*words("They greeted."), end())
    history = [question("a " * 20), answer("b " * 20), question("c")]
    assert len((await house.of(history)).prompt) == 4
    assert len((await house.of(history, TurnOptions(max_tokens=170))).prompt) == 2


async def test_a_longer_answer_than_the_context_is_not_the_message_s_fault() -> None:
    with pytest.raises(EngineError) as refused:
        await House().of([question("hi")], TurnOptions(max_tokens=200))
    assert "-" not in refused.value.message
    assert "max_tokens" in refused.value.message


async def test_the_newest_pictures_stay() -> None:
    names = [f"i_{number}" for number in range(MOST_PICTURES + 2)]
    history = [question("", *names[:4]), question("", *names[4:], turn=2)]
    store = FakePictures(*names)
    made = await House(pictures=store).of(history)
    assert [p.image_id for message in made.prompt for p in message.pictures] == names[2:] == store.loaded


async def test_a_picture_of_another_owner_is_not_loaded() -> None:
    with pytest.raises(NotFound):
        await load_picture(FakePictures("i_1"), "eve", "i_1")


async def test_an_old_picture_that_is_gone_does_not_end_the_conversation() -> None:
    made = await House().of([question("look", "i_gone"), answer(), question("and now?", turn=2)])
    assert made.prompt[-1].text == "and now?"


async def test_pictures_of_messages_that_are_left_out_are_not_loaded() -> None:
    store = FakePictures("i_1", "i_2", "i_3")
    history = [question("old " * 40, "i_1"), answer(), question("and this? " * 9, "i_2", turn=2), answer(turn=2)]
    made = await House(*words("Much."), end(), pictures=store).of([*history, question("and this?", "i_3", turn=3)])
    assert [p.image_id for message in made.prompt for p in message.pictures] == ["i_2", "i_3"] == store.loaded


async def test_each_message_is_counted_once() -> None:
    house = House(*words("They greeted."), end())
    for many in (6, 9):
        house.engine.counted.clear()
        await house.of(talk(many))
        counted = [house.engine.counted.count(message.text) for message in talk(many)]
        assert max(counted) == counted[-1] == 1
    assert len(house.conversations.summaries) == 2
