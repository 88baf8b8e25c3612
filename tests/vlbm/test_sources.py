"""The packaged sources, from small archives of the same layout: captions, splits, licences, and what is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.vlbm.test_archives import tarball
from vlbm.data import stamps
from vlbm.data.archives import integrity
from vlbm.data.prepared import Made, Part, Source, prepare, prepared
from vlbm.data.records import Example, read_jsonl
from vlbm.data.sources import SOURCES, check_all, cldr, emoji, foods
from vlbm.data.sources.stamps import captions
from vlbm.data.splits import CONCEPTS, RENDERINGS, TRAIN, check_packaged, check_splits, concept_key, split_of
from vlbm.data.stamps import Stamp
from vlbm.errors import DataError

# code, category, and the names in en, de
ROWS = {
    "1F431": ("Animals & Nature", "cat face", "Katzengesicht"),
    "1F408": ("Animals & Nature", "cat", "Katze"),
    "1F34C": ("Food & Drink", "banana", "Banane"),
    "1F352": ("Food & Drink", "cherries", "Kirschen"),
    "1F344": ("Food & Drink", "mushroom", "Pilz"),
    "2600-FE0F": ("Travel & Places", "sun", "Sonne"),
    "1F469-1F9B0": ("People & Body", "woman: red hair", "Frau: rotes Haar"),
    "2764-FE0F": ("Symbols", "red heart", "rotes Herz"),
    "1F92F": ("Smileys & Emotion", "", ""),
}


def quiet(_stage: str, _done: int, _total: int, _note: str) -> None:
    """Progress that nobody asked for."""


def dot(number: int, kind: str = "PNG") -> bytes:
    """A picture that no other number has, transparent around a disc."""
    picture = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(picture).ellipse((4, 4, 60, 60), fill=(number * 7 % 256, number * 13 % 256, number * 29 % 256))
    out = BytesIO()
    picture.save(out, kind, lossless=True)
    return out.getvalue()


def characters(code: str) -> str:
    return "".join(chr(int(part, 16)) for part in code.split("-"))


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of data that holds small archives of all registries, pinned by their digests."""
    folder = tmp_path / "data" / "downloads"
    folder.mkdir(parents=True)
    listing = [{"unified": code, "category": row[0]} for code, row in ROWS.items()]
    makers = []
    for number, maker in enumerate(emoji.MAKERS):
        file = folder / maker.archive.file
        if maker.kind == "font":
            with zipfile.ZipFile(file, "w") as wheel:
                wheel.writestr(maker.files, "a font")
                wheel.writestr(maker.texts[0], "CC")
        else:
            files = dict.fromkeys(maker.texts, b"licence") | {"emoji.json": json.dumps(listing).encode()}
            for code in ROWS:
                shown = "1F352" if code == "1F344" else code  # the mushroom's picture is the cherries'
                place = f"{maker.files}/{code.lower().replace('-fe0f', '')}.{maker.kind}"
                files[place] = dot(100 * number + list(ROWS).index(shown), maker.kind.upper())
            tarball(file, files)
        makers.append(replace(maker, archive=replace(maker.archive, integrity=integrity(file))))
    names = {
        f"annotations/{language}/annotations.json": json.dumps(
            {
                "annotations": {
                    "annotations": {
                        characters(code).replace(cldr.VARIATION, ""): {"tts": [row[place]]}
                        for code, row in ROWS.items()
                        if row[place]
                    }
                }
            }
        ).encode()
        for place, language in ((1, "en"), (2, "de"))
    }
    file = tarball(folder / cldr.CLDR.file, {"LICENSE": b"Unicode"} | names)
    pinned = replace(cldr.CLDR, integrity=integrity(file))
    monkeypatch.setattr(cldr, "CLDR", pinned)
    monkeypatch.setattr(emoji, "MAKERS", tuple(makers))
    return folder


@pytest.fixture
def without_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """A font is a file of megabytes: the drawing is tested by itself."""
    monkeypatch.setattr(ImageFont, "truetype", lambda *_args, **_named: None)
    monkeypatch.setattr(
        emoji, "draw", lambda _font, text: Image.open(BytesIO(dot(ord(text) % 200))) if ord(text) > 0x1F350 else None
    )


