import pytest

from assistant.domain.errors import InvalidRequest, LimitReached
from assistant.domain.memories import MOST_CHARACTERS, memory_id, what_it_shows


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("this is our dog Rex", "our dog Rex"),
        ("  This is\n our dog Rex. ", "our dog Rex"),
        ("That's Anna's bicycle!", "Anna's bicycle"),
        ("These are my keys", "my keys"),
        ("Das ist unser Hund Rex.", "unser Hund Rex"),
        ("c\u2019est notre chien", "notre chien"),
        ("Esta es mi casa", "mi casa"),
        ("Questo è il mio gatto", "il mio gatto"),
        ("isto é um gato", "um gato"),
        ("our dog Rex", "our dog Rex"),
        ("Thistle", "Thistle"),
        ("an island", "an island"),
    ],
)
def test_what_is_said_of_a_picture_becomes_its_caption(said: str, shown: str) -> None:
    assert what_it_shows(said) == shown


@pytest.mark.parametrize("said", ["", " \n", "...", "this is "])
def test_nothing_said_is_refused(said: str) -> None:
    if said.startswith("this"):
        said += "."
    with pytest.raises(InvalidRequest, match="Say what the picture shows, such as: our dog Rex"):
        what_it_shows(said)


def test_too_much_said_is_refused_with_the_numbers() -> None:
    assert len(what_it_shows("x" * MOST_CHARACTERS)) == MOST_CHARACTERS
    with pytest.raises(LimitReached, match="has 201 characters; at most 200 are kept"):
        what_it_shows("x" * 201)


def test_an_id_is_the_pictures_and_the_languages() -> None:
    assert memory_id("ab", "en") == memory_id("ab", "en")
    assert len({memory_id("ab", "en"), memory_id("ab", "de"), memory_id("cd", "en")}) == 3
