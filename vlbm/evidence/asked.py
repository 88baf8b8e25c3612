"""Which evidence a question asks about: the slots whose words are in it.

"What colour is the cat?" is about the mark that stands after "cat". A frozen language model's state at the answer does
not say plainly which word was asked about, nor in which order ("is the cat above the dog" is not "is the dog above the
cat"), so evidence is told (query-conditioned evidence). Words are compared by their token alone, once folded: a plural
is its singular, a capital at the start of a sentence is none. It knows token ids; what is made of a match is the
fusion's to learn.

Shapes: b batch, e evidence tokens, q tokens of a question.
"""

from __future__ import annotations

from typing import Any

import torch

from vlbm.data.english import plural
from vlbm.evidence.runs import ABOVE, ALL, BELOW, BIGGER, LEFT, RIGHT, THING, Evidence

SHORTEST = 3
TRAITS = 6
# What a relation is called in a question.
RELATIONS = {LEFT: "left", RIGHT: "right", ABOVE: "above", BELOW: "below", BIGGER: "bigger"}
IGNORED = -100  # transformers' label of what is no answer


def folded(tokenizer: Any, vocabulary: int) -> torch.Tensor:
    """For each token of a vocabulary the one that stands for all forms of its word: itself, where there is none.

    Args:
        tokenizer: of whole words with a space before them, as of GPT-2 and its kin; elsewhere nothing is folded.
        vocabulary: how many tokens there are.
    """
    texts = [tokenizer.decode([token]) for token in range(min(vocabulary, len(tokenizer)))]
    words = {text[1:]: token for token, text in enumerate(texts) if text[:1] == " " and text[1:].isalpha()}
    small = {word: token for word, token in words.items() if word.islower()}
    same = torch.arange(vocabulary, dtype=torch.int32)
    for word, token in small.items():
        more = small.get(plural(word))
        if len(word) >= SHORTEST and more is not None and more != token:
            same[more] = token
    for token, text in enumerate(texts):
        word = text.removeprefix(" ")
        if word[:1].isupper() and (plain := small.get(word.lower())) is not None:
            same[token] = same[plain]
    return same[same.long()]


def relation_words(tokenizer: Any) -> torch.Tensor:
    """For each kind of evidence the token that asks for it, -1 where there is none [kinds]."""
    found = torch.full((ALL,), -1, dtype=torch.int32)
    for kind, word in RELATIONS.items():
        ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        found[kind] = ids[0] if len(ids) == 1 else -1
    return found


def question_in(
    input_ids: torch.Tensor | None,
    *,
    past: int = 0,
    mask: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
) -> torch.Tensor | None:
    """The question in an input: the ids from where it starts on that are no answer, -1 elsewhere [b,t].

    Args:
        input_ids: [b,t]; None: there is nothing to find it in.
        past: tokens that were read before.
        mask: which tokens are no padding [b, past + t].
        start: position of its first token, past included [b], or of fewer rows that are each asked as often; default 0.
        labels: -100 where there is no answer [b,t].
    """
    if input_ids is None:
        return None
    b, t = input_ids.shape
    asked = torch.ones_like(input_ids, dtype=torch.bool)
    if mask is not None:
        asked &= mask[:, -t:].bool()
    if start is not None:
        first = start.reshape(-1).to(input_ids.device)
        positions = torch.arange(past, past + t, device=input_ids.device)
        asked &= positions >= first.repeat_interleave(b // len(first))[:, None]
    if labels is not None:
        asked &= labels == IGNORED
    return torch.where(asked, input_ids, -1)


def asked(evidence: Evidence, question: torch.Tensor, same: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """What a question has of each slot [b,e,6], 0 or 1.

    Its own token, or for a relation the thing that it is about; the token before it; both, its own first; the word
    for its kind; that it is just what is asked ("is the cat above the dog", of the cat above the dog); that it is the
    opposite. The last two follow from the others, but these have the same sum for yes and for no over the two marks of
    a pair of things, and attention that is still even cannot tell the two apart.

    Args:
        evidence: laid out.
        question: token ids, padded with -1 [b,q].
        same: of `folded`.
        words: of `relation_words`.
    """
    if not evidence.tokens.shape[1]:  # a model may have no source of evidence
        return evidence.tokens.new_zeros(*evidence.tokens.shape, TRAITS, dtype=torch.float32)
    there = torch.where(question >= 0, same[question.clamp_min(0)], -1)

    def first(tokens: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Where a token stands first [b,e]; q where it does not."""
        found = (same[tokens.clamp_min(0)][:, :, None] == there[:, None, :]) & known[:, :, None]
        found = torch.cat([found, torch.ones_like(found[:, :, :1])], dim=2)
        return found.int().argmax(dim=2)

    q, named = question.shape[1], words[evidence.kind.clamp(0, len(words) - 1)]
    before = first(evidence.previous, evidence.previous >= 0)
    of_thing = (evidence.rank[:, :, None] == evidence.rank[:, None, :]) & _named(evidence)[:, None, :]  # [b,e,e]
    thing = before[:, None, :].where(of_thing, q).amin(dim=2)
    own = thing.where(evidence.kind >= LEFT, first(evidence.tokens, ~evidence.ends))
    kind = first(named.long(), named >= 0)
    ordered = (own < before) & (before < q)
    related, turned = kind < q, (before < own) & (own < q)
    told = torch.stack([own < q, before < q, ordered, related, ordered & related, turned & related], dim=2)
    return told.float() * evidence.mask.unsqueeze(2)


def _named(evidence: Evidence) -> torch.Tensor:
    """The ends of the names of things [b,e]: there the token before is the word that a thing is asked for by."""
    return evidence.ends & (evidence.kind == THING) & evidence.mask
