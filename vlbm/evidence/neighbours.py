"""A visual memory: remembered pictures, what was said of them, and a vote of those that look most alike.

Retrieval-augmented captioning as in SmallCap (Ramos et al. 2023), with two differences. Likeness may be measured in a
learned space, in which two drawings of one thing lie closer than two things drawn alike; and the neighbours vote, so
that a caption comes with the probability that it is right rather than with a cosine. Exact search.

It knows styles and token ids, not pictures, and has nothing to learn itself: `vlbm.recipes` fits its space and vote.

Shapes: b batch, N remembered pictures, n lent ones, s width of the style, m width of the learned space, L languages, l
caption tokens, k neighbours that vote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from vlbm.fingerprint import fingerprint

if TYPE_CHECKING:
    from vlbm.config import VLBMConfig

VOTERS = 24
# A vote of pictures whose likeness is a plain cosine, until a recipe fits it.
SHARPNESS, DOUBT = 16.0, 0.4
# Who teaches a model a thing is likely to ask about that thing.
TRUST = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Lent:
    """Pictures that one look-up may find beside the memory's own, and no other look-up does.

    Attributes:
        id: a digest of the rest: what was seen with another memory is something else.
        features: directions of the pictures, as the memory compares them [n,m].
        tokens: what each shows, by language [L,n,l].
        caption: the same number for pictures that show the same thing, from 0 [n].
    """

    id: str
    features: torch.Tensor
    tokens: torch.Tensor
    caption: torch.Tensor


class VisualMemory(nn.Module):
    """Features and captions as buffers, so that a saved model carries them.

    Attributes:
        features: directions of the remembered pictures [N,m].
        tokens: captions by language, padded with -1 [L,N,l]; nothing but -1 where there is none in a language.
        caption: the same number for pictures that show the same thing [N].
        lent: the picture is of a memory that was lent to the model [N] bool.
        mean, scale: mean of each channel and what it is multiplied by [s].
        space: the learned space [m,s], without rows where there is none.
        vote: how much more a closer picture counts, and the likeness at which a picture is as likely as none of them.
    """

    features: torch.Tensor
    tokens: torch.Tensor
    caption: torch.Tensor
    lent: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    space: torch.Tensor
    vote: torch.Tensor

    def __init__(self, config: VLBMConfig, *, width: int) -> None:
        super().__init__()
        self.neighbours = config.evidence_neighbours
        n, m = config.memory_pictures, config.memory_width
        self.register_buffer("features", torch.zeros(n, m or width))
        self.register_buffer(
            "tokens", torch.full((len(config.languages), n, config.caption_tokens), -1, dtype=torch.int32)
        )
        self.register_buffer("caption", torch.arange(n, dtype=torch.int32))
        self.register_buffer("lent", torch.zeros(n, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("space", torch.zeros(m, width))
        self.register_buffer("vote", torch.tensor([SHARPNESS, DOUBT]))

    def direction(self, style: torch.Tensor) -> torch.Tensor:
        """Styles [b,s] as the memory compares them: channels centred and scaled, in its space, of length one [b,m]."""
        centred = nn.functional.normalize((style - self.mean.to(style.dtype)) * self.scale.to(style.dtype), dim=-1)
        if not self.space.shape[0]:
            return centred
        return nn.functional.normalize(centred @ self.space.to(style.dtype).T, dim=-1)

    def likeness(self, style: torch.Tensor) -> torch.Tensor:
        """Styles [b,s] -> likeness with each remembered picture [b,N]: a cosine, more for lent ones."""
        return self.direction(style) @ self.features.to(style.dtype).T + TRUST * self.lent

    def taught(self, styles: torch.Tensor, tokens: torch.Tensor) -> Lent:
        """More pictures, for whoever brings them along.

        Args:
            styles: of the pictures [n,s].
            tokens: what each shows [L,n,l].
        """
        tokens = tokens.to(self.tokens)
        features = self.direction(styles.to(self.mean)).to(self.features)
        numbers = torch.unique(tokens[0], dim=0, return_inverse=True)[1].to(self.caption)
        named = {"features": features, "tokens": tokens}
        return Lent(fingerprint(named.items(), repr(tuple(tokens.shape))), features, tokens, numbers)

    def lend(self, styles: torch.Tensor, tokens: torch.Tensor) -> None:
        """Remember more pictures (see `taught`) from now on, and trust them more."""
        more = self.taught(styles, tokens)
        self.tokens, self.caption = self._captions(more)
        self.features = torch.cat([self.features, more.features])
        self.lent = torch.cat([self.lent, self.lent.new_ones(len(styles))])

    def _captions(self, lent: Lent | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and numbers of the captions of the own pictures, and of the lent ones behind them."""
        if lent is None:
            return self.tokens, self.caption
        start = int(self.caption.max()) + 1 if len(self.caption) else 0
        tokens = torch.cat([self.tokens, lent.tokens.to(self.tokens)], dim=1)
        return tokens, torch.cat([self.caption, lent.caption.to(self.caption) + start])

    def find(
        self,
        style: torch.Tensor,
        languages: torch.Tensor,
        *,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The captions that the most similar pictures vote for.

        Args:
            style: of pictures [b,s].
            languages: number of the wanted language [b]; the first one's captions stand in for those that lack.
            exclude: pictures that may not be found [b,N] bool.
            lent: pictures that are there for this look-up alone.

        Returns:
            tokens [b,r,l], the likeliest caption first, and their probabilities [b,r]; r is `evidence_neighbours`, or
            as many as there are. Where fewer captions are left, the rest are nothing but -1, with probability 0.
        """
        likeness = self.likeness(style)
        if exclude is not None:
            likeness = likeness.masked_fill(exclude, -1.0)
        if lent is not None:
            closer = self.direction(style) @ lent.features.to(style).T + TRUST
            likeness = torch.cat([likeness, closer], dim=1)
        captions, numbers = self._captions(lent)
        count = min(self.neighbours, likeness.shape[1])
        best, place = likeness.topk(min(VOTERS, likeness.shape[1]), dim=1)  # [b,k], best first
        chance, order = self._count(best, numbers[place]).topk(count, dim=1)
        chosen = place.gather(1, order)  # [b,r]
        tokens = captions[languages[:, None], chosen]
        tokens = torch.where((tokens < 0).all(dim=2, keepdim=True), captions[0][chosen], tokens)
        return tokens.masked_fill((chance <= 0).unsqueeze(2), -1), chance

    def _count(self, likeness: torch.Tensor, caption: torch.Tensor) -> torch.Tensor:
        """The probability of each caption [b,k] at its most similar picture, and 0 at its others [b,k]."""
        sharpness, doubt = self.vote.to(likeness.dtype)
        weight = (sharpness * (likeness - doubt)).exp()
        same = caption[:, :, None] == caption[:, None, :]  # [b,k,k]
        shared = (same * weight[:, None, :]).sum(dim=2)  # the votes of all with one's caption
        earlier = same.tril(-1).any(dim=2)
        chance: torch.Tensor = (shared / (1 + weight.sum(dim=1, keepdim=True))).masked_fill(earlier, 0.0)
        return chance
