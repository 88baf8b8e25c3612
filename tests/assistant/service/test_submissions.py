from typing import Any

import pytest

from assistant.bootstrap import load_prompts
from assistant.domain.errors import AssistantError, Conflict, LimitReached, NotFound, Unavailable
from assistant.domain.limits import Allowance, Allowances, exhausted
from assistant.domain.messages import ImagePart, TextPart, ToolCallPart
from assistant.domain.turns import TurnOptions
from assistant.ports.conversations import Accepted
from assistant.service.limits import DEFAULT_TOKENS, Limits
from assistant.service.submissions import MOST_CHARACTERS, MOST_PICTURES, Submissions
from assistant.tools import all_tools
from tests.assistant.fakes import OWNER, FakeConversations, FakeLimits, FakePictures, question

ALLOWED = Allowances({"turns": Allowance(10, 60.0), "tokens": Allowance(10_000, 3600.0)})
MANY = tuple(f"i_{number}" for number in range(MOST_PICTURES + 1))


class House:
    """Submissions over fakes, with one session."""

    def __init__(self) -> None:
        self.conversations = FakeConversations()
        self.conversations.add("s_1")
        self.limits = FakeLimits()
        self.submissions = Submissions(
            self.conversations, FakePictures(*MANY), all_tools(load_prompts()), Limits(self.limits, ALLOWED)
        )

    async def accept(self, session_id: str = "s_1", owner: str = OWNER, **changes: Any) -> Accepted:
        fields: dict[str, Any] = {
            "client_message_id": "c",
            "text": "",
            "image_ids": (),
            "tool": None,
            "options": TurnOptions(),
        }
        return await self.submissions.accept(owner, session_id, **(fields | changes))

    async def refused(self, **changes: Any) -> str:
        with pytest.raises(AssistantError) as error:
            await self.accept(**changes)
        assert not self.conversations.submitted, "something was promised"
        assert "\n" not in error.value.message
        return error.value.code


@pytest.fixture
def house() -> House:
    return House()


async def test_a_text_is_accepted_as_it_is(house: House) -> None:
    accepted = await house.accept(text=" two\nlines ", options=TurnOptions(seed=1))
    assert accepted == Accepted("t_1", "m_1", duplicate=False)
    submission = house.conversations.submitted[0]
    assert submission.parts() == (TextPart(text=" two\nlines "),)
    assert submission.options.seed == 1


async def test_a_picture_alone_is_enough_and_its_size_comes_from_the_store(house: House) -> None:
    await house.accept(image_ids=("i_0",))
    assert house.conversations.submitted[0].parts() == (ImagePart(image_id="i_0", width=64, height=48),)


async def test_a_picture_named_twice_is_sent_once(house: House) -> None:
    call = ToolCallPart(name="caption", arguments={"images": ["i_1", "i_0"]})
    await house.accept(image_ids=("i_0", "i_0"), tool=call)
    assert [part.image_id for part in house.conversations.submitted[0].images] == ["i_0", "i_1"]


async def test_a_slash_command_calls_its_tool(house: House) -> None:
    await house.accept(text="/caption alt", image_ids=("i_0",))
    call = house.conversations.submitted[0].tool
    assert call is not None
    assert (call.name, call.arguments["style"]) == ("caption", "alt")


