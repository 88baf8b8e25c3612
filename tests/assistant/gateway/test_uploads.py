import hashlib
import itertools
import tracemalloc
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.errors import AssistantError, LimitReached, PictureError
from assistant.gateway.unfinished import KEPT_SECONDS, MOST_EACH, Unfinished
from assistant.gateway.uploads import MOST_UPLOADS, Uploads
from assistant.gateway.wire.commands import ImageBegin
from assistant.gateway.wire.reading import Chunk
from assistant.images import ImageLimits

DATA = bytes(range(200))


def begin(uploads: Uploads, data: bytes = DATA, *, size: int | None = None, sha256: str | None = None) -> UUID:
    upload_id = uuid4()
    uploads.begin(
        ImageBegin(
            type="image.begin",
            id="1",
            upload_id=upload_id,
            sha256=sha256 or hashlib.sha256(data).hexdigest(),
            bytes=len(data) if size is None else size,
        )
    )
    return upload_id


def add(uploads: Uploads, upload_id: UUID, offset: int, data: bytes) -> None:
    uploads.add(Chunk(upload_id, offset, memoryview(data)))


def code(error: pytest.ExceptionInfo[AssistantError]) -> str:
    return error.value.code


@pytest.fixture
def uploads() -> Uploads:
    return Uploads(ImageLimits(bytes=1024 * 1024))


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(1, 299), max_size=6))
def test_a_picture_in_any_pieces_is_whole(data: bytes, cuts: list[int]) -> None:
    uploads = Uploads(ImageLimits())
    upload_id = begin(uploads, data)
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    for start, stop in itertools.pairwise(places):
        add(uploads, upload_id, start, data[start:stop])
    received, sha256 = uploads.end(upload_id)
    assert received == data
    assert sha256 == hashlib.sha256(data).hexdigest()


def test_two_pictures_may_come_in_turns(uploads: Uploads) -> None:
    first, second = begin(uploads, b"aabb"), begin(uploads, b"ccdd")
    for offset in (0, 2):
        add(uploads, first, offset, b"aabb"[offset : offset + 2])
        add(uploads, second, offset, b"ccdd"[offset : offset + 2])
    assert uploads.end(second)[0] == b"ccdd"
    assert uploads.end(first)[0] == b"aabb"


@pytest.mark.parametrize(
    ("offset", "data", "expected"),
    [
        (50, b"x", "upload_out_of_order"),  # overlaps what came
        (0, DATA[:100], "upload_out_of_order"),  # comes again
        (101, b"x", "upload_out_of_order"),  # leaves a hole
        (2**64 - 1, b"x", "upload_out_of_order"),
        (100, bytes(101), "upload_too_long"),
    ],
)
def test_a_wrong_piece_is_named_once_and_again_at_the_end(
    uploads: Uploads, offset: int, data: bytes, expected: str
) -> None:
    upload_id = begin(uploads)
    add(uploads, upload_id, 0, DATA[:100])
    with pytest.raises(AssistantError) as error:
        add(uploads, upload_id, offset, data)
    assert code(error) == expected
    add(uploads, upload_id, 100, DATA[100:])  # passed over: it was on its way already
    with pytest.raises(AssistantError) as error:
        uploads.end(upload_id)
    assert code(error) == expected
    with pytest.raises(AssistantError) as error:
        uploads.end(upload_id)
    assert code(error) == "upload_unknown"


def test_the_message_of_a_wrong_piece_has_the_numbers(uploads: Uploads) -> None:
    upload_id = begin(uploads)
    with pytest.raises(AssistantError, match="Bytes from 0 are next, not from 7"):
        add(uploads, upload_id, 7, b"x")


@pytest.mark.parametrize("came", [0, 1, 199])
def test_missing_bytes_are_counted(uploads: Uploads, came: int) -> None:
    upload_id = begin(uploads)
    if came:
        add(uploads, upload_id, 0, DATA[:came])
    with pytest.raises(AssistantError, match=f"{came} of 200 bytes") as error:
        uploads.end(upload_id)
    assert code(error) == "upload_incomplete"


def test_bytes_that_are_not_those_announced(uploads: Uploads) -> None:
    upload_id = begin(uploads, sha256="0" * 64)
    add(uploads, upload_id, 0, DATA)
    with pytest.raises(PictureError) as error:
        uploads.end(upload_id)
    assert code(error) == "image_hash_mismatch"


