"""Training examples without end: number n is drawn from (seed, n) alone, so a stopped training goes on alike.

Sources: *pictures* to be named in six languages, or translated with; *classes* with made-up profiles of probability, so
that every name of the encoder can be spoken; *lessons*, captions that a user might teach; *scenes* with questions about
what is there; and *others*, questions that have nothing to do with the picture, answered as the bare model would.

It knows what is seen and what is to be said, not how a model learns.

Shapes: r runs, n cells, d_v encoder width, c classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch

from vlbm.data.english import indefinite, without_article
from vlbm.data.scene_captions import detailed, listed, shown
from vlbm.data.scene_questions import Asked, Skill, ask
from vlbm.engine.request import Message
from vlbm.engine.text import render
from vlbm.evidence.kinds import KINDS
from vlbm.evidence.names import names_in, to_tokens
from vlbm.evidence.runs import CAPTION, GROUP, THING
from vlbm.perception import Visual
from vlbm.recipes.evidence import Account, Reader, bears_out, believed, harder, known
from vlbm.recipes.material import Material
from vlbm.recipes.phrases import DETAILED, QUESTIONS, WORDINGS, Belief, answer
from vlbm.recipes.pictures import LANGUAGES
from vlbm.recipes.renderings import NOTHING
from vlbm.tasks import LANGUAGES as CALLED
from vlbm.tasks import question
from vlbm.training.encoded import Encoded as Example

SHARES = {
    "picture": 0.30,
    "translate": 0.10,
    "class": 0.10,
    "lesson": 0.04,
    "scene": 0.36,
    "several": 0.07,
    "other": 0.03,
}
SKILLS: dict[Skill, float] = {"presence": 0.26, "colour": 0.18, "count": 0.10, "position": 0.42, "largest": 0.04}
ENGLISH = 0.45
# Of the classes in other languages, those whose names are to be translated.
TRANSLATED = 0.4
# Of the translations, those of a word that means nothing, so that only the picture tells what is meant.
NONCE = 0.2
SYLLABLES = ("ba", "dor", "fim", "gel", "kru", "lin", "mop", "nas", "pel", "rud", "sti", "tov", "vek", "wim", "zan")
TRIES = 8
ENDLESS = 10_000_000
ADJECTIVES = (
    "red",
    "blue",
    "green",
    "white",
    "black",
    "small",
    "big",
    "old",
    "new",
    "wooden",
    "round",
    "striped",
    "my",
)


Made = TypeVar("Made")
Change = Callable[[Visual], Visual]


class Samples(Sequence[Example]):
    """Examples, drawn when they are asked for.

    Args:
        material: what from.
        reader: looks evidence up.
        processor: the model's.
        seed: of all that is drawn.
        count: how many there are.
        change: what is seen is changed so, for comparisons.
    """

    def __init__(
        self,
        material: Material,
        reader: Reader,
        processor: Any,
        *,
        seed: int,
        count: int = ENDLESS,
        change: Change | None = None,
    ) -> None:
        self.material, self.reader, self.processor = material, reader, processor
        self.seed, self.many, self.change = seed, count, change
        directions = torch.nn.functional.normalize(material.classifier, dim=1)
        self.alike = directions @ directions.T  # [c,c]
        self.members = [
            [index for index, group in enumerate(material.names.group_of_class) if group == place]
            for place in range(len(material.names.groups))
        ]
        self.spoken = {language: names_in(language) for language in LANGUAGES}
        known = {tag for picture in material.pictures for tag in picture.phrases}
        self.others = [tag for tag in LANGUAGES[1:] if tag in known]
        self.empty = [n for n, row in enumerate(material.rows) if row.picture == NOTHING]
        self.things = [thing.name for thing in material.scenes.things]
        self.similar = _similar(reader, set(self.things))

    def __len__(self) -> int:
        return self.many

    def __getitem__(self, number: int) -> Example:  # type: ignore[override]
        if not 0 <= number < self.many:
            raise IndexError(number)
        rng = np.random.default_rng([self.seed, number])
        source = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        return self.draw(source, rng)

    def draw(self, source: str, rng: np.random.Generator) -> Example:
        """An example of a source."""
        makers = {
            "picture": self.picture,
            "translate": self.translation,
            "class": self.named_class,
            "lesson": self.lesson,
            "scene": self.scene,
            "several": self.several,
            "other": self.other,
        }
        return makers[source](rng)

    def picture(self, rng: np.random.Generator) -> Example:
        """A rendering, to be named."""
        row = self._row(rng)
        owner = self.material.rows[row].picture
        language = self._language(rng)
        if owner == NOTHING:
            account = harder(self._read(row, language, None), rng)
            return self._named(row, account, Belief(None, 0.0), language, rng)
        shown = self.material.pictures[owner]
        exclude = self.reader.without(owner, shown.phrases["en"], shown.concept, rng)
        account = harder(self._read(row, language, exclude), rng)
        number = self.material.kind(owner)
        kind = None if number is None else KINDS[number].phrases["en"]
        return self._named(row, account, believed(account, shown.phrases["en"], shown.concept, kind), language, rng)

    def translation(self, rng: np.random.Generator) -> Example:
        """What a rendering shows, to be translated; at times called by a word that means nothing."""
        while True:
            row = self._row(rng)
            owner = self.material.rows[row].picture
            language = str(rng.choice(self.others))
            if owner != NOTHING and language in self.material.pictures[owner].phrases:
                break
        shown = self.material.pictures[owner]
        exclude = self.reader.without(owner, "", "", rng)
        account = harder(self._read(row, language, exclude), rng)
        said = shown.phrases["en"]
        if rng.random() < NONCE and known(account, said):
            said = indefinite("".join(rng.choice(SYLLABLES, int(rng.integers(2, 4)))))
        asked = self._to_translate(said, language, rng)
        return self._example(asked, shown.phrases[language], self._visual(row, account, rng))

    def _to_translate(self, phrase: str, language: str, rng: np.random.Generator) -> str:
        text = phrase if rng.random() < 0.5 else without_article(phrase)
        if rng.random() < 0.5:
            return question("translate", text, language)
        return f"Translate this from English into {CALLED[language]}. Answer with the translation only.\n\n{text}"

    def named_class(self, rng: np.random.Generator) -> Example:
        """A class of the encoder with a made-up profile of probability and place, beside captions that do not fit.

        It is to be named, or its name is to be translated.
        """
        group = int(rng.choice(self.material.groups))
        true = int(rng.choice(self.members[group]))
        sure = float(
            rng.choice([rng.uniform(0.45, 0.995), rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.25)], p=[0.62, 0.26, 0.12])
        )
        logits, language = self.profile(true, group, sure, rng), self._language(rng)
        row = int(rng.integers(len(self.material.rows)))
        account = self.reader.read(logits, self.material.seen.style[row], LANGUAGES.index(language))
        confidence = account.runs.confidence.clone()
        captions = account.runs.kind == CAPTION
        confidence[captions] *= float(rng.uniform(0, 0.3)) / max(1e-6, float(confidence[captions].max()))
        account = harder(replace(account, runs=replace(account.runs, confidence=confidence)), rng, keep=GROUP)
        name = indefinite(self.material.names.groups[group])
        belief = believed(account, name, "\0")
        grid = self._class_grid(true, rng) if rng.random() < 0.7 else self.material.seen.grid[row : row + 1]
        visual = Visual(grid, account.laid_out(), self._hidden(rng, 0.3))
        if language != "en" and rng.random() < TRANSLATED:
            return self._example(self._to_translate(name, language, rng), self.spoken[language][group], visual)
        return self._example(*self._question(belief, language, rng), visual)

    def lesson(self, rng: np.random.Generator) -> Example:
        """A caption that was taught: an invented one, of a very similar picture."""
        row, language = int(rng.integers(len(self.material.rows))), self._language(rng)
        account = self._read(row, language, None)
        runs, group = account.runs, int(rng.choice(self.material.groups))
        name = self.spoken[language][group]
        if language == "en":
            words = [] if rng.random() < 0.4 else [str(rng.choice(ADJECTIVES))]
            name = " ".join([*words, name]) if words == ["my"] else indefinite(" ".join([*words, name]))
        place = int((runs.kind == CAPTION).nonzero()[0])
        runs.tokens[place] = to_tokens([name], self.processor.tokenizer, runs.tokens.shape[1])[0].long()
        sure = float(rng.uniform(0.4, 0.98))
        captions = runs.kind == CAPTION
        others = runs.confidence[captions][1:]
        runs.confidence[captions] = torch.cat(
            [torch.tensor([sure]), others * (1 - sure) / max(1.0, float(others.sum()) / 0.6)]
        )
        runs.confidence[runs.kind == THING] *= 1 - sure
        runs.confidence[~captions] *= float(rng.uniform(0.3, 1))
        spoken = (*account.spoken[:place], name, *account.spoken[place + 1 :])
        account = harder(
            replace(account, english=(*account.english[:place], "\0", *account.english[place + 1 :]), spoken=spoken),
            rng,
            keep=CAPTION,
        )
        return self._named(row, account, Belief(name, sure), language, rng)

    def scene(self, rng: np.random.Generator) -> Example:
        """A question about a composed scene."""

        def asked(number: int) -> Asked | None:
            skill: Skill = str(rng.choice(list(SKILLS), p=list(SKILLS.values())))  # type: ignore[assignment]
            return ask(self.material.scenes.facts(number), skill, rng, names=self.things, similar=self.similar)

        number, account, made = self._scene("en", rng, asked)
        return self._example(made.question, made.answer, self._scene_visual(number, account, rng))

    def several(self, rng: np.random.Generator) -> Example:
        """What a scene shows: all its things, in English at times with their colours and places."""
        language = self._language(rng)

        def phrase(number: int) -> str | None:
            facts = self.material.scenes.facts(number)
            if facts.kind == "count":
                return shown(facts) if language == "en" else None
            phrases = [self.material.pictures[thing.source].phrases.get(language) for thing in facts.placed]
            sayable = [phrase for phrase in phrases if phrase]
            return listed(sayable, WORDINGS[language].both) if len(sayable) == len(phrases) else None

        number, account, made = self._scene(language, rng, phrase)
        visual = self._scene_visual(number, account, rng)
        if language == "en" and rng.random() < 0.4:
            return self._example(str(rng.choice(DETAILED)), detailed(self.material.scenes.facts(number)), visual)
        return self._example(*self._question(Belief(made, 1.0), language, rng), visual)

    def _scene(
        self, language: str, rng: np.random.Generator, make: Callable[[int], Made | None]
    ) -> tuple[int, Account, Made]:
        """A scene of which something can be made, its evidence, and what is made.

        Of a few such scenes it is the first whose things were all seen: else what is said of it would be a guess.
        """
        found: tuple[int, Account, Made] | None = None
        tries = 0
        while found is None or tries < TRIES:
            number = int(rng.choice(self.material.scene_numbers))
            made = make(number)
            if made is None:
                continue
            tries += 1
            seen, cuts = self.material.scenes_seen, self.material.scenes_cuts
            placed = self.material.scenes.facts(number).placed
            all_found = cuts.many(number) == len(placed)
            if not all_found and tries < TRIES:
                continue
            account = self.reader.read(
                seen.logits[number], seen.style[number], LANGUAGES.index(language), sighted=cuts.of(number)
            )
            found = number, harder(account, rng, keep=THING), made
            if all_found and bears_out(account, [thing.name for thing in placed]):
                break
        return found

    def _scene_visual(self, number: int, account: Account, rng: np.random.Generator) -> Visual:
        grid = self.material.scenes_seen.grid[number : number + 1]
        return Visual(grid, account.laid_out(), self._hidden(rng, 0.2))

    def other(self, rng: np.random.Generator) -> Example:
        """A question that has nothing to do with its picture."""
        row = self._row(rng)
        asked, ids = self.material.others[int(rng.integers(len(self.material.others)))]
        account = harder(self._read(row, "en", None), rng)
        return replace(self._example(asked, "", self._visual(row, account, rng)), target=ids)

    def profile(self, true: int, group: int, sure: float, rng: np.random.Generator) -> torch.Tensor:
        """Log probabilities [c]: `sure` within the true group, the rest on classes whose directions are alike."""
        classes = len(self.alike)
        noise = torch.from_numpy(rng.normal(0, 1.5, classes)).float()
        weights = (self.alike[true] * float(rng.uniform(6, 25)) + noise).softmax(dim=0)
        inside = torch.zeros(classes, dtype=torch.bool)
        inside[self.members[group]] = True
        within = torch.where(inside, weights, 0.0)
        within[true] += float(within.sum()) * float(rng.uniform(0, 4))
        outside = torch.where(inside, 0.0, weights)
        return (within / within.sum() * sure + outside / outside.sum() * (1 - sure)).clamp_min(1e-9).log()

    def _row(self, rng: np.random.Generator) -> int:
        if rng.random() < 0.03:
            return int(rng.choice(self.empty))
        return int(self.material.allowed[int(rng.integers(len(self.material.allowed)))])

    def _language(self, rng: np.random.Generator) -> str:
        return "en" if rng.random() < ENGLISH else str(rng.choice(self.others))

    def _read(self, row: int, language: str, exclude: torch.Tensor | None) -> Account:
        seen, cuts = self.material.seen, self.material.cuts
        number = LANGUAGES.index(language)
        return self.reader.read(seen.logits[row], seen.style[row], number, sighted=cuts.of(row), exclude=exclude)

    def _visual(self, row: int, account: Account, rng: np.random.Generator) -> Visual:
        grid = self.material.seen.grid[row : row + 1]
        return Visual(grid, account.laid_out(), self._hidden(rng, 0.2))

    def _hidden(self, rng: np.random.Generator, share: float) -> torch.Tensor:
        """Cells that are seen [1,n]: all, or at times none, so that evidence is read without the grid too."""
        return torch.full((1, self.material.seen.grid.shape[1]), bool(rng.random() >= share))

    def _class_grid(self, true: int, rng: np.random.Generator) -> torch.Tensor:
        """A grid [1,n,d_v] of nothing, with some cells that look like a class."""
        grid = self.material.seen.grid[int(rng.choice(self.empty))].float().clone()
        cells = rng.choice(len(grid), int(rng.integers(6, 30)), replace=False)
        direction = self.material.classifier[true].clamp_min(0)
        grid[cells] += direction / direction.norm() * float(rng.uniform(8, 25))
        return grid[None].to(self.material.seen.grid.dtype)

    def _named(self, row: int, account: Account, belief: Belief, language: str, rng: np.random.Generator) -> Example:
        visual = self._visual(row, account, rng)
        if language == "en" and rng.random() < 0.05:
            return self._example(str(rng.choice(DETAILED)), answer("describe", belief, language), visual)
        return self._example(*self._question(belief, language, rng), visual)

    def _question(self, belief: Belief, language: str, rng: np.random.Generator) -> tuple[str, str]:
        """A question in the answer's language, or in English with the language's name; and its answer."""
        kinds = QUESTIONS[language]
        kind = list(kinds)[int(rng.choice(4, p=[0.3, 0.22, 0.4, 0.08]))]
        asked = kinds[kind][int(rng.integers(len(kinds[kind])))]
        if language != "en" and rng.random() < 0.5:
            english = QUESTIONS["en"][kind]
            asked = f"{english[int(rng.integers(len(english)))]} Answer in {CALLED[language]}."
        return asked, answer(kind, belief, language)

    def _example(self, asked: str, target: str, visual: Visual) -> Example:
        ids = render(self.processor, [Message("user", asked)], pictured=True)
        begin, tokenizer = self.processor.fusion_start(ids), self.processor.tokenizer  # the question's header
        visual = self.change(visual) if self.change else visual
        wanted = [*tokenizer(target, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        return Example(tuple(ids[begin:]), tuple(wanted), 0, (visual,))


def _similar(reader: Reader, names: set[str]) -> dict[str, list[str]]:
    """For each name those whose pictures look alike, without the very closest, which may mean the same."""
    features = reader.table.memory.features
    known = sorted(names & set(reader.concept))
    means = torch.stack([features[torch.from_numpy(reader.concept == name)].mean(dim=0) for name in known])
    means = torch.nn.functional.normalize(means, dim=1)
    order = (means @ means.T).argsort(dim=1, descending=True)[:, 3:11]
    return {name: [known[int(place)] for place in row] for name, row in zip(known, order, strict=True)}
