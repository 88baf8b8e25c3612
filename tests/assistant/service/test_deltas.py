import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.domain.errors import Unavailable
from assistant.domain.events import Event, TurnDelta
from assistant.ports.engine import Token
from assistant.ports.queue import LostClaim
from assistant.service.deltas import DeltaWriter
from tests.assistant.fakes import FakeQueue, claim, until, words


def deltas(queue: FakeQueue) -> list[TurnDelta]:
    return [event for event in queue.appended if isinstance(event, TurnDelta)]


async def pause(rounds: int = 5) -> None:
    """Let other tasks run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def test_the_first_token_goes_out_at_once_and_the_next_are_gathered() -> None:
    queue = FakeQueue()
    async with DeltaWriter(queue, claim()) as writer:
        writer.add(Token("A"))
        await pause()
        assert [delta.text for delta in deltas(queue)] == ["A"]
        for token in words(" cat"):
            writer.add(token)
        await pause()
        assert len(deltas(queue)) == 1, "the second write did not wait"
    assert [delta.text for delta in deltas(queue)] == ["A", " cat"]
    assert writer.text == "A cat"


async def test_a_token_that_comes_late_is_written_without_leaving() -> None:
    queue = FakeQueue()
    async with asyncio.timeout(5), DeltaWriter(queue, claim()) as writer:
        for text in "abc":
            writer.add(Token(text))
            await until(lambda: queue.text == writer.text)
    assert len(deltas(queue)) == 3


async def test_nothing_said_is_nothing_written() -> None:
    queue = FakeQueue()
    async with DeltaWriter(queue, claim()) as writer:
        writer.add(Token("", 0.5))
        await pause()
        writer.add(Token(""))
    assert queue.appended == []
    assert writer.text == ""


async def test_an_earlier_attempt_s_text_is_kept_and_not_written_again() -> None:
    queue = FakeQueue()
    async with DeltaWriter(queue, claim(committed="A grey")) as writer:
        assert writer.text == "A grey"
        writer.add(Token(" cat"))
    assert queue.text == " cat"
    assert writer.text == "A grey cat"


async def test_weights_are_told_where_a_picture_was_looked_at() -> None:
    queue = FakeQueue()
    async with DeltaWriter(queue, claim()) as writer:
        writer.add(Token("A", 0.123456))
        writer.add(Token(" cat", 0.0))
    tokens = deltas(queue)[0].tokens
    assert tokens is not None
    assert [(token.text, token.image_weight) for token in tokens] == [("A", 0.1235), (" cat", 0.0)]
    async with DeltaWriter(queue, claim()) as writer:
        writer.add(Token("plain"))
    assert deltas(queue)[-1].tokens is None


async def test_tokens_that_come_while_a_slow_queue_writes_follow_in_one_piece() -> None:
    queue, free = FakeQueue(), asyncio.Event()

    async def slow(_: Sequence[Event]) -> None:
        await free.wait()

    queue.before_append = slow
    async with DeltaWriter(queue, claim()) as writer:
        writer.add(Token("a"))
        await pause()
        for token in words("bcdef"):
            writer.add(token)
            await pause(2)
        free.set()
    assert [delta.text for delta in deltas(queue)] == ["a", "bcdef"]


async def test_a_write_that_has_begun_is_finished_on_leaving() -> None:
    queue, started = FakeQueue(), asyncio.Event()

    async def slow(_: Sequence[Event]) -> None:
        started.set()
        await asyncio.sleep(0.02)

    queue.before_append = slow
    writer = DeltaWriter(queue, claim())
    with pytest.raises(RuntimeError, match="boom"):  # noqa: PT012
        async with writer:
            writer.add(Token("a"))
            await started.wait()
            writer.add(Token("b"))
            raise RuntimeError("boom")
    assert queue.text == writer.text == "ab"


@pytest.mark.parametrize("error", [LostClaim(), Unavailable("unavailable", "Redis is away.")])
async def test_a_failed_write_is_told_at_the_next_token_and_on_leaving(error: Exception) -> None:
    queue = FakeQueue()

    async def fail(_: Sequence[Event]) -> None:
        raise error

    queue.before_append = fail
    writer = DeltaWriter(queue, claim())
    with pytest.raises(type(error)):  # noqa: PT012
        async with writer:
            writer.add(Token("a"))
            await pause()
            with pytest.raises(type(error)):
                writer.add(Token("b"))
    assert queue.appended == []


async def test_a_failed_last_write_is_told_on_leaving() -> None:
    queue = FakeQueue()

    async def fail(_: Sequence[Event]) -> None:
        raise LostClaim

    writer = DeltaWriter(queue, claim())
    with pytest.raises(LostClaim):  # noqa: PT012
        async with writer:
            writer.add(Token("a"))
            await pause()
            queue.before_append = fail
            writer.add(Token("b"))
    assert queue.text == "a"


async def test_no_task_is_left_behind() -> None:
    async with DeltaWriter(FakeQueue(), claim()) as writer:
        writer.add(Token("a"))
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3), st.booleans()), max_size=20), st.integers(0, 3))
def test_the_deltas_joined_are_the_text(tokens: list[tuple[str, int, bool]], slow: int) -> None:
    async def play() -> None:
        queue = FakeQueue()

        async def wait(_: Sequence[Event]) -> None:
            await pause(slow)

        queue.before_append = wait
        async with DeltaWriter(queue, claim(committed="before ")) as writer:
            for text, rounds, weighed in tokens:
                writer.add(Token(text, 0.5 if weighed else None))
                await pause(rounds)
        assert "before " + queue.text == writer.text == "before " + "".join(text for text, _, _ in tokens)
        assert all(delta.text for delta in deltas(queue))

    asyncio.run(play())
