"""Training examples without end: number n is drawn from (seed, n) alone, so a stopped training goes on alike.

Sources: *pictures* to be named in six languages, or translated with; *classes* with made-up profiles of probability, so
that every name of the encoder can be spoken; *lessons*, captions that a user might teach; *scenes* with questions about
what is there; and *others*, questions that have nothing to do with the picture, answered as the bare model would.

It knows what is seen and what is to be said, not how a model learns.

Shapes: r runs, n cells, d_v encoder width, c classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from vlbm.data.english import indefinite
from vlbm.data.scene_questions import Skill, ask
from vlbm.engine.request import Message
from vlbm.engine.text import render
from vlbm.evidence.names import Names, names_in, to_tokens
from vlbm.evidence.table import CAPTION, GROUP, Runs, lay_out
from vlbm.perception import Visual
from vlbm.recipes.evidence import Account, Reader, believed, harder
from vlbm.recipes.phrases import QUESTIONS, Belief, answer
from vlbm.recipes.pictures import LANGUAGES, Picture, without_article
from vlbm.recipes.renderings import NOTHING, Encoded, Rendering
from vlbm.recipes.scenes import Scenes
from vlbm.tasks import LANGUAGES as CALLED
from vlbm.tasks import question
from vlbm.training.encoded import Encoded as Example

SHARES = {"picture": 0.36, "translate": 0.08, "class": 0.18, "lesson": 0.08, "scene": 0.26, "other": 0.04}
SKILLS: dict[Skill, float] = {"presence": 0.34, "colour": 0.22, "count": 0.2, "position": 0.2, "largest": 0.04}
ENGLISH = 0.45
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
QUESTION = "<|im_start|>user"


@dataclass(frozen=True, slots=True)
class Material:
    """What examples are drawn from: encoded renderings of pictures and scenes, and the names of classes.

    Attributes:
        pictures, rows, seen: the pictures, their renderings, and what the encoder saw of those.
        allowed: the renderings that may be asked about.
        scenes, scenes_seen, scene_numbers: composed scenes, and which of them may be asked about.
        names: of classes; `classifier`: their directions [c,d_v]; `groups`: the everyday names that may be said.
        others: questions that have nothing to do with a picture, and the token ids of their answers.
    """

    pictures: Sequence[Picture]
    rows: Sequence[Rendering]
    seen: Encoded
    allowed: Sequence[int]
    scenes: Scenes
    scenes_seen: Encoded
    scene_numbers: Sequence[int]
    names: Names
    classifier: torch.Tensor
    groups: Sequence[int]
    others: Sequence[tuple[str, tuple[int, ...]]]


class Samples(Sequence[Example]):
    """Examples, drawn when they are asked for.

    Args:
        material: what from.
        reader: looks evidence up.
        processor: the model's.
        seed: of all that is drawn.
        count: how many there are.
    """

    def __init__(self, material: Material, reader: Reader, processor: Any, *, seed: int, count: int = ENDLESS) -> None:
        self.material, self.reader, self.processor = material, reader, processor
        self.seed, self.many = seed, count
        directions = torch.nn.functional.normalize(material.classifier, dim=1)
        self.alike = directions @ directions.T  # [c,c]
        self.members = [
            [index for index, group in enumerate(material.names.group_of_class) if group == place]
            for place in range(len(material.names.groups))
        ]
        self.spoken = {language: names_in(language) for language in LANGUAGES}
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
        return self._named(row, account, believed(account, shown.phrases["en"], shown.concept), language, rng)

    def translation(self, rng: np.random.Generator) -> Example:
        """What a rendering shows, to be translated; at times by its bare kind alone."""
        while True:
            row = self._row(rng)
            owner = self.material.rows[row].picture
            language = str(rng.choice(LANGUAGES[1:]))
            if owner != NOTHING and language in self.material.pictures[owner].phrases:
                break
        shown = self.material.pictures[owner]
        exclude = self.reader.without(owner, "", "", rng)
        account = harder(self._read(row, language, exclude), rng)
        text = shown.phrases["en"] if rng.random() < 0.5 else without_article(shown.phrases["en"])
        asked = question("translate", text, language)
        if rng.random() < 0.5:
            ask_only = f"Translate this from English into {CALLED[language]}. Answer with the translation only."
            asked = f"{ask_only}\n\n{text}"
        return self._example(asked, shown.phrases[language], self._visual(row, account, rng))

    def named_class(self, rng: np.random.Generator) -> Example:
        """A class of the encoder with a made-up profile of probability and place, beside captions that do not fit."""
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
        visual = Visual(self._class_grid(true, rng), lay_out(_batched(account.runs)), self._hidden(rng, 0.3))
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
        runs.confidence[~captions] *= float(rng.uniform(0.3, 1))
        spoken = (*account.spoken[:place], name, *account.spoken[place + 1 :])
        account = harder(
            Account(runs, (*account.english[:place], "\0", *account.english[place + 1 :]), spoken), rng, keep=CAPTION
        )
        return self._named(row, account, Belief(name, sure), language, rng)

    def scene(self, rng: np.random.Generator) -> Example:
        """A question about a composed scene."""
        while True:
            number = int(rng.choice(self.material.scene_numbers))
            skill: Skill = str(rng.choice(list(SKILLS), p=list(SKILLS.values())))  # type: ignore[assignment]
            facts = self.material.scenes.facts(number)
            asked = ask(facts, skill, rng, names=self.things, similar=self.similar)
            if asked is not None:
                break
        seen = self.material.scenes_seen
        account = harder(self.reader.read(seen.logits[number], seen.style[number], 0), rng)
        visual = Visual(seen.grid[number : number + 1].float(), lay_out(_batched(account.runs)))
        return self._example(asked.question, asked.answer, visual)

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
        return "en" if rng.random() < ENGLISH else str(rng.choice(LANGUAGES[1:]))

    def _read(self, row: int, language: str, exclude: torch.Tensor | None) -> Account:
        seen = self.material.seen
        return self.reader.read(seen.logits[row], seen.style[row], LANGUAGES.index(language), exclude)

    def _visual(self, row: int, account: Account, rng: np.random.Generator) -> Visual:
        grid = self.material.seen.grid[row : row + 1].float()
        return Visual(grid, lay_out(_batched(account.runs)), self._hidden(rng, 0.2))

    def _hidden(self, rng: np.random.Generator, share: float) -> torch.Tensor:
        """Cells that are seen [1,n]: all, or at times none, so that evidence is read without the grid too."""
        return torch.full((1, self.material.seen.grid.shape[1]), bool(rng.random() >= share))

    def _class_grid(self, true: int, rng: np.random.Generator) -> torch.Tensor:
        """A grid [1,n,d_v] of nothing, with some cells that look like a class."""
        grid = self.material.seen.grid[int(rng.choice(self.empty))].float().clone()
        cells = rng.choice(len(grid), int(rng.integers(6, 30)), replace=False)
        direction = self.material.classifier[true].clamp_min(0)
        grid[cells] += direction / direction.norm() * float(rng.uniform(8, 25))
        return grid[None]

    def _named(self, row: int, account: Account, belief: Belief, language: str, rng: np.random.Generator) -> Example:
        return self._example(*self._question(belief, language, rng), self._visual(row, account, rng))

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
        ids = render(self.processor, [Message("user", asked)])
        start = self.processor.fusion_start(ids)
        tokenizer = self.processor.tokenizer
        begin = _last(ids, tokenizer(QUESTION, add_special_tokens=False)["input_ids"])
        wanted = [*tokenizer(target, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        return Example(tuple(ids[begin:]), tuple(wanted), start - begin, (visual,))


def _similar(reader: Reader, names: set[str]) -> dict[str, list[str]]:
    """For each name those whose pictures look alike, without the very closest, which may mean the same."""
    features = reader.table.memory.features
    known = sorted(names & set(reader.concept))
    means = torch.stack([features[torch.from_numpy(reader.concept == name)].mean(dim=0) for name in known])
    means = torch.nn.functional.normalize(means, dim=1)
    order = (means @ means.T).argsort(dim=1, descending=True)[:, 3:11]
    return {name: [known[int(place)] for place in row] for name, row in zip(known, order, strict=True)}


def _batched(runs: Runs) -> Runs:
    return Runs(runs.tokens[None], runs.kind[None], runs.rank[None], runs.confidence[None])


def _last(ids: Sequence[int], wanted: Sequence[int]) -> int:
    return next(n for n in range(len(ids) - len(wanted), -1, -1) if list(ids[n : n + len(wanted)]) == list(wanted))