def test_an_upload_id_is_free_again_after_the_end(uploads: Uploads) -> None:
    upload_id = begin(uploads)
    other = ImageBegin(type="image.begin", id="2", upload_id=upload_id, sha256="0" * 64, bytes=5)
    with pytest.raises(AssistantError) as error:
        uploads.begin(other)
    assert code(error) == "upload_exists"
    with pytest.raises(AssistantError):
        uploads.end(upload_id)
    uploads.begin(other)


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "image_empty"), (-5, "image_empty"), (2**20 + 1, "image_too_large")]
)
def test_a_size_out_of_bounds_begins_nothing(uploads: Uploads, size: int, expected: str) -> None:
    for _ in range(MOST_UPLOADS + 1):
        with pytest.raises(AssistantError) as error:
            begin(uploads, size=size)
        assert code(error) == expected
    begin(uploads)


def test_so_many_uploads_and_no_more(uploads: Uploads) -> None:
    begun = [begin(uploads) for _ in range(MOST_UPLOADS)]
    with pytest.raises(LimitReached, match=str(MOST_UPLOADS)) as error:
        begin(uploads)
    assert code(error) == "too_many_uploads"
    with pytest.raises(AssistantError):
        uploads.end(begun[0])
    begin(uploads)


def test_a_failed_upload_holds_no_bytes(uploads: Uploads) -> None:
    frame = bytes(1024 * 512)
    upload_id = begin(uploads, frame, size=1024 * 1024)
    tracemalloc.start()
    try:
        add(uploads, upload_id, 0, bytes(len(frame)))
        assert tracemalloc.get_traced_memory()[0] > len(frame)
        with pytest.raises(AssistantError):
            add(uploads, upload_id, 1, b"x")
        assert tracemalloc.get_traced_memory()[0] < len(frame) // 4
    finally:
        tracemalloc.stop()


def test_many_tiny_pieces_take_no_more_memory_than_the_picture(uploads: Uploads) -> None:
    count = 20_000
    upload_id = begin(uploads, bytes(count))
    tracemalloc.start()
    try:
        for offset in range(count):
            uploads.add(Chunk.parse(Chunk.pack(upload_id, offset, b"\x00")))
        assert tracemalloc.get_traced_memory()[0] < 10 * count
    finally:
        tracemalloc.stop()


# --- Coming back ----------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def announced(upload_id: UUID, data: bytes = DATA, *, sha256: str | None = None) -> ImageBegin:
    digest = sha256 or hashlib.sha256(data).hexdigest()
    return ImageBegin(type="image.begin", id="1", upload_id=upload_id, sha256=digest, bytes=len(data))


def cut_off(unfinished: Unfinished, owner: str = "ada", came: int = 120, *, lost: bool = True) -> UUID:
    """A client sends some of ``DATA`` and is lost, or seems to be there still."""
    upload_id, uploads = uuid4(), Uploads(ImageLimits(), unfinished)
    uploads.begin(announced(upload_id), owner)
    add(uploads, upload_id, 0, DATA[:came])
    if lost:
        uploads.leave()
    return upload_id


@pytest.mark.parametrize("lost", [True, False])
def test_an_upload_goes_on_on_another_socket(lost: bool) -> None:
    unfinished = Unfinished()
    upload_id = cut_off(unfinished, lost=lost)
    uploads = Uploads(ImageLimits(), unfinished)
    assert len(uploads.begin(announced(upload_id), "ada").data) == 120
    add(uploads, upload_id, 120, DATA[120:])
    assert uploads.end(upload_id)[0] == DATA


def test_a_socket_whose_upload_went_on_elsewhere_has_it_no_more() -> None:
    unfinished, upload_id = Unfinished(), uuid4()
    first, second = Uploads(ImageLimits(), unfinished), Uploads(ImageLimits(), unfinished)
    first.begin(announced(upload_id), "ada")
    add(first, upload_id, 0, DATA[:50])
    assert len(second.begin(announced(upload_id), "ada").data) == 50
    with pytest.raises(AssistantError) as error:
        add(first, upload_id, 50, DATA[50:])
    assert code(error) == "upload_unknown"
    first.leave()
    add(second, upload_id, 50, DATA[50:])
    second.leave()
    third = Uploads(ImageLimits(), unfinished)
    assert len(third.begin(announced(upload_id), "ada").data) == 200
    assert third.end(upload_id)[0] == DATA