@pytest.mark.usefixtures("without_font")
def test_emoji(downloads: Path) -> None:
    made = prepare(emoji.EMOJI, downloads.parent, ["en", "de"], quiet)
    examples = made.examples()
    assert {(e.target, e.concept) for e in examples if e.language == "en"} == {
        ("cat face", "cat"),
        ("cat", "cat"),
        ("banana", "banana"),
        ("cherries", "cherry"),
        ("sun", "sun"),
    }
    assert {e.target for e in examples if e.language == "de"} >= {"Katzengesicht", "Sonne"}
    by_maker = {
        maker: {e.target for e in examples if f"/{maker}/" in str(e.pictures[0])} for maker in ("noto", "fluent")
    }
    assert by_maker["noto"] == by_maker["fluent"]
    held = {e.split for e in examples if "/twemoji/" in str(e.pictures[0])}
    assert held <= {CONCEPTS, RENDERINGS}
    assert RENDERINGS in held
    assert all(e.split in (split_of(e.concept or ""), RENDERINGS) for e in examples)
    assert sorted(path.name for path in (made.folder / "LICENCES").iterdir())[:2] == [
        "cldr-LICENSE",
        "fluent-README.md",
    ]
    record = json.loads((made.folder / "SOURCE.json").read_text(encoding="utf-8"))
    assert record["examples"] == len(examples) == sum(record["splits"].values())
    assert [part["licence"] for part in record["parts"]] == [
        "Unicode-3.0",
        "Apache-2.0",
        "CC-BY-4.0",
        "MIT",
        "CC-BY-SA-4.0",
    ]
    assert all(part["integrity"].startswith("sha512-") and part["attribution"] for part in record["parts"])
    assert len(list(made.folder.glob("pictures/*/*"))) == record["pictures"]
    with Image.open(examples[0].pictures[0]) as picture:
        assert picture.mode == "RGBA"
    assert {path.name for path in downloads.parent.iterdir()} == {"downloads", "emoji"}


@pytest.mark.usefixtures("without_font")
def test_other_languages_make_it_anew_and_unknown_ones_are_said(downloads: Path) -> None:
    first = prepare(emoji.EMOJI, downloads.parent, ["en"], quiet)
    assert {e.language for e in first.examples()} == {"en"}
    again = prepare(emoji.EMOJI, downloads.parent, ["de"], quiet)
    assert {e.language for e in again.examples()} == {"de"}
    with pytest.raises(DataError, match="CLDR has no names in 'tlh': it has 2 languages"):
        prepare(emoji.EMOJI, downloads.parent, ["tlh"], quiet)
    still = prepared(emoji.EMOJI, downloads.parent)
    assert still is not None
    assert still.record["languages"] == ["de"]


def test_a_font_without_the_glyph_draws_nothing() -> None:
    font = ImageFont.load_default(48)
    assert isinstance(font, ImageFont.FreeTypeFont)
    drawn = emoji.draw(font, "A")
    assert drawn is not None
    assert drawn.size == (emoji.SIZE, emoji.SIZE)
    left, top, right, bottom = drawn.getbbox() or (0, 0, 0, 0)
    assert abs(left + right - emoji.SIZE) <= 2
    assert abs(top + bottom - emoji.SIZE) <= 2
    assert emoji.draw(font, "\U0001f431") is None


