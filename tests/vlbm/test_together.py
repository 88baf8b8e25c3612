"""Turns that run together say what each says alone, whoever joins and leaves; what goes wrong stays with one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.vlbm.conftest import drawn, picture_ref
from vlbm.engine import End, Engine, GenerationRequest, Message, Step, Token
from vlbm.engine.reader import Part
from vlbm.engine.text import render
from vlbm.errors import EngineBusy, EngineFailed

QUESTIONS = (
    "What is the capital of France?",
    "Tell me about dogs. " * 12,
    "Count to ten.",
    "Was ist das?",
    "What is this?",
    "Write a poem about the sea.",
)


@pytest.fixture(scope="module")
def exact(model: Any, processor: Any) -> Iterator[Engine]:
    engine = Engine(model, processor, precision="fp32", seats=5)
    yield engine
    engine.close()


def tokens_of(steps: list[Step]) -> list[int | None]:
    return [step.token_id for step in steps if isinstance(step, Token)]


def wanted(model: Any, processor: Any, request: GenerationRequest) -> list[int]:
    """The tokens that transformers generates."""
    (message,) = request.messages
    ids = render(processor, request.messages, pictured=bool(message.images))
    inputs: dict[str, Any] = {"input_ids": torch.tensor([ids])}
    if message.images:
        images = [picture.load() for picture in message.images]
        inputs = dict(processor(images=images, text=processor.tokenizer.decode(ids)))
    made = model.generate(**inputs, max_new_tokens=request.max_tokens, do_sample=False, pad_token_id=2)
    return [token for token in made[0, len(ids) :].tolist() if token != 2]


def test_any_company_changes_nothing(exact: Engine, model: Any, processor: Any) -> None:
    """Ten turns with and without pictures join at random moments, some leave early; each is what transformers says."""
    random.seed(4)
    pictures = [picture_ref(drawn(colour)) for colour in ("gold", "navy")]
    requests = [
        GenerationRequest(
            (Message("user", random.choice(QUESTIONS), tuple(random.sample(pictures, random.choice((0, 0, 1))))),),
            max_tokens=random.randint(4, 16),
            language="en",
        )
        for _ in range(10)
    ]
    leaves = [random.choice((None, None, 2)) for _ in requests]
    said: dict[int, list[Step]] = {}

    def ask(number: int) -> None:
        time.sleep(random.random())
        steps = exact.generate(requests[number])
        said[number] = []
        for step in steps:
            said[number].append(step)
            if leaves[number] == len(tokens_of(said[number])):
                steps.close()  # type: ignore[attr-defined]
                return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    for number, request in enumerate(requests):
        expected = wanted(model, processor, request)
        assert tokens_of(said[number]) == expected[: leaves[number]]


def test_few_bits_of_weights_that_had_few_say_the_same(engine: Engine, exact: Engine) -> None:
    if engine.precision != "int4":
        pytest.skip("there is no compiler")
    for question in QUESTIONS:
        request = GenerationRequest((Message("user", question),), max_tokens=24)
        assert tokens_of(list(engine.generate(request))) == tokens_of(list(exact.generate(request)))


def test_what_was_read_before_is_not_read_again(exact: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(what: Any) -> Any:
        read.append(len(what.tokens))
        return do(what)

    network: Any = exact.loop.reader.network  # type: ignore[attr-defined]
    do = network.read
    monkeypatch.setattr(network, "read", counted)
    talk = [Message("user", "Here is a long story. " * 40)]
    first = list(exact.generate(GenerationRequest(tuple(talk), max_tokens=4)))
    cold, answer = sum(read), "".join(step.text for step in first if isinstance(step, Token))
    read.clear()
    talk += [Message("assistant", answer), Message("user", "Go on.")]
    list(exact.generate(GenerationRequest(tuple(talk), max_tokens=4)))
    assert sum(read) < cold / 5


def test_a_picture_is_never_answered_from_anothers_memory(exact: Engine) -> None:
    gold, navy = (picture_ref(drawn(colour)) for colour in ("gold", "navy"))

    def ask(picture: Any) -> list[float | None]:
        steps = exact.generate(GenerationRequest((Message("user", "Describe it.", (picture,)),), max_tokens=5))
        return [step.image_weight for step in steps if isinstance(step, Token)]

    assert ask(gold) != ask(navy)
    assert ask(gold) == pytest.approx(ask(gold))


def test_what_is_no_number_ends_one_turn_alone(exact: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    network: Any = exact.loop.reader.network  # type: ignore[attr-defined]
    do = network.logits

    def logits(states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = do(states)
        if len(found) > 1:
            found[-1] = torch.nan  # the last of two turns
        return found

    monkeypatch.setattr(network, "logits", logits)
    failed, ended = list[str](), list[End]()

    def ask(text: str) -> None:
        try:
            steps = list(exact.generate(GenerationRequest((Message("user", text),), max_tokens=60, min_tokens=60)))
            ended.append(steps[-1])  # type: ignore[arg-type]
        except EngineFailed as error:
            failed.append(str(error))

    threads = [threading.Thread(target=ask, args=(text,)) for text in ("One.", "Two.")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(failed) == len(ended) == 1
    assert "not a number" in failed[0]


def test_what_went_wrong_is_not_begun_with_again(exact: Engine) -> None:
    reader: Any = exact.loop.reader
    ids = [place * 31 % 9000 for place in range(50)]
    for keep, known in ((False, 0), (True, 0), (True, 48)):
        text = reader.begin(ids, 60, None)
        assert len(text.tokens) == known
        reader.read([Part(text, ids[known:], wanted=1)])
        reader.end(text, keep=keep)


def test_what_others_are_reading_is_not_read_again(exact: Engine) -> None:
    reader: Any = exact.loop.reader
    ids = [place * 17 % 9000 for place in range(60)]
    one = reader.begin(ids, 64, None)
    reader.read([Part(one, ids[:40], wanted=0)])
    reader.read([Part(one, ids[40:], wanted=1)])
    other = reader.begin([*ids[:50], 5, 6, 7], 64, None)
    assert other.tokens == ids[:32]  # the pages that were full before the latest pass
    (seen,) = reader.read([Part(other, [*ids[32:50], 5, 6, 7], wanted=1)])
    reader.end(one, keep=False)
    reader.end(other, keep=False)
    alone = reader.begin([*ids[:50], 5, 6, 7], 64, None)
    assert alone.tokens == []
    (wanted,) = reader.read([Part(alone, [*ids[:50], 5, 6, 7], wanted=1)])
    assert torch.allclose(seen.logits, wanted.logits, atol=1e-4)
    reader.end(alone, keep=False)


def test_a_pass_that_fails_fails_its_turns_and_not_the_engine(exact: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("out of ideas")

    with monkeypatch.context() as patch:
        patch.setattr(exact.loop.reader.network, "read", broken)  # type: ignore[attr-defined]
        with pytest.raises(EngineFailed, match="RuntimeError"):
            list(exact.generate(GenerationRequest((Message("user", "Hello"),), max_tokens=4)))
    assert list(exact.generate(GenerationRequest((Message("user", "Hello"),), max_tokens=2)))


def test_a_full_queue_refuses_and_a_closed_engine_says_so(model: Any, processor: Any) -> None:
    engine = Engine(model, processor, precision="fp32", seats=1, queue=1)
    long = GenerationRequest((Message("user", "Tell me a story."),), max_tokens=200, min_tokens=200)
    running, waiting = (engine.generate(long) for _ in range(2))
    next(running)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            list(waiting)
        except EngineFailed as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 20
    while not engine.loop.scheduler.waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(EngineBusy, match="1 turns wait already"):
        list(engine.generate(long))
    engine.close()
    thread.join(timeout=20)
    assert [str(error) for error in ended] == ["the engine was closed"]
    with pytest.raises(EngineFailed, match="closed"):
        list(engine.generate(long))


def test_a_turn_that_is_given_up_gives_its_pages_back(exact: Engine) -> None:
    for _ in range(3):
        steps = exact.generate(GenerationRequest((Message("user", "Count to one hundred."),), max_tokens=400))
        for _ in range(4):
            next(steps)
        steps.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    pages = exact.loop.reader.pages  # type: ignore[attr-defined]
    while pages.available < pages.count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pages.available == pages.count
