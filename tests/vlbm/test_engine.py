"""The engine: what it streams, that it stops, and that it says the same as transformers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.vlbm.conftest import drawn, picture_ref
from vlbm.engine import End, Engine, GenerationRequest, Looked, Message, PictureRef, Progress, Token
from vlbm.engine.feature_files import FeatureFiles
from vlbm.engine.features import FeatureCache, encode
from vlbm.engine.seen import Key
from vlbm.engine.text import PICTURE_QUESTION, render
from vlbm.errors import PictureError, PromptTooLong


def run(engine: Engine, *messages: Message, **settings: Any) -> tuple[str, list[Token], End]:
    steps = list(engine.generate(GenerationRequest(messages, **settings)))
    tokens = [step for step in steps if isinstance(step, Token)]
    end = steps[-1]
    assert isinstance(end, End)
    return "".join(token.text for token in tokens), tokens, end


def test_says_what_it_is(engine: Engine) -> None:
    info = engine.describe()
    assert (info.context_tokens, info.image_cells, info.image_tokens) == (8192, 81, 0)
    assert info.parameters > 135_000_000


def test_steps_come_in_order(engine: Engine) -> None:
    request = GenerationRequest((Message("user", "What is this?", (picture_ref(drawn()),)),), max_tokens=3)
    kinds = [type(step) for step in engine.generate(request)]
    assert kinds[:4] == [Progress, Progress, Looked, Progress]
    assert kinds[-1] is End
    assert set(kinds[4:-1]) == {Token}


def test_a_picture_has_a_weight_and_a_place_in_the_accounts(engine: Engine) -> None:
    picture = picture_ref(drawn(size=(320, 200)))
    _, tokens, end = run(engine, Message("user", "What is this?", (picture,)), max_tokens=6)
    assert all(token.image_weight is not None and 0 < token.image_weight < 1 for token in tokens)
    assert end.image_cells == 81
    assert [(use.sha256, use.seen, use.width, use.height) for use in end.images] == [(picture.sha256, True, 320, 200)]


def test_text_alone_has_no_weight(engine: Engine) -> None:
    text, tokens, end = run(engine, Message("user", "What is the capital of France?"), max_tokens=20)
    assert "Paris" in text
    assert {token.image_weight for token in tokens} == {None}
    assert end.reason == "stop"
    assert end.images == ()


def test_older_pictures_are_said_not_to_be_seen(engine: Engine) -> None:
    old, new = picture_ref(drawn("gold")), picture_ref(drawn("navy"))
    talk = (Message("user", "This?", (old,)), Message("assistant", "A disc."), Message("user", "And this?", (new,)))
    _, _, end = run(engine, *talk, max_tokens=2)
    assert {use.sha256: use.seen for use in end.images} == {old.sha256: False, new.sha256: True}


@pytest.mark.parametrize(("question", "seen"), [("Tell me a joke.", False), ("And what is in the picture?", True)])
def test_a_later_question_sees_the_picture_when_it_is_about_it(engine: Engine, question: str, seen: bool) -> None:
    talk = (
        Message("user", "This?", (picture_ref(drawn()),)),
        Message("assistant", "A disc."),
        Message("user", question),
    )
    _, tokens, end = run(engine, *talk, max_tokens=2)
    assert [use.seen for use in end.images] == [seen]
    assert (tokens[0].image_weight is not None) is seen


def test_two_pictures_of_one_turn_are_both_seen(engine: Engine) -> None:
    pictures = (picture_ref(drawn("gold")), picture_ref(drawn("navy")))
    _, _, end = run(engine, Message("user", "What are these?", pictures), max_tokens=2)
    assert [use.seen for use in end.images] == [True, True]
    assert end.image_cells == 162


def test_greedy_with_a_picture_is_what_transformers_generates(engine: Engine, model: Any, processor: Any) -> None:
    data = drawn()
    messages = (Message("user", "Describe this picture."),)
    inputs = processor(images=[data], text=processor.tokenizer.decode(render(processor, messages)))
    wanted = model.generate(**inputs, max_new_tokens=16, do_sample=False, pad_token_id=2)
    answer = wanted[0, inputs["input_ids"].shape[1] :].tolist()
    _, tokens, _ = run(engine, Message("user", "Describe this picture.", (picture_ref(data),)), max_tokens=16)
    assert [token.token_id for token in tokens] == [token for token in answer if token != 2]


def test_an_answer_that_is_gone_on_with_has_the_same_question(engine: Engine) -> None:
    message = Message("user", "What colour is the disc?", (picture_ref(drawn()),))
    whole, tokens, end = run(engine, message, max_tokens=12)
    begun = "".join(token.text for token in tokens[:3])
    rest, _, gone_on = run(engine, message, max_tokens=9, prefix=begun)
    assert begun + rest == whole
    assert gone_on.confidence == end.confidence


def test_an_empty_question_asks_what_it_is(engine: Engine, processor: Any) -> None:
    picture = picture_ref(drawn())
    assert render(processor, [Message("user", " ", (picture,))]) == render(
        processor, [Message("user", PICTURE_QUESTION, (picture,))]
    )


def test_closing_stops_within_a_token(engine: Engine) -> None:
    steps = engine.generate(GenerationRequest((Message("user", "Count to one hundred."),), max_tokens=400))
    for _ in range(4):
        next(steps)
    started = time.monotonic()
    steps.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 0.5
    text, _, _ = run(engine, Message("user", "Hello"), max_tokens=2)  # the engine is free again
    assert text


def test_features_are_cached_by_hash(engine: Engine, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drawn("teal")
    run(engine, Message("user", "What is this?", (picture_ref(data),)), max_tokens=1)
    calls: list[int] = []
    monkeypatch.setattr(model, "look", lambda *_a, **_k: calls.append(1))

    def gone() -> bytes:
        raise AssertionError("the bytes were asked for again")

    again = PictureRef(picture_ref(data).sha256, gone)
    _, _, end = run(engine, Message("user", "And again?", (again,)), max_tokens=1)
    assert not calls
    assert end.images[0].seen


def test_the_cache_is_bounded_and_keyed_by_model_and_language(model: Any, processor: Any) -> None:
    cache = FeatureCache(capacity=2)
    features = encode(model, processor, picture_ref(drawn()), "en")
    for sha256 in ("a", "b", "c"):
        cache.put(Key("one", sha256, "en"), features)
    assert cache.get(Key("one", "a", "en")) is None
    assert cache.get(Key("one", "c", "en")) is features
    assert cache.get(Key("two", "c", "en")) is None
    assert cache.get(Key("one", "c", "es")) is None


def test_a_picture_is_forgotten_on_request(engine: Engine) -> None:
    data = drawn("olive")
    ref = picture_ref(data)
    run(engine, Message("user", "What is this?", (ref,)), max_tokens=1)
    assert any(key.sha256 == ref.sha256 for key in engine.eyes.features._kept)
    others = {key for key in engine.eyes.features._kept if key.sha256 != ref.sha256}
    engine.forget(ref.sha256)
    assert set(engine.eyes.features._kept) == others


def test_features_outlive_the_engine_in_a_folder(model: Any, processor: Any, tmp_path: Path) -> None:
    features = encode(model, processor, picture_ref(drawn()), "en")
    key = Key("one", "a" * 64, "en")
    FeatureCache(files=FeatureFiles(tmp_path)).put(key, features)
    again = FeatureCache(files=FeatureFiles(tmp_path))
    found = again.get(key)
    assert found is not None
    assert torch.equal(found.visual.grid, features.visual.grid)
    assert torch.equal(found.visual.evidence.tokens, features.visual.evidence.tokens)
    assert (found.width, found.height) == (320, 240)
    assert again.get(key._replace(model="two")) is None
    assert again.get(key._replace(language="es")) is None
    taught = key._replace(memory="mine")
    again.put(taught, features)  # what an owner has taught stays in memory
    assert again.get(taught) is features
    assert len(list(tmp_path.iterdir())) == 1
    again.forget(key.sha256)
    assert (again.get(key), list(tmp_path.iterdir())) == (None, [])


def test_a_folder_of_features_is_bounded_mends_itself_and_forgets(
    model: Any, processor: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    features = encode(model, processor, picture_ref(drawn()), "en")
    files = FeatureFiles(tmp_path / "features")
    first, second, third = (Key("one", letter * 64, "en") for letter in "abc")
    files.put(first, features)
    (path,) = files.folder.iterdir()
    files.most_bytes = 2 * path.stat().st_size + 10
    os.utime(path, (1, 1))
    files.put(second, features)
    assert files.get(first) is not None  # used now, so the second is the older one
    os.utime(files._path(second), (1, 1))
    files.put(third, features)
    assert [files.get(key) is not None for key in (first, second, third)] == [True, False, True]
    path.write_bytes(path.read_bytes()[:-9])
    assert files.get(first) is None
    assert "cannot be read" in caplog.text
    files.forget("c" * 64)
    assert list(files.folder.iterdir()) == []
    (tmp_path / "file").write_text("")
    FeatureFiles(tmp_path / "file").put(first, features)
    assert "is not kept" in caplog.text


def test_a_turn_that_is_stopped_from_elsewhere_ends_without_an_end(engine: Engine) -> None:
    stop = threading.Event()
    steps = []
    for step in engine.generate(GenerationRequest((Message("user", "Count to one hundred."),), max_tokens=400), stop):
        steps.append(step)
        if len(steps) == 4:
            stop.set()
    assert len(steps) < 20
    assert not any(isinstance(step, End) for step in steps)


def test_too_long_a_prompt_is_refused_with_the_numbers(engine: Engine) -> None:
    with pytest.raises(PromptTooLong) as caught:
        run(engine, Message("user", "word " * 9000), max_tokens=100)
    assert caught.value.context_tokens == 8192
    assert caught.value.max_tokens == 100
    assert str(caught.value.prompt_tokens) in str(caught.value)


def test_what_is_not_a_picture_is_an_error(engine: Engine) -> None:
    with pytest.raises(PictureError, match="not a picture"):
        run(engine, Message("user", "What is this?", (picture_ref(b"nothing of the kind"),)))
    text, _, _ = run(engine, Message("user", "Hello"), max_tokens=2)
    assert text


def test_a_seed_repeats_an_answer(engine: Engine) -> None:
    settings = {"max_tokens": 12, "temperature": 1.0, "top_p": 0.9}
    message = Message("user", "Tell me something.")
    first, again, other = (run(engine, message, seed=seed, **settings)[0] for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_stop_strings_end_the_answer_before_them(engine: Engine) -> None:
    whole, _, _ = run(engine, Message("user", "What is the capital of France?"), max_tokens=20)
    cut, _, end = run(engine, Message("user", "What is the capital of France?"), max_tokens=20, stop=("Paris",))
    assert cut == whole[: whole.index("Paris")]
    assert end.reason == "stop"


def test_length_ends_an_answer(engine: Engine) -> None:
    _, tokens, end = run(engine, Message("user", "Tell me a long story."), max_tokens=5)
    assert (end.reason, end.completion_tokens, len(tokens)) == ("length", 5, 5)


def test_counts_the_tokens_of_a_conversation(engine: Engine) -> None:
    _, _, end = run(engine, Message("user", "Hello"), max_tokens=1)
    assert engine.count_tokens([Message("user", "Hello")]) == end.prompt_tokens


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GenerationRequest(()), "at least one message"),
        (lambda: GenerationRequest((Message("user", ""),), max_tokens=0), "max_tokens"),
        (lambda: GenerationRequest((Message("user", ""),), temperature=-1), "temperature"),
        (lambda: GenerationRequest((Message("user", ""),), top_p=0), "top_p"),
        (lambda: GenerationRequest((Message("user", ""),), repetition_penalty=0), "repetition_penalty"),
        (lambda: GenerationRequest((Message("user", ""),), top_k=-1), "top_k"),
        (lambda: GenerationRequest((Message("user", ""),), max_tokens=3, min_tokens=4), "min_tokens"),
        (lambda: Message("tool", ""), "role"),  # type: ignore[arg-type]
        (lambda: FeatureCache(0), "capacity"),
    ],
)
def test_bad_requests_name_the_field(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