def test_foods(downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clipart = tmp_path / "clipart"
    (clipart / "food" / "fruit").mkdir(parents=True)
    Image.new("RGBA", (900, 600), (200, 0, 0, 90)).save(clipart / "food/fruit/banana.png")
    Image.new("RGB", (90, 60), "tomato").save(clipart / "food/lasagna_ganson.png")
    monkeypatch.setattr(foods, "INSTALLED", clipart)
    made = prepare(foods.FOODS, downloads.parent, ["en", "de"], quiet)
    assert sorted((e.target, e.language, e.concept) for e in made.examples()) == [
        ("Banane", "de", "banana"),
        ("banana", "en", "banana"),
        ("lasagna", "en", "lasagna"),
    ]
    with Image.open(made.folder / "pictures/fruit-banana.png") as picture:
        assert (picture.size, picture.mode) == ((256, 171), "RGBA")
        assert picture.getchannel("A").getextrema() == (90, 90)


def test_every_food_has_one_name() -> None:
    rows = foods.foods()
    assert len({path for path, _name in rows}) == len(rows) > 200
    assert all(name == name.strip() and name for _path, name in rows)


def test_stamps_say_the_same_in_all_languages(tmp_path: Path) -> None:
    path = tmp_path / "fly.png"
    text = "{}\nde.utf8=Eine Fliege.\nfr.utf8=A fly.\npt_BR.utf8=Uma mosca.\nes.utf8=\n"
    path.with_suffix(".txt").write_text(text.format("A fly."), encoding="utf-8")
    asked = ["en", "de", "fr", "es", "pt-BR"]
    fly = Stamp(path, "a fly", "fly")
    assert captions(fly, asked) == {"en": "A fly.", "de": "Eine Fliege.", "pt-BR": "Uma mosca."}
    path.with_suffix(".txt").write_text(text.format("A fly is an insect."), encoding="utf-8")
    assert captions(fly, asked) == {"en": "A fly."}


def test_sources_are_checked_against_each_other(
    tmp_path: Path, stamp_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "INSTALLED", stamp_folder)
    made = prepare(SOURCES["stamps"], tmp_path, ["en"], quiet)
    assert [one.folder for one in check_all(tmp_path)] == [made.folder]
    held = next(word for word in map(str, range(99)) if split_of(word) == CONCEPTS)

    def leaking(_data: Path, into: Path, _languages: Any, _tell: Any) -> Made:
        picture = into / "pictures" / "1.png"
        picture.write_bytes(made.examples()[0].pictures[0].read_bytes())
        part = Part(package="p", version="1", holds="pictures", licence="MIT", attribution="me")
        return Made([Example((picture,), "a", concept=held, split=CONCEPTS)], [part])

    other = Source(name="other", holds="", licence="", origin="", megabytes=1, pins=("1",), make=leaking)
    monkeypatch.setitem(SOURCES, "other", other)
    prepare(other, tmp_path, ["en"], quiet)
    with pytest.raises(DataError, match="share 1 pictures"):
        check_all(tmp_path)
    assert prepared(replace(other, pins=("2",)), tmp_path) is None


def test_what_leaks_or_is_empty_is_not_prepared(tmp_path: Path) -> None:
    def of(*rows: tuple[str, str]) -> Source:
        def make(_data: Path, into: Path, _languages: Any, _tell: Any) -> Made:
            examples = []
            for number, (concept, split) in enumerate(rows):
                picture = into / "pictures" / f"{number}.png"
                picture.write_bytes(dot(number))
                examples.append(Example((picture,), "a", concept=concept, split=split))
            return Made(examples, [])

        return Source(name="x", holds="", licence="", origin="", megabytes=1, pins=(), make=make)

    with pytest.raises(DataError, match="share 1 concepts, as box"):
        prepare(of(("boxes", TRAIN), ("Box", CONCEPTS)), tmp_path, ["en"], quiet)
    with pytest.raises(DataError, match="x has no caption in de, en: ask for other languages"):
        prepare(of(), tmp_path, ["en", "de"], quiet)
    assert not list(tmp_path.iterdir())
    made = prepare(of(("box", TRAIN), ("box", RENDERINGS)), tmp_path, ["en"], quiet)
    assert [path.name for path in sorted(made.folder.glob("*.jsonl"))] == ["held_out_renderings.jsonl", "train.jsonl"]
    assert read_jsonl(made.folder / "train.jsonl").examples == tuple(made.examples()[:1])


def test_splits_hang_on_the_name_alone() -> None:
    words = [f"word{number}" for number in range(2000)]
    held = [word for word in words if split_of(word) == CONCEPTS]
    assert 150 < len(held) < 250
    assert all(split_of(word.upper(), held_out_rendering=True) == CONCEPTS for word in held)
    assert split_of("cat") == TRAIN  # a digest: never another
    assert split_of("cats", held_out_rendering=True) == RENDERINGS
    assert [concept_key(word) for word in ("Boxes", "cherries", "glass", "bus", "kisses", "gas")] == [
        "box",
        "cherry",
        "glass",
        "bus",
        "kiss",
        "gas",
    ]


def test_renderings_may_share_concepts_with_training_but_no_picture(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(dot(1))
    (tmp_path / "2.png").write_bytes(dot(2))
    one = Example((tmp_path / "1.png",), "a", concept="cat", split=TRAIN)
    check_packaged([one, replace(one, pictures=(tmp_path / "2.png",), split=RENDERINGS)])
    with pytest.raises(DataError, match="train and held_out_renderings share 1 pictures"):
        check_packaged([one, replace(one, split=RENDERINGS)])
    with pytest.raises(DataError, match="share 1 concepts, as cat"):
        check_splits({"a": [one], "b": [replace(one, pictures=(tmp_path / "2.png",), concept="Cats")]})
