"""Names add up, neighbours are found, and evidence is laid out as runs with an end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from vlbm.encoders import encoder
from vlbm.errors import ConfigError, DataError, WeightsDamaged, WeightsMissing
from vlbm.evidence import names as naming
from vlbm.evidence.names import imagenet_names, names_in, to_tokens
from vlbm.evidence.runs import CAPTION, FINE, GROUP, START, Runs, lay_out
from vlbm.perception import average_views, soft_bins

ARTICLE = {
    "es": r"(un|una) ",
    "fr": r"(un|une) ",
    "de": r"(ein|eine) ",
    # "uno" before s and a consonant, z, gn, ps; elided before a vowel, but not before one that is a consonant (iena).
    "it": r"(uno (?=s[^aeiou]|z|gn|ps)|un (?!s[^aeiou]|z|gn|ps)|una (?![aeou]|i[^aeou])|un'(?=[aeiou]))",
    "pt": r"(um|uma) ",
}
# Names that are the same word in both languages.
SAME = {
    "es": """koala wombat mantis llama armadillo panda altar banjo taxi gong piano rickshaw joystick kimono
        maraca marimba oboe ocarina patio pedestal perfume poncho radio tractor wok guacamole bagel pretzel
        pasta pizza burrito""",
    "fr": """crocodile trilobite scorpion toucan koala wombat chiton dugong lynx lion hamster bison panda
        ambulance banjo train taxi cardigan cassette table gong piano guillotine harmonica joystick kimono
        lotion loupe maraca marimba microphone bus missile modem ocarina oscilloscope parachute patio poncho
        prison projectile radio restaurant saxophone ski trombone vase wok menu guacamole bagel orange pizza
        burrito geyser""",
    "de": """salamander koala wombat flamingo dugong wolf leopard tiger hamster zebra bison otter gorilla lemur
        panda altar banjo barometer ball taxi cello computer gong guillotine hammer holster jeans joystick
        kimono lotion maraca megalith bus modem obelisk oboe pier planetarium poncho puck radio restaurant
        sarong ski sofa toaster vase wok guacamole bagel burger orange pizza burrito""",
    "it": """trilobite echidna koala nematode zebra armadillo gorilla panda banjo taxi cardigan cinema computer
        go-kart gong jeans joystick kimono maraca marimba missile modem oboe ocarina patio poncho radio
        slot_machine tram trombone wok guacamole bagel pretzel hot_dog broccoli banana pasta pizza burrito
        geyser""",
    "pt": """flamingo hamster zebra panda altar banjo cinema envelope piano joystick maraca marimba modem van
        ocarina pedestal perfume poncho snorkel trombone guacamole bagel pretzel banana pizza burrito""",
}


def test_cats_and_dogs_add_up() -> None:
    names = imagenet_names()
    assert len(names.classes) == len(names.group_of_class) == 1000
    everyday = [names.groups[group] for group in names.group_of_class]
    assert everyday.count("cat") == 5
    assert everyday.count("dog") == 118
    assert (everyday[291], everyday[779], everyday[968]) == ("lion", "bus", "cup")


def test_a_class_with_two_names_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.txt"
    monkeypatch.setattr(naming, "TABLE", table)
    table.write_text("# names\ncat: 281-285\nanimal: 285\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 3: class 285 is already a cat"):
        imagenet_names()
    table.write_text("cat: many\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: 'many' is not a class"):
        imagenet_names()


@pytest.mark.parametrize(
    ("language", "cat", "bow"),
    [
        ("es", "un gato", "un arco"),
        ("fr", "un chat", "un arc"),
        ("de", "eine Katze", "ein Bogen"),
        ("it", "un gatto", "un arco"),
        ("pt", "um gato", "um arco"),
    ],
)
def test_every_everyday_name_has_a_translation(language: str, cat: str, bow: str) -> None:
    groups = imagenet_names().groups
    phrases = names_in(language)
    assert len(phrases) == len(groups) == 602
    assert (phrases[groups.index("cat")], phrases[groups.index("bow")]) == (cat, bow)
    lines = naming.TABLE.with_name(f"everyday_{language}.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith("#")] == list(groups)


@pytest.mark.parametrize("language", ARTICLE)
def test_translations_are_written_as_in_their_language(language: str) -> None:
    phrases = names_in(language)
    bare = [re.sub(f"^{ARTICLE[language]}", "", phrase) for phrase in phrases]
    same = {name for name, word in zip(imagenet_names().groups, bare, strict=True) if name.lower() == word.lower()}
    assert same == {name.replace("_", " ") for name in SAME[language].split()}
    assert sum(word == phrase for word, phrase in zip(bare, phrases, strict=True)) < 25  # plurals and stuffs
    assert not [word for word in bare if re.match(r"(un|una|une|uno|ein|eine|um|uma)\b", word)]
    capitals = [phrase != phrase.lower() for phrase in phrases]
    assert all(capitals) if language == "de" else sum(capitals) < 7  # CD, Petri


@pytest.mark.parametrize("language", ["en", *ARTICLE])
def test_translations_are_tokens_and_back(language: str, processor: Any) -> None:
    phrases = names_in(language)
    tokens = to_tokens(list(phrases), processor.tokenizer, 24)
    assert (tokens[:, -1] == -1).all()
    back = [processor.tokenizer.decode([t for t in row if t >= 0]) for row in tokens.tolist()]
    assert back == [f" {phrase}" for phrase in phrases]


def test_english_names_are_the_groups_and_other_languages_are_refused() -> None:
    assert names_in("en") == imagenet_names().groups
    with pytest.raises(DataError, match=r"^no everyday names in '\.\./es': there are de, en, es, fr, it, pt$"):
        names_in("../es")


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("cat: un gato\n", "", r"everyday_es\.txt lacks 1 everyday names, the first is 'cat'"),
        ("cat: un gato", "feline: un gato", r"everyday_es\.txt, line \d+: 'feline' is not an everyday name"),
        ("cat: un gato", "dog: un gato", r"everyday_es\.txt, line \d+: 'dog' comes twice"),
        ("cat: un gato", "cat:", r"everyday_es\.txt, line \d+: 'cat' has no translation"),
    ],
)
def test_a_table_that_does_not_fit_the_names_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, instead: str, message: str
) -> None:
    for name in ("everyday.txt", "everyday_es.txt"):
        text = naming.TABLE.with_name(name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(f"\n{line}", f"\n{instead}"), encoding="utf-8")
    monkeypatch.setattr(naming, "TABLE", tmp_path / "everyday.txt")
    with pytest.raises(DataError, match=message):
        names_in("es")


def test_group_probabilities_are_sums(model: Any) -> None:
    logits = torch.randn(2, 1000)
    sums = model.evidence.group_probabilities(logits.softmax(dim=-1))
    classes = logits.softmax(dim=-1)
    names = imagenet_names()
    cat = names.groups.index("cat")
    assert torch.allclose(sums.sum(dim=-1), torch.ones(2), atol=1e-4)
    assert torch.allclose(sums[:, cat], classes[:, 281:286].sum(dim=-1), atol=1e-5)


def test_a_remembered_picture_finds_itself(model: Any) -> None:
    table, memory = model.evidence, model.evidence.memory
    # A style that the learned space sends where picture 7 lies.
    centred = torch.linalg.lstsq(memory.space, memory.features[7]).solution
    style = (centred / memory.scale + memory.mean)[None]
    assert memory.likeness(style)[0].argmax() == 7
    runs = table.find(torch.randn(1, 1000), style)
    first = int((runs.kind[0] == CAPTION).nonzero()[0])
    assert runs.confidence[0, first] > 0.5
    assert torch.equal(runs.tokens[0, first][: memory.tokens.shape[2]], memory.tokens[0, 7].long())
    exclude = memory.caption[None] == memory.caption[7]
    left = table.find(torch.randn(1, 1000), style, exclude=exclude)
    assert left.confidence[0, first] < runs.confidence[0, first]
    assert not torch.equal(left.tokens[0, first], runs.tokens[0, first])


def test_runs_are_laid_out_with_ends_and_without_padding() -> None:
    runs = Runs(
        tokens=torch.tensor([[[5, 6, -1], [7, -1, -1], [-1, -1, -1]], [[8, -1, -1], [-1, -1, -1], [-1, -1, -1]]]),
        kind=torch.tensor([[GROUP, FINE, CAPTION]] * 2),
        rank=torch.zeros(2, 3, dtype=torch.long),
        confidence=torch.tensor([[0.5, 0.25, 0.1]] * 2),
    )
    laid = lay_out(runs)
    assert laid.tokens.tolist()[0] == [5, 6, 6, 7, 7]
    assert laid.previous.tolist()[0] == [START, 5, 6, START, 7]
    assert laid.ends.tolist()[0] == [False, False, True, False, True]
    assert laid.mask.tolist() == [[True] * 5, [True, True, False, False, False]]
    assert laid.confidence.tolist()[0] == [0.5, 0.5, 0.5, 0.25, 0.25]


def test_soft_bins_keep_order_and_mass() -> None:
    bins = soft_bins(torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]))
    assert torch.allclose(bins.sum(dim=-1), torch.ones(5), atol=1e-5)
    centres = (bins * torch.arange(bins.shape[-1])).sum(dim=-1)
    assert (centres.diff() > 0).all()


def test_views_are_averaged_as_probabilities() -> None:
    logits = torch.randn(6, 10)
    made = average_views(logits, 3).exp()
    assert torch.allclose(made, logits.softmax(-1).view(2, 3, 10).mean(1), atol=1e-6)


def test_tokens_begin_with_a_space_and_are_padded(processor: Any) -> None:
    tokens = to_tokens(["cat", "school bus"], processor.tokenizer, 5)
    assert processor.tokenizer.decode([t for t in tokens[1].tolist() if t >= 0]) == " school bus"
    assert tokens[0, -1] == -1


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsDamaged, match=r"other\.pth has 1 tensors"):
        encoder("efficientnet_lite0").weights(tmp_path / "other.pth")
    with pytest.raises(WeightsMissing, match=r"gone\.pth is not there"):
        encoder("efficientnet_lite0").weights(tmp_path / "gone.pth")
    with pytest.raises(ConfigError, match="'vgg99'"):
        encoder("vgg99")
