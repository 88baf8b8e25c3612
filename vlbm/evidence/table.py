"""Turns class logits and styles into evidence: short runs of language-model tokens with a confidence.

Three sources. *Names*: the encoder's class probabilities, added up to everyday names ("tabby", "Egyptian cat" ->
"cat"), and the fine name where one class stands out, believed as far as `trust` says. *Memory*: what the most similar
of remembered pictures show (`neighbours`). Both speak the language of the answer. *Things*: the same of each region of
a picture, and where it is (`things`). The tables are buffers of token ids and features, so a saved model carries them;
this module has nothing to learn itself and knows nothing of the fusion.

Shapes: b batch, c classes, g everyday names, N pictures in memory, s width of the style, e evidence tokens, L
languages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vlbm.evidence.asked import asked
from vlbm.evidence.neighbours import Lent, VisualMemory
from vlbm.evidence.runs import ALL, CAPTION, FINE, GROUP, KIND, Evidence, Runs, joined, lay_out, ranked
from vlbm.evidence.things import ThingTable
from vlbm.evidence.trust import ClassTrust, evened

if TYPE_CHECKING:
    from vlbm.config import VLBMConfig

# From this confidence on a name is enough, and the kind of thing is not said.
NAMED = 0.5


class EvidenceTable(nn.Module):
    """Names of classes and a visual memory, and the look-up that turns a picture's logits and style into `Evidence`.

    Attributes:
        group_of_class: everyday name of each class [c].
        group_tokens: everyday names by language [L,g,l]; class_tokens: fine names, in the first language only [c,l].
        kind_of_class: number of each class's kind, or -1 [c]; kind_tokens: kinds by language [L,k,l].
        memory: remembered pictures.
        trust, kind_trust: in the names of classes, and in their kinds.
        things: what tells regions apart; None in a model that does not look at regions.
        same: which tokens are forms of one word [vocabulary] (see `asked.folded`).
        relations: the token that asks for each kind of evidence [kinds] (see `asked.relation_words`).
    """

    group_of_class: torch.Tensor
    group_tokens: torch.Tensor
    class_tokens: torch.Tensor
    kind_of_class: torch.Tensor
    kind_tokens: torch.Tensor
    same: torch.Tensor
    relations: torch.Tensor

    def __init__(self, config: VLBMConfig, *, classes: int, width: int) -> None:
        super().__init__()
        self.groups, self.fine = config.evidence_groups, config.evidence_fine
        g, languages = config.class_groups, len(config.languages)
        named = classes if g else 0
        self.register_buffer("group_of_class", torch.zeros(named, dtype=torch.int32))
        self.register_buffer("group_tokens", torch.full((languages, g, config.name_tokens), -1, dtype=torch.int32))
        self.register_buffer("class_tokens", torch.full((named, config.name_tokens), -1, dtype=torch.int32))
        k = config.class_kinds
        self.register_buffer("kind_of_class", torch.full((classes if k else 0,), -1, dtype=torch.int32))
        self.register_buffer("kind_tokens", torch.full((languages, k, config.name_tokens), -1, dtype=torch.int32))
        self.memory = VisualMemory(config, width=width)
        self.trust, self.kind_trust = ClassTrust(width), ClassTrust(width)
        self.things = ThingTable(config, style=width) if config.evidence_regions else None
        text: Any = config.text_config
        self.register_buffer("same", torch.arange(int(text.vocab_size), dtype=torch.int32))
        self.register_buffer("relations", torch.full((ALL,), -1, dtype=torch.int32))

    def forward(
        self,
        logits: torch.Tensor,
        style: torch.Tensor,
        *,
        languages: torch.Tensor | None = None,
        exclude: torch.Tensor | None = None,
    ) -> Evidence:
        """The evidence of whole pictures (see `find`)."""
        return lay_out(self.find(logits, style, languages=languages, exclude=exclude))

    def find(
        self,
        logits: torch.Tensor,
        style: torch.Tensor,
        *,
        languages: torch.Tensor | None = None,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
        trusting: bool = False,
    ) -> Runs:
        """Look up names and captions of pictures.

        Args:
            logits: log of the class probabilities, averaged over views [b,c].
            style: what pictures are compared by [b,s].
            languages: number of the language of each picture's names and captions [b]; default the first.
            exclude: pictures of the memory that may not be found, per picture [b,N] bool (leave-one-out in training).
            lent: pictures that are in the memory for this look-up alone.
            trusting: class probabilities are taken as they are (of made-up verdicts, which have no style).
        """
        b = style.shape[0]
        if languages is None:
            languages = torch.zeros(b, dtype=torch.long, device=style.device)
        return joined(
            ranked(GROUP, style.new_zeros(b, 0, 1), style.new_zeros(b, 0)),  # a model may have no source at all
            *self._names(logits, languages, None if trusting else style),
            *self._remembered(style, languages, exclude, lent),
        )

    def asked(self, evidence: Evidence, question: torch.Tensor) -> torch.Tensor:
        """Which evidence a question [b,q] asks about [b,e,6] (see `vlbm.evidence.asked`)."""
        return asked(evidence, question, self.same, self.relations)

    def group_probabilities(self, classes: torch.Tensor) -> torch.Tensor:
        """Probabilities of classes [b,c] -> probability of each everyday name [b,g]."""
        empty = classes.new_zeros(classes.shape[0], self.group_tokens.shape[1])
        return empty.index_add(1, self.group_of_class.long(), classes)

    def kind_probabilities(self, classes: torch.Tensor) -> torch.Tensor:
        """Probabilities of classes [b,c] -> probability of each kind of thing [b,k]."""
        known = self.kind_of_class >= 0
        empty = classes.new_zeros(classes.shape[0], self.kind_tokens.shape[1])
        return empty.index_add(1, self.kind_of_class.long()[known], classes[:, known])

    def _names(self, logits: torch.Tensor, languages: torch.Tensor, style: torch.Tensor | None) -> list[Runs]:
        if not self.group_tokens.shape[1]:
            return []
        classes = logits.softmax(dim=-1)
        even = None if style is None else evened(style, self.memory.mean, self.memory.scale)
        probability, best = self.group_probabilities(classes).topk(self.groups, dim=1)
        believed = _believed(self.trust, probability, even)
        found = [ranked(GROUP, self.group_tokens[languages[:, None], best], believed)]
        if self.fine:
            probability, best = classes.topk(self.fine, dim=1)
            own, group = self.class_tokens[best], self.group_tokens[0][self.group_of_class.long()[best]]
            said = (languages == 0)[:, None] & (own != group).any(dim=2)  # not what the everyday name says already
            tokens = torch.where(said[..., None], own, -1)
            found.append(ranked(FINE, tokens, _believed(self.trust, probability, even)))
        if self.kind_tokens.shape[1]:
            unsure = believed.amax(dim=1) < NAMED  # a kind beside a sure name only makes one doubt it
            probability, best = self.kind_probabilities(classes).topk(1, dim=1)
            told = torch.where(unsure[:, None, None], self.kind_tokens[languages[:, None], best], -1)
            found.append(ranked(KIND, told, _believed(self.kind_trust, probability, even)))
        return found

    def _remembered(
        self, style: torch.Tensor, languages: torch.Tensor, exclude: torch.Tensor | None, lent: Lent | None
    ) -> list[Runs]:
        if not self.memory.features.shape[0] and lent is None:
            return []
        return [ranked(CAPTION, *self.memory.find(style, languages, exclude=exclude, lent=lent))]


def _believed(trust: ClassTrust, probability: torch.Tensor, even: torch.Tensor | None) -> torch.Tensor:
    """Probabilities of names as far as the style lets one believe them; as they are, where there is none."""
    if even is None:
        return probability
    believed: torch.Tensor = trust(probability, even)
    return believed
