"""English nouns by rule: articles, plurals, number words, the bare name in a caption. It knows words, not pictures."""

from __future__ import annotations

import re

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# Names that take no article, or are plural.
BARE = frozenset(
    {
        *("coffee", "bread", "soup", "pasta", "corn", "broccoli", "guacamole", "hay", "dough", "carbonara", "espresso"),
        *("eggnog", "velvet", "wool", "jeans", "sunglasses", "binoculars", "mashed potato", "ice cream", "lotion"),
        *("yellow flowers", "parallel bars", "chocolate sauce", "sunscreen", "chain mail", "face powder", "consomme"),
        *("hair spray", "rapeseed", "swimming trunks", "toilet paper"),
    }
)
PLURAL = frozenset({"jeans", "sunglasses", "binoculars", "yellow flowers", "parallel bars", "swimming trunks"})
_AN_EXCEPTIONS = ("uni", "euro", "use", "ute", "one")

# Heads that are not counted: "some rice", never "two rices".
_MASS = frozenset(
    {
        *("rice", "spaghetti", "popcorn", "candy", "garlic", "honey", "butter", "salt", "water", "milk", "juice"),
        *("lemonade", "toast", "chocolate", "sushi", "oden", "lasagna", "fondue", "cheese", "bacon", "meat", "ice"),
        *("tea", "wine", "beer", "sake", "ginger", "parsley", "celery", "money", "fire", "snow", "rain", "fog", "lace"),
        *("wood", "yarn", "thread", "soap", "pudding", "custard", "cotton", "grass", "seaweed", "luggage", "clothing"),
    }
)
_SINGULAR_IN_S = frozenset({"lens", "series", "species", "rhinoceros", "triceratops", "gas", "atlas", "christmas"})
_IRREGULAR = {
    "mouse": "mice",
    "goose": "geese",
    "person": "people",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
    "ox": "oxen",
    "knife": "knives",
    "wolf": "wolves",
    "leaf": "leaves",
    "loaf": "loaves",
    "calf": "calves",
    "elf": "elves",
    "scarf": "scarves",
    "shelf": "shelves",
    "die": "dice",
}
_SAME = ("sheep", "fish", "deer", "bison", "shrimp", "moose", "squid", "aircraft", "reindeer", "salmon", "trout")
_OES = ("tomato", "potato", "mango", "volcano", "tornado", "mosquito", "buffalo", "domino", "hero")
_AFTER_HEAD = re.compile(r" (?:of|with|in|on|at|for|from|to)\b.*$")
_ARTICLE = re.compile(r"^(?:an?|the|some) ", re.IGNORECASE)
_UNCLEAR = re.compile(
    r"\b(?:some|two|three|four|pair|couple|group|bunch|cluster|sheaf|part|and|without|behind|showing|person)\b"
)


def with_article(name: str) -> str:
    """'cat' -> 'a cat'; 'owl' -> 'an owl'; 'jeans' -> 'jeans'."""
    if name in BARE:
        return name
    lower = name.lower()
    vowel = lower[0] in "aeiou" and not lower.startswith(_AN_EXCEPTIONS)
    return f"{'an' if vowel else 'a'} {name}"


def without_article(phrase: str) -> str:
    """'a cat' -> 'cat'; 'some rice' -> 'rice'; 'jeans' stays."""
    return _ARTICLE.sub("", phrase)


def indefinite(name: str) -> str:
    """As `with_article`, and names that are plural or not counted by rule stay bare: 'grapes', 'cooked rice'."""
    return with_article(name) if countable(name) else name


def head(name: str) -> str:
    """The word that takes the plural: 'bottle' of 'green bottle of wine', in lower case."""
    return _AFTER_HEAD.sub("", name).split()[-1].lower()


def plural_already(name: str) -> bool:
    """Whether a name is plural as it stands: 'grapes', 'scissors'; not 'glass', 'octopus'."""
    word = head(name)
    if name in PLURAL or word in PLURAL or word in _IRREGULAR.values():
        return True
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in _SINGULAR_IN_S


def countable(name: str) -> bool:
    """Whether one can be counted by its name: 'cat'; not 'bread', not 'grapes'."""
    return not (name in BARE or head(name) in _MASS | BARE or plural_already(name))


def plural(name: str) -> str:
    """'cat' -> 'cats'; 'bottle of wine' -> 'bottles of wine'; names that are not countable stay as they are."""
    if not countable(name):
        return name
    rest = _AFTER_HEAD.search(name)
    front = name[: rest.start()] if rest else name
    before, space, word = front.rpartition(" ")
    before = _plural_word(before) if before in ("man", "woman") else before
    return f"{before}{space}{_plural_word(word)}{rest.group() if rest else ''}"


def _plural_word(word: str) -> str:
    lower = word.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if lower.endswith(_SAME):
        return word
    if lower.endswith("man") and lower not in ("human", "talisman", "caiman", "shaman"):
        return f"{word[:-3]}men"
    if lower.endswith("y") and lower[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if lower.endswith(("s", "x", "z", "ch", "sh", *_OES)) else f"{word}s"