def test_what_came_is_its_owners_and_of_the_same_picture() -> None:
    unfinished = Unfinished()
    first, second = cut_off(unfinished), cut_off(unfinished)
    uploads = Uploads(ImageLimits(), unfinished)
    assert not uploads.begin(announced(first), "eve").data
    assert len(Uploads(ImageLimits(), unfinished).begin(announced(second, sha256="0" * 64), "ada").data) == 0
    assert len(Uploads(ImageLimits(), unfinished).begin(announced(first), "ada").data) == 120


def test_beginning_again_on_the_same_socket_says_how_far_it_came(uploads: Uploads) -> None:
    upload_id = uuid4()
    assert len(uploads.begin(announced(upload_id)).data) == 0
    add(uploads, upload_id, 0, DATA[:70])
    assert len(uploads.begin(announced(upload_id)).data) == 70
    with pytest.raises(AssistantError):
        add(uploads, upload_id, 0, DATA[:70])
    assert len(uploads.begin(announced(upload_id)).data) == 0  # after a wrong piece
    add(uploads, upload_id, 0, DATA)
    assert uploads.end(upload_id)[0] == DATA


def test_what_came_is_kept_for_a_while_and_so_much_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    unfinished = Unfinished(clock)

    def offset(upload_id: UUID, owner: str = "ada") -> int:
        return len(Uploads(ImageLimits(), unfinished).begin(announced(upload_id), owner).data)

    kept, old = cut_off(unfinished), cut_off(unfinished)
    clock.time = KEPT_SECONDS - 1
    assert offset(kept) == 120
    clock.time = KEPT_SECONDS + 1
    assert offset(old) == 0

    others = cut_off(unfinished, "eve")
    ids = [cut_off(unfinished) for _ in range(MOST_EACH + 1)]
    assert [offset(upload_id) for upload_id in ids] == [0] + [120] * MOST_EACH
    assert offset(others, "eve") == 120

    monkeypatch.setattr("assistant.gateway.unfinished.MOST_BYTES", 250)
    ids = [cut_off(unfinished, f"owner-{number}") for number in range(3)]
    assert [offset(upload_id, f"owner-{number}") for number, upload_id in enumerate(ids)] == [0, 120, 120]


def test_a_failed_upload_is_not_gone_on_with() -> None:
    unfinished, upload_id = Unfinished(), uuid4()
    uploads = Uploads(ImageLimits(), unfinished)
    uploads.begin(announced(upload_id), "ada")
    with pytest.raises(AssistantError):
        add(uploads, upload_id, 5, DATA)
    uploads.leave()
    assert len(Uploads(ImageLimits(), unfinished).begin(announced(upload_id), "ada").data) == 0


def test_what_was_paid_and_will_not_come_is_told_once() -> None:
    clock = Clock()
    unfinished = Unfinished(clock)
    uploads = Uploads(ImageLimits(), unfinished)
    late, short, wrong, refused = (uploads.begin(announced(uuid4()), "ada") for _ in range(4))
    late.is_paid = short.is_paid = wrong.is_paid = True
    add(uploads, short.announced.upload_id, 0, DATA[:150])
    with pytest.raises(AssistantError):
        add(uploads, wrong.announced.upload_id, 5, DATA)
    for upload in (short, wrong):
        with pytest.raises(AssistantError):
            uploads.end(upload.announced.upload_id)
    uploads.forget(refused.announced.upload_id)
    uploads.leave()
    assert uploads.unsent() == {"ada": 50}, "what was sent in vain was sent"
    clock.time = KEPT_SECONDS - 1
    assert Uploads(ImageLimits(), unfinished).begin(late.announced, "ada").is_paid, "a begin without a byte is kept too"
    unfinished.leave("ada", late, uploads)  # it is another socket's now
    assert uploads.unsent() == {}
    cut_off(unfinished, "eve")  # unpaid
    paid = Uploads(ImageLimits(), unfinished)
    for _ in range(2):
        paid.begin(announced(uuid4()), "eve").is_paid = True
    paid.leave()
    clock.time = 2 * KEPT_SECONDS
    cut_off(unfinished)
    assert uploads.unsent() == {"eve": 400}
    assert uploads.unsent() == {}
