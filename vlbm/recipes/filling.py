"""Fits what evidence rests on, and fills the model's tables: memory, classes, colours, and the grid's projection.

Each fit is kept in a file, so that a stopped recipe goes on where it was. It knows materials and tables, not questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vlbm.data.english import head
from vlbm.evidence.marks import ARTICLES, COMMON, WORDS
from vlbm.evidence.names import to_tokens
from vlbm.evidence.trust import evened
from vlbm.recipes.align import align
from vlbm.recipes.evidence import Reader
from vlbm.recipes.material import Material, Tell, keep
from vlbm.recipes.pictures import LANGUAGES, NOT_REMEMBERED
from vlbm.recipes.regions import fit_colours, matched
from vlbm.recipes.renderings import NOTHING, device_of
from vlbm.recipes.space import fit_space
from vlbm.recipes.trust import fit_trust

CAPTION_TOKENS = 16


def fill(model: Any, processor: Any, material: Material, kept: Path, tell: Tell) -> Reader:
    """Fit, fill, and return what looks evidence up.

    Args:
        model, processor: untrained, with names.
        material: what is known.
        kept: folder of the fits.
        tell: is told stage, done, total and a note.
    """
    table, tokenizer = model.evidence, processor.tokenizer
    memory, found = table.memory, material.pictures
    plain = [n for n, row in enumerate(material.rows) if row.plain and found[row.picture].remembered]
    owners = [material.rows[n].picture for n in plain]
    space = keep(kept / "space.safetensors", lambda: _space(material, device_of(model.encoder), tell))
    project = keep(kept / "project.safetensors", lambda: _project(model, processor, material, tell))
    model.memory.project.load_state_dict(project)
    memory.mean.copy_(space["mean"])
    memory.scale.copy_(space["scale"])
    memory.space.copy_(space["matrix"])
    memory.vote.copy_(space["vote"])
    memory.features.copy_(memory.direction(material.seen.style[plain]))
    things_shown = [found[owner].phrases["en"] for owner in owners]
    for number, tag in enumerate(LANGUAGES):
        texts = [found[owner].phrases.get(tag, "") for owner in owners]
        memory.tokens[number].copy_(to_tokens(texts, tokenizer, CAPTION_TOKENS))
    same = {thing: number for number, thing in enumerate(dict.fromkeys(things_shown))}
    memory.caption.copy_(torch.tensor([same[thing] for thing in things_shown]))
    table.trust.load_state_dict(keep(kept / "trust.safetensors", lambda: _trust(model, material)))
    table.kind_trust.load_state_dict(keep(kept / "kind_trust.safetensors", lambda: _kind_trust(model, material)))
    colours = keep(kept / "colours.safetensors", lambda: _colours(model, material, tell))
    table.things.colour_weight.copy_(colours["weight"])
    table.things.colour_bias.copy_(colours["bias"])
    table.things.words.copy_(to_tokens(list(WORDS), tokenizer, 1)[:, 0])
    table.things.articles.copy_(to_tokens(list(ARTICLES), tokenizer, 1)[:, 0])
    table.things.common.copy_(to_tokens(list(COMMON), tokenizer, 1)[:, 0])
    concepts = [found[owner].concept for owner in owners]
    wide = deepcopy(table).cpu().float()  # or each look-up would widen what is kept in half precision
    return Reader(wide, tokenizer, things_shown, concepts, owners)


def _space(material: Material, device: torch.device, tell: Tell) -> dict[str, torch.Tensor]:
    """From renderings, the surest region of each, and the things of scenes."""
    found, rows, cuts = material.pictures, material.rows, material.cuts
    shown = [n for n, row in enumerate(rows) if row.picture != NOTHING]
    owner, style = [rows[n].picture for n in shown], [material.seen.style[shown]]
    with_cuts = [n for n in shown if cuts.first[n + 1] > cuts.first[n]]
    style.append(cuts.style[cuts.first[with_cuts]].float())
    owner += [rows[n].picture for n in with_cuts]
    scenes = material.scenes.all_facts()
    pairs = matched(material.scenes_cuts, scenes)
    style.append(material.scenes_cuts.style[[row for row, _, _ in pairs]].float())
    owner += [scenes[number].placed[place].source for _, number, place in pairs]
    strange = [found[n].maker in NOT_REMEMBERED for n in owner]
    plain = [rows[n].plain and found[rows[n].picture].remembered for n in shown]
    space = fit_space(
        torch.cat(style).to(device),
        thing=[found[n].phrases["en"] for n in owner],
        concept=[found[n].concept for n in owner],
        remembered=plain + [False] * (len(owner) - len(plain)),
        owner=owner,
        stranger=strange,
        asked=strange,
        tell=lambda done, total: tell("Fitting the memory's space", done, total, ""),
    )
    return asdict(space)


def _project(model: Any, processor: Any, material: Material, tell: Tell) -> dict[str, torch.Tensor]:
    right = align(
        model,
        processor.tokenizer,
        material.scenes_seen.grid,
        material.scenes.all_facts(),
        sorted({thing.name for thing in material.scenes.things}),
        lambda done, total: tell("Aligning the grid with words", done, total, ""),
    )
    tell("Aligning the grid with words", 1, 1, f"{right:.0%} of cells name what they show")
    return dict(model.memory.project.state_dict())


def _trust(model: Any, material: Material) -> dict[str, torch.Tensor]:
    table, groups = model.evidence, material.names.groups
    rows = _nameable(material)
    probability, best = table.group_probabilities(material.seen.logits[rows].softmax(dim=-1)).max(dim=1)
    right = [_is_right(material, n, groups[int(group)]) for n, group in zip(rows, best, strict=True)]
    return _fitted(model, material, rows, probability, right)


def _kind_trust(model: Any, material: Material) -> dict[str, torch.Tensor]:
    table, rows = model.evidence, _nameable(material)
    probability, best = table.kind_probabilities(material.seen.logits[rows].softmax(dim=-1)).max(dim=1)
    kinds = [material.kind(material.rows[n].picture) for n in rows]
    right = [kind == int(found) for kind, found in zip(kinds, best, strict=True)]
    return _fitted(model, material, rows, probability, right)


def _fitted(
    model: Any, material: Material, rows: Sequence[int], probability: torch.Tensor, right: Sequence[bool]
) -> dict[str, torch.Tensor]:
    memory = model.evidence.memory
    return fit_trust(probability, evened(material.seen.style[list(rows)], memory.mean, memory.scale), right)


def _nameable(material: Material) -> list[int]:
    """Renderings of what some everyday name names, and of nothing."""
    named = {head(name) for name in material.names.groups}
    return [
        n
        for n, row in enumerate(material.rows)
        if row.picture == NOTHING or material.pictures[row.picture].concept in named
    ]


def _is_right(material: Material, row: int, name: str) -> bool:
    picture = material.rows[row].picture
    return picture != NOTHING and head(name) == material.pictures[picture].concept


def _colours(model: Any, material: Material, tell: Tell) -> dict[str, torch.Tensor]:
    scenes = material.scenes.all_facts()
    seen = [(row, scenes[number].placed[place].colour) for row, number, place in matched(material.scenes_cuts, scenes)]
    coloured = [(row, colour) for row, colour in seen if colour]
    memory, rows = model.evidence.memory, [row for row, _ in coloured]
    return fit_colours(
        material.scenes_cuts.style[rows],
        material.scenes_cuts.paint[rows],
        [colour for _, colour in coloured],
        mean=memory.mean,
        scale=memory.scale,
        tell=lambda done, total: tell("Learning colours", done, total, ""),
    )
