"""Words in pictures during a turn: read when asked for, quoted, given to the model as text, and accounted for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.vlbm.conftest import drawn, picture_ref
from tests.written import png, written
from vlbm.engine import End, Engine, GenerationRequest, Looked, Message, PictureRef, Progress, Token
from vlbm.engine.answer_language import answer_language
from vlbm.engine.words import ENGLISH, WORDINGS, answer, asks_about_writing, quote, use_of
from vlbm.errors import NoWords, PictureError, ReadingMissing
from vlbm.reading import Line, Reading, reader

SIGN = png(written(["Please mind", "the low step"]))
PAGE_LINES = ["The ferry to the island leaves at", "nine every day of the week."]
PAGE_TEXT = "The ferry to the island leaves at nine every day of the week."
PAGE = png(written(PAGE_LINES, size=(560, 180)))


def run(engine: Engine, *messages: Message, **settings: Any) -> tuple[str, list[Any], End]:
    steps = list(engine.generate(GenerationRequest(messages, **settings)))
    end = steps[-1]
    assert isinstance(end, End)
    return "".join(step.text for step in steps if isinstance(step, Token)), steps, end


def asked(question: str, data: bytes) -> Message:
    return Message("user", question, (picture_ref(data),))


def reading(*lines: str, confidence: float = 0.95) -> Reading:
    box = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
    return Reading(tuple(Line(line, confidence, box) for line in lines), " ".join(lines), 100, 80)


def test_a_question_about_the_words_is_answered_with_them(engine: Engine) -> None:
    text, steps, end = run(engine, asked("What does the sign say?", SIGN))
    assert text == 'It reads "Please mind the low step".'
    assert [type(step) for step in steps] == [Progress, Progress, Looked, Token, End]
    assert (steps[0].stage, steps[3].token_id, steps[3].image_weight) == ("reading", None, None)
    assert (end.reason, end.prompt_tokens, end.completion_tokens, end.image_cells) == ("stop", 0, 0, 0)
    (use,) = end.images
    assert (use.seen, use.width, use.height, use.read) == (True, 480, 240, "Please mind the low step")
    assert steps[2].images == end.images
    rest, _, _ = run(engine, asked("What does the sign say?", SIGN), prefix="It reads")
    assert rest == ' "Please mind the low step".'


def test_a_picture_is_read_once(engine: Engine) -> None:
    loads: list[int] = []

    def load() -> bytes:
        loads.append(1)
        return SIGN

    picture = PictureRef(PictureRef.of(SIGN).sha256, load)
    for language in (None, "de"):
        run(engine, Message("user", "What does it say?", (picture,)), language=language)
    assert len(loads) == 1


def test_a_page_is_the_text_of_the_prompt_and_is_not_looked_at(engine: Engine) -> None:
    instruction = "Summarize the following text in one sentence. Answer with the summary only."
    wanted, _, clean = run(engine, Message("user", f"{instruction}\n\n{PAGE_TEXT}"), max_tokens=12)
    text, steps, end = run(engine, asked(f"{instruction}\n\n", PAGE), reading="text", max_tokens=12)
    assert text == wanted
    assert (end.prompt_tokens, end.image_cells, end.images[0].read) == (clean.prompt_tokens, 0, PAGE_TEXT)
    assert {step.image_weight for step in steps if isinstance(step, Token)} == {None}
    by_words, _, _ = run(engine, asked("Summarise this page.", PAGE), max_tokens=4)
    talk, _, _ = run(engine, Message("user", f"Summarise this page.\n\n{PAGE_TEXT}"), max_tokens=4)
    assert by_words == talk


def test_a_caption_is_followed_by_the_words(engine: Engine) -> None:
    plain, _, bare = run(engine, asked("Describe this picture.", SIGN), max_tokens=40)
    text, steps, end = run(engine, asked("Describe this picture.", SIGN), max_tokens=40, reading="quote")
    said = ' It reads "Please mind the low step".'
    assert (text, bare.images[0].read) == (plain + said, "")
    assert end.image_cells == engine.describe().image_cells
    assert steps[-2] == Token(said, None, None)
    again, _, _ = run(engine, asked("Describe this picture.", SIGN), reading="quote", prefix=text)
    assert again == ""


def test_a_picture_without_words_is_captioned_as_ever(engine: Engine) -> None:
    plain, _, _ = run(engine, asked("Describe this picture.", drawn()), max_tokens=8)
    text, _, end = run(engine, asked("Describe this picture.", drawn()), max_tokens=8, reading="quote")
    assert (text, end.images[0].read) == (plain, "")
    with pytest.raises(NoWords, match="no words could be read"):
        run(engine, asked("Summarise:", drawn()), reading="text")
    assert run(engine, asked("What does the sign say?", drawn()))[0] == ENGLISH.nothing
    looked, _, end = run(engine, asked("Summarise this.", drawn()), max_tokens=3)
    assert looked
    assert end.image_cells == engine.describe().image_cells


def test_a_damaged_picture_is_said_to_be_one(engine: Engine) -> None:
    with pytest.raises(PictureError, match="damaged or cut short"):
        run(engine, asked("What does the sign say?", SIGN[:500]))


def test_without_the_package_captions_work_and_the_rest_says_what_to_install(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader._ocr.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    _, _, end = run(engine, asked("Describe this picture.", SIGN), max_tokens=3, reading="quote")
    assert (end.image_cells, end.images[0].read) == (engine.describe().image_cells, "")
    with pytest.raises(ReadingMissing, match="pip install"):
        run(engine, asked("What does the sign say?", SIGN))


def test_an_earlier_picture_is_read_when_it_is_asked_for(engine: Engine) -> None:
    talk = (asked("Look!", SIGN), Message("assistant", "A sign."), Message("user", "What does the sign say?"))
    assert "low step" in run(engine, *talk)[0]
    assert asks_about_writing("Please read it out.")
    assert not asks_about_writing("Read me a poem.")
    assert not asks_about_writing("What other words mean happy?")


@pytest.mark.parametrize(
    ("question", "use"),
    [
        ("What is written here?", "answer"),
        ("Can you read this for me?", "answer"),
        ("Which words are on the label?", "answer"),
        ("Translate this into Spanish.", "text"),
        ("Please sum up the page.", "text"),
        ("Translate into Spanish: a red bus", "never"),
        ("Translate this from English into French.\n\na red bus", "never"),
        ("¿Qué dice el cartel?", "answer"),
        ("Que dit le panneau ?", "answer"),
        ("Was steht auf dem Schild?", "answer"),
        ("Che cosa c'è scritto?", "answer"),
        ("O que está escrito aqui?", "answer"),
        ("Was steht auf dem Tisch?", "never"),
        ("What is in this picture?", "never"),
        ("Is the dog ready?", "never"),
    ],
)
def test_what_the_words_are_for_is_told_from_the_question(question: str, use: str) -> None:
    assert use_of(GenerationRequest((asked(question, SIGN),))) == use
    assert use_of(GenerationRequest((asked(question, SIGN),), reading="never")) == "never"


def test_only_few_and_clear_words_are_quoted() -> None:
    assert quote([reading("STOP"), reading("ALL", "WAY")], "en") == 'It reads "STOP ALL WAY".'
    assert quote([reading("STOP", confidence=0.8)], "en") == ""
    assert quote([reading("x")], "en") == ""
    assert quote([reading(*["word"] * 13)], "en") == ""
    assert answer([reading(*["word"] * 13)], "en") == f"It reads:\n\n{' '.join(['word'] * 13)}"


@pytest.mark.parametrize(
    ("question", "language", "said"),
    [
        ("¿Qué dice el cartel?", None, 'Dice "Please mind the low step".'),
        ("Que dit le panneau ?", None, 'On y lit "Please mind the low step".'),
        ("Was steht auf dem Schild?", None, 'Darauf steht "Please mind the low step".'),
        ("Che cosa c'è scritto?", None, 'C\'è scritto "Please mind the low step".'),
        ("O que está escrito aqui?", None, 'Está escrito "Please mind the low step".'),
        ("What does the sign say?", "pt", 'Está escrito "Please mind the low step".'),
        ("What does the sign say?", "sv", 'It reads "Please mind the low step".'),
    ],
)
def test_the_words_are_said_in_the_language_of_the_answer(
    engine: Engine, question: str, language: str | None, said: str
) -> None:
    assert run(engine, asked(question, SIGN), language=language)[0] == said


def test_each_language_says_that_nothing_is_written() -> None:
    assert {answer([], language) for language in WORDINGS} == {wording.nothing for wording in WORDINGS.values()}
    assert len({wording.nothing for wording in WORDINGS.values()}) == len(WORDINGS) == 6


def test_a_caption_is_followed_by_the_words_in_its_language(engine: Engine) -> None:
    plain, _, _ = run(engine, asked("Describe this picture.", SIGN), max_tokens=40, language="de")
    text, _, end = run(engine, asked("Describe this picture.", SIGN), max_tokens=40, language="de", reading="quote")
    assert end.reason == "stop"
    assert text == f'{plain} Darauf steht "Please mind the low step".'


def test_the_language_is_that_of_the_question_and_not_of_the_page(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(text: str, known: Sequence[str]) -> str:
        told.append(text)
        return answer_language(text, known)

    monkeypatch.setattr("vlbm.engine.engine.answer_language", tell)
    run(engine, asked("Summarise this page.", PAGE), max_tokens=2)
    assert told == ["Summarise this page."]


def test_an_unknown_way_of_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="never, asked, quote or text, got 'aloud'"):
        GenerationRequest((asked("?", SIGN),), reading="aloud")  # type: ignore[arg-type]
