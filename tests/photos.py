"""Real photos for tests of the whole, from packages that set-up unpacks; none was trained on."""

from pathlib import Path

from vlbm.evaluation.photos import Photo, foreign_photos

ROOT = Path(__file__).parents[1]


def photo(package: str, name: str) -> Photo:
    """A photo by its package and file name."""
    photos = foreign_photos(ROOT / ".cache" / "photos", (package,), unpacked=ROOT / ".cache" / "testdata")
    return next(found for found in photos if Path(found.path).name == name)


def cat() -> Photo:
    """A tabby cat, looking aside (Chelsea, by Stéfan van der Walt)."""
    return photo("scikit-image", "chelsea.png")
