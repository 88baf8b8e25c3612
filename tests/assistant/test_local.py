from pathlib import Path

import pytest

from assistant.bootstrap import load_prompts
from assistant.domain.errors import EngineError, InvalidRequest, LimitReached, PictureError
from assistant.local import LocalTools, check, read_picture
from assistant.ports.tools import ToolDone
from assistant.tools import all_tools
from tests import pictures
from tests.assistant.fakes import FakeEngine, end, words

TOOLS = all_tools(load_prompts())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(pictures.png())
    return path


async def test_a_tool_runs_on_a_file(photo: Path) -> None:
    engine = FakeEngine(*words("A cat"), end())
    local = LocalTools(engine, TOOLS)
    result = await local.run("caption", {"images": [str(photo)]})
    assert result.model_dump()["text"] == "A cat"
    picture = engine.requests[0].messages[0].pictures[0]
    assert picture.data.startswith(b"\xff\xd8\xff")
    assert (picture.width, picture.height) == (64, 48)
    events = [event async for event in local.stream("caption", {"images": [str(photo)]})]
    assert isinstance(events[-1], ToolDone)


async def test_an_engine_that_fails_is_heard(photo: Path) -> None:
    local = LocalTools(FakeEngine(EngineError("engine_failed", "It failed.")), TOOLS)
    with pytest.raises(EngineError):
        await local.run("caption", {"images": [str(photo)]})


def test_the_same_file_has_the_same_id(photo: Path) -> None:
    assert read_picture(photo) == read_picture(photo)
    assert read_picture(photo).image_id.startswith("i_")


def test_files_are_looked_for_before_a_model_is_loaded(photo: Path, tmp_path: Path) -> None:
    _, paths = check(TOOLS["caption"], {"images": [str(photo)]})
    assert paths == [photo]
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(InvalidRequest) as refused:
            check(TOOLS["caption"], {"images": [str(path)]})
        assert (refused.value.code, str(path) in refused.value.message) == ("file_unreadable", True)
    with pytest.raises(InvalidRequest) as refused:
        check(TOOLS["caption"], {})
    assert refused.value.code == "image_missing"


def test_a_file_that_cannot_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "bad.jpg"
    with pytest.raises(InvalidRequest, match="No such file"):
        read_picture(path)
    path.write_bytes(pictures.text())
    with pytest.raises(PictureError):
        read_picture(path)
    path.write_bytes(pictures.bomb_png())
    with pytest.raises(LimitReached):
        read_picture(path)
