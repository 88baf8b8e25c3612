"""The pictures that the packaged model is trained on, each with what it shows in six languages.

Reads the prepared sources (`vlbm data prepare`). It knows files and phrases, not models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlbm.data.english import indefinite, without_article
from vlbm.data.prepared import Tell, prepare
from vlbm.data.sources import SOURCES, check_all
from vlbm.data.splits import TRAIN
from vlbm.recipes.phrases import WORDINGS

LANGUAGES = tuple(WORDINGS)
# Drawings whose licence asks that what is made of them be shared alike train the model, but are not remembered.
NOT_REMEMBERED = ("openmoji",)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        path: its file, perhaps with a transparent ground.
        maker: who drew it: an emoji's maker, else the source.
        concept: what it shows, as splits know it.
        split: train, or held out.
        phrases: what it shows by language, as it would stand within a sentence.
    """

    path: Path
    maker: str
    concept: str
    split: str
    phrases: dict[str, str]

    @property
    def remembered(self) -> bool:
        """Whether it is in the packaged memory."""
        return self.split == TRAIN and self.maker not in NOT_REMEMBERED


def pictures(data_dir: Path, tell: Tell) -> list[Picture]:
    """All pictures of all sources, in a fixed order; prepares what is not.

    Raises:
        DataError: a source cannot be prepared.
    """
    for source in SOURCES.values():
        prepare(source, data_dir, LANGUAGES, tell)
    found: dict[Path, Picture] = {}
    for there in check_all(data_dir):
        for example in there.examples():
            path = example.pictures[0]
            inside = path.relative_to(there.folder / "pictures").parts
            maker = inside[0] if there.record["source"] == "emoji" else str(there.record["source"])
            row = found.setdefault(
                path, Picture(path, maker, example.concept or "", example.split or TRAIN, phrases={})
            )
            row.phrases[example.language] = phrase_of(example.target, example.language)
    return [row for row in found.values() if "en" in row.phrases]


def phrase_of(caption: str, language: str) -> str:
    """'Eine Katze.' -> 'eine Katze'; in English with an article."""
    phrase = caption.strip().rstrip(".!")
    articles = WORDINGS[language].articles
    if phrase.lower().startswith(articles) or (language != "de" and phrase[1:2].islower()):
        phrase = phrase[:1].lower() + phrase[1:]
    return phrase if language != "en" or phrase.lower().startswith(articles) else indefinite(phrase)


def translated_texts(found: Sequence[Picture]) -> set[str]:
    """The English texts that training asks to be translated: what its pictures show, with and without an article."""
    phrases = {picture.phrases["en"] for picture in found if picture.split == TRAIN}
    return phrases | {without_article(phrase) for phrase in phrases}