async def test_a_tool_that_is_named_wins_over_a_slash(house: House) -> None:
    call = ToolCallPart(name="summarise", arguments={"text": "long"})
    await house.accept(text="/translate", tool=call)
    submitted = house.conversations.submitted[0].tool
    assert submitted is not None
    assert submitted.arguments == {"text": "long", "length": "medium", "images": []}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "message_empty"),
        ({"text": " \n\t"}, "message_empty"),
        ({"text": "x" * (MOST_CHARACTERS + 1)}, "text_too_long"),
        ({"text": "x", "image_ids": MANY}, "too_many_images"),
        ({"text": "x", "image_ids": ("i_stranger",)}, "image_not_found"),
        ({"text": "x", "session_id": "s_nobody"}, "session_not_found"),
        ({"text": "x", "owner": "eve"}, "session_not_found"),
        ({"text": "/caption"}, "image_missing"),
        ({"text": "/caption loud", "image_ids": ("i_0",)}, "invalid_arguments"),
        ({"tool": ToolCallPart(name="caption", arguments={})}, "image_missing"),
        ({"tool": ToolCallPart(name="fly", arguments={})}, "unknown_tool"),
        ({"tool": ToolCallPart(name="summarise", arguments={})}, "text_missing"),
        ({"text": "/translate es"}, "text_missing"),
        ({"tool": ToolCallPart(name="summarise", arguments={"lenght": "short"})}, "invalid_arguments"),
        ({"tool": ToolCallPart(name="caption", arguments={"images": ["i_stranger"]})}, "image_not_found"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_promised(
    house: House, changes: dict[str, Any], code: str
) -> None:
    assert await house.refused(**changes) == code


async def test_a_text_at_the_limit_is_taken(house: House) -> None:
    await house.accept(text="x" * MOST_CHARACTERS, image_ids=MANY[:MOST_PICTURES])


async def test_pictures_named_by_a_tool_count_too(house: House) -> None:
    call = ToolCallPart(name="caption", arguments={"images": list(MANY)})
    assert await house.refused(tool=call) == "too_many_images"


async def test_a_text_given_to_a_tool_is_measured_too(house: House) -> None:
    call = ToolCallPart(name="summarise", arguments={"text": "x" * (MOST_CHARACTERS + 1)})
    assert await house.refused(tool=call) == "text_too_long"


async def test_unknown_tools_are_answered_with_those_there_are(house: House) -> None:
    with pytest.raises(AssistantError, match=r"There are: caption, summarise, translate\."):
        await house.accept(tool=ToolCallPart(name="fly", arguments={}))


async def test_the_same_message_again_is_the_same_turn(house: House) -> None:
    first = await house.accept(text="x")
    again = await house.accept(text="x")
    assert (again.turn_id, again.duplicate) == (first.turn_id, True)
    with pytest.raises(Conflict):
        await house.accept(text="y")


# --- Branches -------------------------------------------------------------------------------------------------------


async def test_a_message_goes_on_after_one_that_is_there(house: House) -> None:
    house.conversations.said = [question()]
    assert await house.refused(text="x", parent="m_none") == "message_not_found"
    assert await house.refused(text="x", parent="m_user1", owner="eve") == "session_not_found"
    await house.accept(text="x", parent="m_user1")
    await house.accept(text="x", parent="root", client_message_id="c2")
    assert [submission.parent for submission in house.conversations.submitted] == ["m_user1", "root"]


async def test_a_message_is_answered_again_by_its_name_or_that_of_its_answer(house: House) -> None:
    house.conversations.said = [question()]
    for number, name in enumerate(("m_user1", "m_user1.t_1")):
        await house.submissions.regenerate(OWNER, "s_1", name, client_message_id=f"c{number}", options=TurnOptions())
    assert [submission.regenerates for submission in house.conversations.submitted] == ["m_user1", "m_user1"]
    with pytest.raises(NotFound) as refused:
        await house.submissions.regenerate(OWNER, "s_1", "m_2", client_message_id="c9", options=TurnOptions())
    assert refused.value.code == "message_not_found"


# --- Limits ---------------------------------------------------------------------------------------------------------


async def test_a_turn_and_its_tokens_are_taken_before_it_is_promised(house: House) -> None:
    accepted = await house.accept(text="x", options=TurnOptions(max_tokens=40))
    [(amounts, turn)] = house.limits.taken
    assert amounts == {"turns": 1, "tokens": 40}
    assert turn is not None
    assert (turn.tokens, house.conversations.turn_ids) == (40, [turn.turn_id])
    assert not house.limits.settled
    assert not accepted.duplicate


async def test_an_answer_without_a_bound_takes_the_usual(house: House) -> None:
    await house.accept(text="x")
    assert house.limits.taken[0][0]["tokens"] == DEFAULT_TOKENS


async def test_what_is_refused_is_not_promised(house: House) -> None:
    house.limits.error = exhausted("tokens", 12.0)
    with pytest.raises(LimitReached) as refused:
        await house.accept(text="x")
    assert (refused.value.code, refused.value.retry_after) == ("tokens_exhausted", 12.0)
    assert not house.conversations.submitted


async def test_a_message_that_was_accepted_before_is_accepted_again_whatever_the_limits(house: House) -> None:
    first = await house.accept(text="x")
    house.limits.error = exhausted("turns", 12.0)
    again = await house.accept(text="x")
    assert (again.turn_id, again.duplicate) == (first.turn_id, True)
    with pytest.raises(Conflict):
        await house.accept(text="y")
    with pytest.raises(NotFound):
        await house.accept(text="x", session_id="s_nobody")


async def test_a_duplicate_and_a_refused_message_cost_nothing(house: House) -> None:
    await house.accept(text="x")
    await house.accept(text="x")
    with pytest.raises(Conflict):
        await house.accept(text="y")
    for (_, turn), settled in zip(house.limits.taken[1:], house.limits.settled, strict=True):
        assert turn is not None
        assert settled == (turn.turn_id, 0, True)


async def test_what_may_have_been_accepted_is_not_given_back(house: House) -> None:
    house.conversations.error = Unavailable("unavailable", "away", retry_after=1.0)
    with pytest.raises(Unavailable):
        await house.accept(text="x")
    assert len(house.limits.taken) == 1
    assert not house.limits.settled


async def test_an_answer_made_again_takes_as_a_message_does(house: House) -> None:
    house.conversations.said = [question()]

    async def again(name: str) -> Accepted:
        return await house.submissions.regenerate(
            OWNER, "s_1", "m_user1", client_message_id=name, options=TurnOptions(max_tokens=40)
        )

    await again("c1")
    [(amounts, turn)] = house.limits.taken
    assert amounts == {"turns": 1, "tokens": 40}
    assert turn is not None
    assert house.conversations.turn_ids == [turn.turn_id]
    house.limits.error = exhausted("turns", 3.0)
    with pytest.raises(LimitReached):
        await again("c2")
    assert len(house.conversations.submitted) == 1
