"""Teaching, listing, forgetting; and what an answer gets of it."""

import pytest

from assistant.domain.errors import NotFound, Unavailable
from assistant.ports.memories import Style
from assistant.service.memories import Memories
from assistant.service.recall import Recalled, recall
from tests.assistant.fakes import OWNER, FakeEngine, FakeMemories, FakePictures, FixedClock, info


class Home:
    """An owner's memory over fakes."""

    def __init__(self) -> None:
        self.store = FakeMemories()
        self.pictures = FakePictures("i_1", "i_2", "i_3", "i_4", "i_5")
        self.memories = Memories(self.store, self.pictures, FixedClock())
        self.engine = FakeEngine()
        self.told: list[tuple[int, int]] = []

    async def teach(self, *taught: str) -> list[str]:
        """Pictures i_1, i_2, ... with what they show; the ids of the memories."""
        return [
            (await self.memories.add(OWNER, f"i_{number}", text, None))[0].memory_id
            for number, text in enumerate(taught, 1)
        ]

    async def recall(self, engine: FakeEngine | None = None, owner: str = OWNER) -> Recalled:
        async def tell(done: int, total: int) -> None:
            self.told.append((done, total))

        return await recall(engine or self.engine, self.store, self.pictures, owner, tell)


@pytest.fixture
def home() -> Home:
    return Home()


async def test_what_is_taught_is_listed_and_forgotten_by_its_name(home: Home) -> None:
    memory, count = await home.memories.add(OWNER, "i_1", "This is our dog Rex.", "DE-at")
    assert (memory.text, memory.language, memory.image_id, count) == ("our dog Rex", "de-at", "i_1", 1)
    await home.memories.add(OWNER, "i_2", "our dog Rex", None)
    vase, count = await home.memories.add(OWNER, "i_3", "a vase", None)
    assert count == 3
    again, count = await home.memories.add(OWNER, "i_3", "a blue vase", "en")
    assert (again.memory_id, count) == (vase.memory_id, 3)
    assert [m.text for m in await home.memories.all(OWNER)] == ["our dog Rex", "our dog Rex", "a blue vase"]
    assert [m.image_id for m in await home.memories.remove(OWNER, "Our dog REX.")] == ["i_1", "i_2"]
    assert [m.text for m in await home.memories.remove(OWNER, vase.memory_id)] == ["a blue vase"]
    with pytest.raises(NotFound, match=r"Nothing of this name is remembered\. List what is"):
        await home.memories.remove(OWNER, vase.memory_id)


async def test_a_stranger_finds_neither_picture_nor_memory(home: Home) -> None:
    [name] = await home.teach("our dog Rex")
    assert await home.memories.all("eve") == []
    for work in (
        home.memories.add("eve", "i_1", "my dog", None),
        home.memories.remove("eve", name),
        home.memories.remove("eve", "our dog Rex"),
    ):
        with pytest.raises(NotFound):
            await work
    assert await home.recall(owner="eve") == Recalled()
    assert len(home.store.kept) == 1


async def test_each_picture_is_looked_at_once_and_then_kept_without_it(home: Home) -> None:
    await home.teach("our dog Rex", "a vase")
    recalled = await home.recall()
    assert [(taught.sha256, taught.text, taught.language) for taught in recalled.taught] == [
        ("sha-i_1", "our dog Rex", "en"),
        ("sha-i_2", "a vase", "en"),
    ]
    assert [taught.style for taught in recalled.taught] == [b"style of sha-i_1", b"style of sha-i_2"]
    assert home.told == [(0, 2), (1, 2)]
    home.pictures.kept.clear()
    assert await home.recall() == recalled
    assert home.engine.looked_at == ["i_1", "i_2"]
    assert recalled.notes == ()


async def test_what_another_encoder_made_is_not_used_and_is_named(home: Home) -> None:
    names = await home.teach("our dog Rex", "a vase", "a cup", "a hat", "a key")
    for name in names[:-1]:
        home.store.made[name] = Style("another", b"")
    recalled = await home.recall()
    assert [taught.text for taught in recalled.taught] == ["a key"]
    assert recalled.notes == (
        'Not remembered in this answer: "our dog Rex", "a vase", "a cup" and 1 more '
        "(another model was taught them; teach them again).",
    )
    await home.memories.add(OWNER, "i_1", "our dog Rex", None)
    assert "our dog Rex" in [taught.text for taught in (await home.recall()).taught]


async def test_a_picture_that_went_before_it_was_looked_at_is_named(home: Home) -> None:
    await home.teach("our dog Rex", "a vase")
    del home.pictures.kept["i_1"]
    recalled = await home.recall()
    assert [taught.text for taught in recalled.taught] == ["a vase"]
    assert recalled.notes == (
        'Not remembered in this answer: "our dog Rex" (their pictures are gone; teach them again).',
    )


async def test_an_engine_that_learns_no_pictures_says_so(home: Home) -> None:
    blind = FakeEngine(info_=info(encoder=""))
    assert await home.recall(blind) == Recalled()
    await home.teach("our dog Rex")
    assert await home.recall(blind) == Recalled(
        notes=('Not remembered in this answer: "our dog Rex" (this model learns no pictures).',)
    )
    assert blind.looked_at == []


async def test_a_store_that_is_away_is_no_reason_to_answer_without(home: Home) -> None:
    await home.teach("our dog Rex")
    home.pictures.error = Unavailable("unavailable", "away")
    with pytest.raises(Unavailable):
        await home.recall()
