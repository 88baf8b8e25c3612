"""What else a thing may be called: a question that asks for it by another of its likely names is about it.

A region that is "an envelope" with 0.2 and "a laptop" with 0.15 goes by the first name. Asked for the colour of the
laptop, nothing that was seen would be one, and another thing's colour would be told. So likely other names come along
as slots of the kind ALIAS, which no memory keeps: once a question is there, a thing is called as it is asked for. It
knows token ids; words are compared as by `vlbm.evidence.asked`, by their last token, once folded.

Shapes: b batch, e evidence tokens, q tokens of a question, w words.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from vlbm.evidence.runs import ALIAS, THING, Evidence, compact


def called(evidence: Evidence, question: torch.Tensor, same: torch.Tensor) -> Evidence:
    """Evidence in which each thing has the name that a question asks for it by, where that is one of its names.

    Of two things that may have the name, the likelier has it; nothing is called by a name that another thing goes by.

    Args:
        evidence: laid out.
        question: token ids, padded with -1 [b,q].
        same: of `asked.folded`.
    """
    if not bool((evidence.kind == ALIAS).any()):
        return evidence
    alias, of_things = _asked_for(evidence, question, same), evidence.kind >= THING

    def renamed(tokens: torch.Tensor) -> torch.Tensor:
        meant = (tokens[:, :, None] == evidence.previous[:, None, :]) & alias[:, None, :] & of_things[:, :, None]
        sure = torch.where(meant, evidence.confidence[:, None, :], -1.0)
        return torch.where(meant.any(dim=2), evidence.tokens.gather(1, sure.argmax(dim=2)), tokens)

    return unaliased(replace(evidence, tokens=renamed(evidence.tokens), previous=renamed(evidence.previous)))


def unaliased(evidence: Evidence) -> Evidence:
    """Evidence without other names."""
    if not bool((evidence.kind == ALIAS).any()):
        return evidence
    return compact(replace(evidence, mask=evidence.mask & (evidence.kind != ALIAS)))


def _asked_for(evidence: Evidence, question: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Which slots are names by which a question [b,q] asks for things that go by others [b,e]."""
    words = same[evidence.tokens]
    own = torch.where(evidence.previous >= 0, same[evidence.previous.clamp_min(0)], -1)
    said = torch.where(question >= 0, same[question.clamp_min(0)], -1)
    things = torch.where(evidence.mask & evidence.ends & (evidence.kind == THING), words, -1)
    alias = evidence.mask & (evidence.kind == ALIAS) & _in(words, said) & ~_in(own, said) & ~_in(words, things)
    rivals = (words[:, :, None] == words[:, None, :]) & alias[:, None, :]
    likeliest = torch.where(rivals, evidence.confidence[:, None, :], -1.0).argmax(dim=2)
    return alias & (likeliest == torch.arange(alias.shape[1], device=alias.device))


def _in(tokens: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Which tokens [b,e] are among words [b,w], of which -1 is none [b,e]."""
    return ((tokens[:, :, None] == words[:, None, :]) & (words >= 0)[:, None, :]).any(dim=2)
