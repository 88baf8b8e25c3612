"""The contract of the stores (conversations, turns, pictures, memories): on Valkey, Redis and Redis Cluster."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from assistant.bootstrap import Stores, open_stores, running_worker
from assistant.clock import SystemClock
from assistant.domain.errors import Conflict, InvalidRequest, LimitReached, NotFound
from assistant.domain.events import (
    MessageCreated,
    SessionUpdated,
    TurnDelta,
    TurnFinished,
    TurnProgress,
    TurnStarted,
    read_event,
)
from assistant.domain.limits import UNLIMITED, Allowance, Allowances
from assistant.domain.memories import Memory
from assistant.domain.messages import ImagePart, Message, TextPart
from assistant.domain.summaries import Summary
from assistant.domain.turns import Submission, TurnOptions, answer_id, newest_branch, path_to
from assistant.ports.engine import EngineInfo
from assistant.ports.memories import Style
from assistant.ports.pictures import StoredPicture
from assistant.ports.queue import Claim, LostClaim
from assistant.service.limits import Limits
from assistant.service.sessions import Sessions
from assistant.service.submissions import Submissions
from assistant.stores import conversations as conversations_module
from assistant.stores import keys
from assistant.stores import memories as memories_module
from assistant.stores.bells import Bells
from assistant.stores.blob_sweep import sweep
from assistant.stores.connection import Script, connect, entries, open_client
from assistant.stores.forgotten import KEPT_SECONDS
from assistant.stores.queue import RedisQueue
from tests.assistant.fakes import FakeEngine, until

ENGINE = EngineInfo("test", "test-1", context_tokens=100, default_max_tokens=10, slots=1)
OWNER = "anonymous"


@pytest.fixture(params=["folder", "redis"])
def blob_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "blobs" if request.param == "folder" else None


@pytest.fixture
async def stores(url: str) -> AsyncIterator[Stores]:
    async with _empty(url, None) as opened:
        yield opened


class _empty:
    """Stores on an emptied Redis."""

    def __init__(self, url: str, folder: Path | None) -> None:
        self._url = url
        self._opened = open_stores(url, folder)

    async def __aenter__(self) -> Stores:
        client = connect(self._url)
        await client.flushall()
        await client.aclose()
        return await self._opened.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self._opened.__aexit__(None, None, None)


def submission(text: str = "hello", key: str = "c-1", **more: object) -> Submission:
    return Submission.model_validate({"client_message_id": key, "text": text, **more})


async def claimed(stores: Stores, worker: str = "w1", wait: float = 1.0) -> Claim:
    for _ in range(20):
        claim = await stores.queue.claim(worker, ENGINE, wait)
        if claim is not None:
            return claim
    raise AssertionError("nothing to claim")


def reply(claim: Claim, text: str) -> list[MessageCreated | TurnFinished]:
    message = Message(
        message_id=answer_id(claim.message_id, claim.turn_id),
        role="assistant",
        parts=(TextPart(text=text),),
        turn_id=claim.turn_id,
        created_at=SystemClock().now(),
        parent=claim.message_id,
    )
    return [MessageCreated(message=message), TurnFinished(turn_id=claim.turn_id, status="completed")]


async def test_a_summary_stays_as_long_as_its_conversation(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    assert await stores.conversations.summary(session) is None
    for text in ("They greeted.", "They greeted and left."):
        await stores.conversations.keep_summary(OWNER, session, Summary(until="m_1", text=text))
    await stores.conversations.keep_summary("eve", session, Summary(until="m_1", text="lies"))
    assert await stores.conversations.summary(session) == Summary(until="m_1", text="They greeted and left.")
    await stores.conversations.keep_summary(OWNER, "s_gone", Summary(until="m_1", text="late"))
    assert await stores.conversations.summary("s_gone") is None


async def test_a_submission_is_in_the_log_and_in_the_queue(stores: Stores) -> None:
    session, start = await stores.conversations.create(OWNER)
    assert start.seq == 0
    image = ImagePart(image_id="i_1", width=3, height=2)
    accepted = await stores.conversations.submit(
        OWNER, session, submission("¿qué?", images=(image,), options=TurnOptions(max_tokens=7))
    )
    entries = await stores.conversations.read(session, 0)
    placed = read_event(entries[0].json)
    assert [entry.seq for entry in entries] == [1]
    assert (placed.place.session_id, placed.place.epoch, placed.place.seq) == (session, start.epoch, 1)
    assert isinstance(placed.event, MessageCreated)
    assert placed.event.message.parts == (image, TextPart(text="¿qué?"))
    claim = await claimed(stores)
    assert (claim.turn_id, claim.session_id, claim.owner) == (accepted.turn_id, session, OWNER)
    assert claim.options == TurnOptions(max_tokens=7)
    assert claim.attempt == 1
    assert not claim.committed


async def test_the_same_message_is_one_turn(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    accepted = await asyncio.gather(*(stores.conversations.submit(OWNER, session, submission()) for _ in range(50)))
    assert len({one.turn_id for one in accepted}) == 1
    assert sum(not one.duplicate for one in accepted) == 1
    assert (await stores.conversations.head(OWNER, session)).seq == 1
    await claimed(stores)
    assert await stores.queue.claim("w2", ENGINE, 0.05) is None


async def test_the_same_key_with_other_content_is_a_conflict(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission("one"))
    with pytest.raises(Conflict) as caught:
        await stores.conversations.submit(OWNER, session, submission("two"))
    assert caught.value.code == "client_message_id_reused"


async def test_strangers_find_nothing(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    accepted = await stores.conversations.submit(OWNER, session, submission())
    for attempt in (
        stores.conversations.head("eve", session),
        stores.conversations.submit("eve", session, submission(key="c-2")),
        stores.conversations.cancel("eve", session, accepted.turn_id, 0),
        stores.conversations.head(OWNER, "s_none"),
        stores.conversations.cancel(OWNER, session, "t_none", 0),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await stores.conversations.head(OWNER, session)).seq == 1


async def test_events_are_numbered_without_gaps_whatever_stream_they_are_in(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission())
    claim = await claimed(stores)
    for part in ("a", "b"):
        progress = TurnProgress(turn_id=claim.turn_id, stage="prefill", done=1, total=2)
        await stores.queue.append(claim, [progress, TurnDelta(turn_id=claim.turn_id, text=part)])
    await stores.queue.finish(claim, reply(claim, "ab"), "completed")
    entries = await stores.conversations.read(session, 0)
    kinds = [read_event(entry.json).event.type for entry in entries]
    assert [entry.seq for entry in entries] == list(range(1, 9))
    assert kinds == [
        "message.created",
        "turn.started",
        "turn.progress",
        "turn.delta",
        "turn.progress",
        "turn.delta",
        "message.created",
        "turn.finished",
    ]
    assert await stores.conversations.read(session, 6) == entries[6:]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_reading_in_pieces_gives_the_same_as_at_once(stores: Stores, limit: int) -> None:
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission())
    claim = await claimed(stores)
    for part in "abcdefgh":
        await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text=part)])
    await stores.queue.finish(claim, reply(claim, "abcdefgh"), "completed")
    whole = await stores.conversations.read(session, 0)
    pieces, after = [], 0
    while part_read := await stores.conversations.read(session, after, limit):
        pieces += part_read
        after = part_read[-1].seq
    assert pieces == whole


async def test_turns_of_a_session_run_one_after_another(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    turns = [await stores.conversations.submit(OWNER, session, submission(key=f"c-{n}")) for n in range(3)]
    first = await claimed(stores)
    assert await stores.queue.claim("w2", ENGINE, 0.05) is None
    await stores.queue.finish(first, reply(first, "one"), "completed")
    second = await claimed(stores)
    assert [first.turn_id, second.turn_id] == [turn.turn_id for turn in turns[:2]]
    history = path_to(second.message_id, await stores.conversations.messages(session))
    assert [message.role for message in history] == ["user", "assistant", "user"]
    events = [read_event(entry.json).event for entry in await stores.conversations.read(session, 0)]
    assert [event.position for event in events if event.type == "turn.queued"] == [1, 2]


async def test_only_so_many_turns_wait(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    for number in range(1 + conversations_module.MOST_WAITING_TURNS):
        await stores.conversations.submit(OWNER, session, submission(key=f"c-{number}"))
    head = await stores.conversations.head(OWNER, session)
    with pytest.raises(LimitReached) as caught:
        await stores.conversations.submit(OWNER, session, submission(key="c-more"))
    assert caught.value.code == "too_many_turns"
    assert caught.value.retry_after
    assert await stores.conversations.head(OWNER, session) == head
    again = await stores.conversations.submit(OWNER, session, submission(key="c-0"))
    assert again.duplicate, "a repeated message is known even where no new one is taken"


async def test_a_silent_worker_loses_its_turn_and_its_late_writes_are_refused(stores: Stores, url: str) -> None:
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission())
    async with _impatient(url) as queue:
        late = None
        while late is None:
            late = await queue.claim("late", ENGINE, 0.5)
        await queue.append(late, [TurnDelta(turn_id=late.turn_id, text="half an ")])
        await asyncio.sleep(0.15)
        heir = await queue.claim("heir", ENGINE, 0.5)
        assert heir is not None
        assert (heir.turn_id, heir.attempt, heir.committed) == (late.turn_id, 2, "half an ")
        head = await stores.conversations.head(OWNER, session)
        for write in (
            queue.append(late, [TurnDelta(turn_id=late.turn_id, text="lie")]),
            queue.renew(late),
            queue.finish(late, reply(late, "lie"), "completed"),
        ):
            with pytest.raises(LostClaim):
                await write
        assert await stores.conversations.head(OWNER, session) == head
        await queue.finish(heir, reply(heir, "half an answer"), "completed")
        with pytest.raises(LostClaim):
            await queue.finish(heir, reply(heir, "half an answer"), "completed")


async def test_a_store_that_forgot_the_live_text_says_that_it_begins_again(stores: Stores, url: str) -> None:
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission())
    client = connect(url)
    async with _impatient(url) as queue:
        first = None
        while first is None:
            first = await queue.claim("first", ENGINE, 0.5)
        await queue.append(first, [TurnDelta(turn_id=first.turn_id, text="half an ")])
        seen = (await stores.conversations.head(OWNER, session)).seq
        await client.hset(keys.turn(session, first.turn_id), "run", "another server")
        await asyncio.sleep(0.15)
        second = await queue.claim("second", ENGINE, 0.5)
        assert second is not None
        assert (second.attempt, second.committed) == (2, "")
        entries = await stores.conversations.read(session, seen)
        started = read_event(entries[0].json).event
        assert isinstance(started, TurnStarted)
        assert started.restart
        assert entries[0].seq > seen, "a number that clients have seen is used again"
        await queue.finish(second, reply(second, "an answer"), "completed")
    await client.aclose()


async def test_numbers_go_on_above_all_that_another_server_may_have_given(stores: Stores, url: str) -> None:
    """A replica that takes over may lack the last events, which clients have seen already."""
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission())
    claim = await claimed(stores)
    await stores.queue.finish(claim, reply(claim, "done"), "completed")
    seen = (await stores.conversations.head(OWNER, session)).seq
    client = connect(url)
    await client.hset(keys.meta(session), mapping={"run": "another server", "seq": seen - 2})
    await client.aclose()
    await stores.conversations.submit(OWNER, session, submission(key="c-2"))
    assert (await stores.conversations.head(OWNER, session)).seq > seen


class _impatient:
    """A queue whose leases are short."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> RedisQueue:
        self._client = await open_client(self._url)
        self._bells = Bells(self._client)
        return RedisQueue(self._client, self._bells, SystemClock(), lease_seconds=0.1)

    async def __aexit__(self, *_: object) -> None:
        await self._bells.close()
        await self._client.aclose()


async def test_a_renewed_lease_is_kept(stores: Stores, url: str) -> None:
    session, _ = await stores.conversations.create(OWNER)
    await stores.conversations.submit(OWNER, session, submission())
    async with _impatient(url) as queue:
        claim = None
        while claim is None:
            claim = await queue.claim("slow", ENGINE, 0.5)
        for _ in range(6):
            await asyncio.sleep(0.04)
            await queue.renew(claim)
            assert await queue.claim("eager", ENGINE, 0.01) is None
        await queue.finish(claim, reply(claim, "done"), "completed")


async def test_a_cancel_rings_whenever_it_came(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    before = await stores.conversations.submit(OWNER, session, submission())
    await stores.conversations.cancel(OWNER, session, before.turn_id, 0)
    claim = await claimed(stores)
    async with asyncio.timeout(2), stores.queue.watch_cancel(claim) as bell:
        await bell.wait()
    await stores.queue.finish(claim, reply(claim, ""), "cancelled")

    after = await stores.conversations.submit(OWNER, session, submission(key="c-2"))
    claim = await claimed(stores)
    async with asyncio.timeout(2), stores.queue.watch_cancel(claim) as bell:
        waiting = asyncio.create_task(bell.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await stores.conversations.cancel(OWNER, session, after.turn_id, 3)
        await waiting
    await stores.queue.finish(claim, reply(claim, ""), "cancelled")
    await stores.conversations.cancel(OWNER, session, after.turn_id, 3)  # ended: stays as it is


async def test_a_turn_is_read_as_it_stands(stores: Stores) -> None:
    session, start = await stores.conversations.create(OWNER)
    first = await stores.conversations.submit(OWNER, session, submission())
    second = await stores.conversations.submit(OWNER, session, submission(key="c-2"))
    waits = await stores.conversations.turn(OWNER, session, second.turn_id)
    assert (waits.status, waits.message_id, waits.events) == ("queued", second.message_id, ())
    claim = await claimed(stores)
    await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text="x")])
    runs = await stores.conversations.turn(OWNER, session, first.turn_id)
    assert runs.status == "running"
    assert [type(placed.event) for placed in runs.events] == [TurnStarted, TurnDelta]
    assert runs.cursor == await stores.conversations.head(OWNER, session)
    assert runs.cursor.epoch == start.epoch
    assert runs.events[-1].place.seq == runs.cursor.seq
    await stores.queue.finish(claim, reply(claim, "x"), "completed")
    ended = await stores.conversations.turn(OWNER, session, first.turn_id)
    assert ended.status == "completed"
    assert [type(placed.event) for placed in ended.events] == [TurnStarted, MessageCreated, TurnFinished]
    for owner, turn_id, code in (("eve", first.turn_id, "session"), (OWNER, "t_none", "turn")):
        with pytest.raises(NotFound) as caught:
            await stores.conversations.turn(owner, session, turn_id)
        assert caught.value.code == f"{code}_not_found"


async def test_reading_a_turn_costs_what_the_turn_has_however_long_its_conversation(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []
    run = Script.run

    async def counted(script: Script, client: Redis, names: list[str], arguments: list[str | int]) -> list[str]:
        answer = await run(script, client, names, arguments)
        came.append(len(answer))
        return answer

    async def read(turn_id: str) -> list[str]:
        came.clear()
        turn = await stores.conversations.turn(OWNER, session, turn_id)
        return [placed.event.type for placed in turn.events]

    session, _ = await stores.conversations.create(OWNER)
    turns = []
    for number in range(12):
        turns.append((await stores.conversations.submit(OWNER, session, submission(key=f"c-{number}"))).turn_id)
        claim = await claimed(stores)
        for word in ["one", "two", "three"]:
            await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text=word)])
        await stores.queue.finish(claim, reply(claim, "one two three"), "completed")
    running = (await stores.conversations.submit(OWNER, session, submission(key="c-running"))).turn_id
    claim = await claimed(stores)
    await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text="half")])
    monkeypatch.setattr(Script, "run", counted)
    for turn_id in (turns[0], turns[6], turns[-1]):
        assert await read(turn_id) == ["turn.started", "message.created", "turn.finished"]
        assert came == [8]
    assert await read(running) == ["turn.started", "turn.delta"]
    assert came == [7]
    await stores.queue.release(claim)
    assert await read(running) == ["turn.started", "turn.delta"]
    claim = await claimed(stores)
    await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text=" more")])
    assert await read(running) == ["turn.started", "turn.delta", "turn.started", "turn.delta"]


async def test_a_turn_that_began_again_is_read_from_there(stores: Stores, url: str) -> None:
    session, _ = await stores.conversations.create(OWNER)
    turn_id = (await stores.conversations.submit(OWNER, session, submission())).turn_id
    await stores.queue.append(await claimed(stores), [TurnDelta(turn_id=turn_id, text="void")])
    client = await open_client(url)
    await client.hset(keys.turn(session, turn_id), "run", "another server")
    async with _impatient(url) as queue:
        claim = None
        while claim is None:
            claim = await queue.claim("w2", ENGINE, 0.1)
        await queue.append(claim, [TurnDelta(turn_id=turn_id, text="anew")])
    events = [placed.event for placed in (await stores.conversations.turn(OWNER, session, turn_id)).events]
    assert [event.type for event in events] == ["turn.started", "turn.delta"]
    assert isinstance(events[0], TurnStarted)
    assert events[0].restart
    await client.aclose()


async def test_a_bell_rings_for_each_change(stores: Stores) -> None:
    session, _ = await stores.conversations.create(OWNER)
    async with asyncio.timeout(3), stores.conversations.watch(session) as bell:
        await bell.wait()
        await asyncio.sleep(0.05)  # the confirmation of the subscription may ring once more
        for number in range(3):
            waiting = asyncio.create_task(bell.wait())
            await stores.conversations.submit(OWNER, session, submission(key=f"c-{number}"))
            await waiting


async def test_every_key_of_a_conversation_has_an_end(stores: Stores, url: str) -> None:
    session, _ = await stores.conversations.create(OWNER)
    for key in ("c-1", "c-2"):
        await stores.conversations.submit(OWNER, session, submission(key=key))
    claim = await claimed(stores)
    await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text="x")])
    picture = StoredPicture("i_1", "a" * 64, "b" * 64, 1, 1, resized=False)
    await stores.pictures.add(OWNER, picture, b"bytes")
    client = connect(url)
    names = [name for name in await client.keys("*") if name != keys.JOBS]
    endless = [name for name in names if await client.ttl(name) < 0]
    await client.aclose()
    assert len(names) >= 9
    assert not endless


async def test_pictures_are_their_owners(url: str, blob_folder: Path | None) -> None:
    async with _empty(url, blob_folder) as stores:
        picture = StoredPicture("i_1", "a" * 64, "b" * 64, 640, 480, resized=True)
        await stores.pictures.add(OWNER, picture, b"\x00bytes\xff")
        assert await stores.pictures.get(OWNER, "i_1") == picture
        assert await stores.pictures.find(OWNER, "b" * 64) == picture
        assert await stores.pictures.data(picture) == b"\x00bytes\xff"
        assert await stores.pictures.find("eve", "b" * 64) is None
        with pytest.raises(NotFound):
            await stores.pictures.get("eve", "i_1")
        gone = StoredPicture("i_2", "c" * 64, "d" * 64, 1, 1, resized=False)
        with pytest.raises(NotFound) as caught:
            await stores.pictures.data(gone)
        assert caught.value.code == "image_gone"


async def _let_go(stores: Stores, image_id: str, owner: str = OWNER) -> None:
    """Let the one conversation that uses a picture end."""
    session, _ = await stores.conversations.create(owner)
    await stores.pictures.use(owner, session, [image_id])
    await stores.pictures.release(owner, session)


async def forgotten(stores: Stores) -> list[str]:
    """Hashes of the bytes of which it was told that they are gone."""
    log = entries(await stores.forgotten._redis.xrange(keys.FORGOTTEN))
    return [fields["sha256"] for _, fields in log]


@pytest.mark.parametrize("when", ["before they are aside", "while they are aside"])
async def test_an_upload_of_bytes_that_are_about_to_be_forgotten_keeps_them(
    url: str, blob_folder: Path | None, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It comes after nobody was found to use them."""
    async with _empty(url, blob_folder) as stores:
        blobs = stores.pictures._blobs
        await stores.pictures.add(OWNER, photo("1"), b"bytes")
        set_aside = blobs.set_aside

        async def beaten(sha256: str) -> str | None:
            monkeypatch.undo()
            name = await set_aside(sha256) if when == "while they are aside" else None
            assert await blobs.exists(sha256) == (name is None)
            await stores.pictures.add("eve", photo("2"), b"bytes")
            return name or await set_aside(sha256)

        monkeypatch.setattr(blobs, "set_aside", beaten)
        await _let_go(stores, "i_1")
        assert await forgotten(stores) == []
        assert await stores.pictures.data(photo("2")) == b"bytes"


async def test_a_sweep_leaves_what_it_knows_nothing_of(url: str, blob_folder: Path | None) -> None:
    """A folder may be used with another Redis for a while."""
    async with _empty(url, blob_folder) as stores:
        await stores.pictures._blobs.put("a" * 64, b"another store's")
        assert await sweep(stores.pictures) == 0
        assert await stores.pictures.data(photo("1")) == b"another store's"


async def test_a_sweep_forgets_what_nobody_uses(
    url: str, blob_folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.pictures.add(OWNER, photo("1"), b"used")
        await stores.pictures.add(OWNER, photo("2", "c"), b"out of time")
        client = connect(url)
        await client.delete(keys.image(OWNER, "i_2"))
        assert await sweep(stores.pictures) == 0  # it may be on its way in
        monkeypatch.setattr("assistant.stores.pictures.UPLOAD_SECONDS", -1)
        assert await sweep(stores.pictures) == 1
        assert await sweep(stores.pictures) == 0
        assert await forgotten(stores) == ["c" * 64]
        assert await stores.pictures.data(photo("1")) == b"used"
        assert [await client.exists(keys.users(letter * 64)) for letter in "ac"] == [1, 0]
        await client.aclose()


async def test_what_workers_elsewhere_made_of_a_picture_goes_with_it(
    stores: Stores, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted while there was no worker, deleted while there is one, and swept."""
    for number, content in enumerate("abcd"):
        await stores.pictures.add(OWNER, photo(str(number), content), content.encode())
    await _let_go(stores, "i_0")
    engine = FakeEngine()
    async with open_stores(url, None) as others, running_worker(engine, others):
        await until(lambda: engine.forgotten == ["a" * 64])
        await _let_go(stores, "i_1")
        await until(lambda: engine.forgotten == ["a" * 64, "b" * 64])
        client = connect(url)
        await client.delete(keys.image(OWNER, "i_2"))
        await client.aclose()
        monkeypatch.setattr("assistant.stores.pictures.UPLOAD_SECONDS", -1)
        assert await sweep(stores.pictures) == 1
        await until(lambda: engine.forgotten == ["a" * 64, "b" * 64, "c" * 64])


async def test_a_store_that_is_away_is_asked_again_what_was_forgotten(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.stores.forgotten.PAUSE_SECONDS", 0.01)
    asked, engine = 0, FakeEngine()
    read = stores.forgotten._redis.xrange

    async def away_at_first(*args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ConnectionError
        return await read(*args, **kwargs)

    await stores.forgotten.tell("a" * 64)
    monkeypatch.setattr(stores.forgotten._redis, "xrange", away_at_first)
    following = asyncio.create_task(stores.forgotten.follow(engine))
    await until(lambda: engine.forgotten == ["a" * 64])
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_what_was_forgotten_long_ago_is_told_no_more(stores: Stores) -> None:
    await stores.forgotten._redis.xadd(keys.FORGOTTEN, {"sha256": "old"}, id="1-0")
    await stores.forgotten.tell("new")
    assert await forgotten(stores) == ["new"]
    assert 0 < await stores.forgotten._redis.ttl(keys.FORGOTTEN) <= KEPT_SECONDS


async def test_what_was_removed_but_for_its_bytes_is_swept(
    url: str, blob_folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.pictures.add(OWNER, photo("1"), b"bytes")

        async def crash(_: str) -> None:
            raise RuntimeError

        monkeypatch.setattr(stores.pictures, "forget_unused", crash)
        with pytest.raises(RuntimeError):
            await _let_go(stores, "i_1")
        monkeypatch.undo()
        assert await sweep(stores.pictures) == 1


async def test_sweeps_and_uploads_of_the_same_bytes_at_once_lose_none(
    url: str, blob_folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _empty(url, blob_folder) as stores:

        async def send(owner: str) -> None:
            for number in range(15):
                picture = photo(str(number))
                await stores.pictures.add(owner, picture, b"bytes")
                assert await stores.pictures.data(picture) == b"bytes"
                await _let_go(stores, picture.image_id, owner)

        async def sweep_on() -> None:
            while True:
                await sweep(stores.pictures)
                await asyncio.sleep(0)

        sweeping = [asyncio.create_task(sweep_on()) for _ in range(2)]
        await asyncio.gather(*(send(f"owner-{number}") for number in range(4)))
        for task in sweeping:
            task.cancel()
        await asyncio.gather(*sweeping, return_exceptions=True)
        assert [sha256 async for sha256 in stores.pictures.hashes()] == []


async def test_what_a_crash_left_is_tidied(url: str, blob_folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.pictures.add(OWNER, photo("1"), b"used")
        assert await stores.pictures._blobs.set_aside("a" * 64)
        if blob_folder is not None:
            (blob_folder / "aa" / ".new-half").write_bytes(b"us")
        await sweep(stores.pictures)
        assert await stores.pictures._blobs.get("a" * 64) is None  # somebody may be at it
        assert blob_folder is None or len(blobs_in(blob_folder)) == 2
        monkeypatch.setattr("assistant.stores.blobs.LEFT_SECONDS", -1)
        await sweep(stores.pictures)
        assert await stores.pictures.data(photo("1")) == b"used"
        assert blob_folder is None or blobs_in(blob_folder) == {"a" * 64}


async def test_an_owner_may_keep_so_many_bytes(url: str, blob_folder: Path | None) -> None:
    client = connect(url)
    await client.flushall()
    async with open_stores(url, blob_folder, picture_quota=10) as stores:
        await stores.pictures.add(OWNER, photo("1"), bytes(6))
        await stores.pictures.check_room(OWNER, 4)
        with pytest.raises(LimitReached, match="Delete conversations"):
            await stores.pictures.check_room(OWNER, 5)
        with pytest.raises(LimitReached):
            await stores.pictures.add(OWNER, photo("2", "c"), bytes(5))
        await stores.pictures.check_room("eve", 10)
        await client.delete(keys.image(OWNER, "i_1"))  # it ran out of time
        await stores.pictures.check_room(OWNER, 10)
        await stores.pictures.add(OWNER, photo("2", "c"), bytes(10))
        await _let_go(stores, "i_2")
        assert await forgotten(stores) == [photo("2", "c").sha256]
        await stores.pictures.check_room(OWNER, 10)
    await client.aclose()


async def test_use_keeps_a_picture(url: str, blob_folder: Path | None) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.pictures.add(OWNER, photo("1"), b"bytes")
        await pictured(stores, "i_1")
        client = connect(url)
        names = [
            keys.image(OWNER, "i_1"),
            keys.used(OWNER, "i_1"),
            keys.users("a" * 64),
            keys.source(OWNER, photo().source_sha256),
            keys.sizes(OWNER),
        ]
        names += [keys.blob("a" * 64)] if blob_folder is None else []
        for name in names:
            await client.expire(name, 100)
        assert await stores.pictures.find(OWNER, photo().source_sha256) is not None
        assert min([await client.ttl(name) for name in names]) > 86400
        await client.aclose()


async def test_a_known_picture_is_found_without_reading_it(
    url: str, blob_folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _empty(url, blob_folder) as stores:
        blobs = stores.pictures._blobs
        assert not await blobs.exists("a" * 64)
        await stores.pictures.add(OWNER, photo("1"), b"bytes")
        assert await blobs.exists("a" * 64)

        async def no_reading(_: str) -> None:
            raise AssertionError("nobody asked for the bytes")

        monkeypatch.setattr(blobs, "get", no_reading)
        assert await stores.pictures.find(OWNER, photo().source_sha256) == photo("1")


async def test_a_picture_whose_bytes_are_gone_may_be_sent_again(url: str, blob_folder: Path | None) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.pictures.add(OWNER, photo("1"), b"bytes")
        name = await stores.pictures._blobs.set_aside("a" * 64)
        assert name is not None
        await stores.pictures._blobs.discard("a" * 64, name)
        assert await stores.pictures.find(OWNER, photo().source_sha256) is None


# --- Memories -------------------------------------------------------------------------------------------------------


def remembered(text: str = "our dog Rex", name: str = "k_1", day: int = 1) -> Memory:
    at = datetime(2026, 1, day, tzinfo=UTC)
    return Memory(memory_id=name, text=text, language="en", image_id="i_1", sha256="a" * 64, added_at=at)


async def test_what_an_owner_has_taught_is_kept_in_order_until_it_is_forgotten(stores: Stores) -> None:
    memories = stores.memories
    assert await memories.memories(OWNER) == []
    later, earlier = remembered("une théière 🫖", "k_2", day=2), remembered()
    assert await memories.add(OWNER, later) == 1
    assert await memories.add(OWNER, earlier) == 2
    assert await memories.memories(OWNER) == [earlier, later]
    await memories.learn(OWNER, "k_1", Style("e_1", b"\x00\xff made"))
    assert await memories.styles(OWNER) == {"k_1": Style("e_1", b"\x00\xff made")}
    assert await memories.remove(OWNER, ["k_1", "k_none"]) == 1
    assert await memories.remove(OWNER, []) == 0
    assert await memories.memories(OWNER) == [later]
    assert await memories.styles(OWNER) == {}


async def test_what_is_taught_again_is_looked_at_again(stores: Stores) -> None:
    await stores.memories.add(OWNER, remembered())
    await stores.memories.learn(OWNER, "k_1", Style("e_1", b"made"))
    assert await stores.memories.add(OWNER, remembered("our dog Bello")) == 1
    assert await stores.memories.styles(OWNER) == {}
    assert [memory.text for memory in await stores.memories.memories(OWNER)] == ["our dog Bello"]


async def test_what_was_forgotten_meanwhile_is_not_learnt(stores: Stores) -> None:
    await stores.memories.add(OWNER, remembered())
    await stores.memories.remove(OWNER, ["k_1"])
    await stores.memories.learn(OWNER, "k_1", Style("e_1", b"made"))
    assert await stores.memories.styles(OWNER) == {}


async def test_a_memory_is_its_owners(stores: Stores) -> None:
    await stores.memories.add(OWNER, remembered())
    await stores.memories.learn(OWNER, "k_1", Style("e_1", b"made"))
    assert await stores.memories.memories("eve") == []
    assert await stores.memories.styles("eve") == {}
    assert await stores.memories.remove("eve", ["k_1"]) == 0
    await stores.memories.learn("eve", "k_1", Style("e_1", b"a lie"))
    await stores.memories.add("eve", remembered("a lie"))
    assert [memory.text for memory in await stores.memories.memories(OWNER)] == ["our dog Rex"]
    assert await stores.memories.styles(OWNER) == {"k_1": Style("e_1", b"made")}


async def test_only_so_much_is_remembered(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories_module, "MOST_MEMORIES", 2)
    for name in ("k_1", "k_2"):
        await stores.memories.add(OWNER, remembered(name=name))
    with pytest.raises(LimitReached, match=r"2 pictures are remembered already, and no more are kept\. Forget"):
        await stores.memories.add(OWNER, remembered(name="k_3"))
    assert await stores.memories.add(OWNER, remembered("a cat", "k_2")) == 2, "taught again it takes no more room"
    assert await stores.memories.add("eve", remembered(name="k_3")) == 1


async def test_a_memory_has_an_end_that_each_use_puts_off(stores: Stores, url: str) -> None:
    await stores.memories.add(OWNER, remembered())
    await stores.memories.learn(OWNER, "k_1", Style("e_1", b"made"))
    client = connect(url)
    names = (keys.memory(OWNER), keys.styles(OWNER))
    for name in names:
        assert await client.ttl(name) > 0
        await client.expire(name, 60)
    await stores.memories.styles(OWNER)
    assert all([await client.ttl(name) > 60 for name in names])
    await client.aclose()


# --- Lists, titles, deletion ----------------------------------------------------------------------------------------


async def started(stores: Stores, text: str = "hello", owner: str = OWNER) -> str:
    """A session with one message."""
    session, _ = await stores.conversations.create(owner)
    await stores.conversations.submit(owner, session, submission(text))
    return session


async def listed(stores: Stores, limit: int = 100, before: str | None = None, owner: str = OWNER) -> list[str]:
    return [info.session_id for info in (await stores.conversations.sessions(owner, before, limit)).sessions]


async def every_key(url: str) -> set[str]:
    client = connect(url)
    names = {str(name) for name in await client.keys("*")}
    await client.aclose()
    return names


async def test_conversations_are_listed_by_their_last_message(stores: Stores) -> None:
    assert await listed(stores) == []
    before = datetime.now(UTC)
    first = await started(stores, "What is\n this?")
    second = await started(stores, "x" * 500)
    await stores.conversations.create(OWNER)  # nothing was said in it: it is in no list
    assert await listed(stores) == [second, first]
    await stores.conversations.submit(OWNER, first, submission("more", key="c-2"))
    newest, other = (await stores.conversations.sessions(OWNER, None, 10)).sessions
    assert (newest.session_id, newest.title, newest.messages) == (first, "What is this?", 2)
    assert before - timedelta(seconds=1) < newest.created_at <= newest.updated_at < before + timedelta(minutes=5)
    assert len(other.title) <= 60
    assert await listed(stores, owner="eve") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_of_a_list_join_without_gap_or_repetition(stores: Stores, limit: int) -> None:
    sessions = [await started(stores) for _ in range(7)]
    seen: list[str] = []
    before = None
    for _ in range(9):
        page = await stores.conversations.sessions(OWNER, before, limit)
        seen += [info.session_id for info in page.sessions]
        before = page.before
        if before is None:
            break
    assert seen == sessions[::-1]
    with pytest.raises(InvalidRequest) as caught:
        await stores.conversations.sessions(OWNER, "(1", limit)
    assert caught.value.code == "invalid_before"


async def test_what_has_expired_is_not_listed(stores: Stores, url: str) -> None:
    gone, kept = await started(stores), await started(stores)
    client = connect(url)
    await client.delete(keys.meta(gone))
    assert await listed(stores) == [kept]
    await client.zadd(keys.sessions(OWNER), {gone: 1_000_000})
    await listed(stores)
    assert await client.zrange(keys.sessions(OWNER), 0, -1) == [kept]
    await client.aclose()


@pytest.mark.parametrize("url", ["debian"], indirect=True)  # a cluster takes as many as it has nodes
async def test_a_list_takes_two_round_trips(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        await started(stores)
    trips = 0
    execute = Pipeline.execute

    async def counted(self: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal trips
        trips += 1
        return await execute(self, *arguments, **more)

    async def no_command(*_: Any, **__: Any) -> None:
        raise AssertionError("a command of its own is a round trip of its own")

    monkeypatch.setattr(Pipeline, "execute", counted)
    monkeypatch.setattr(Redis, "execute_command", no_command)
    assert len(await listed(stores)) == 5
    assert trips == 2


async def test_a_new_title_is_in_the_list_and_in_the_log(stores: Stores) -> None:
    session = await started(stores)
    await stores.conversations.rename(OWNER, session, "Le « chat » 🐈")
    await stores.conversations.submit(OWNER, session, submission("more", key="c-2"))
    [info] = (await stores.conversations.sessions(OWNER, None, 10)).sessions
    assert info.title == "Le « chat » 🐈"
    events = [read_event(entry.json).event for entry in await stores.conversations.read(session, 0)]
    assert SessionUpdated(title="Le « chat » 🐈") in events


async def test_a_deleted_conversation_leaves_no_key(stores: Stores, url: str) -> None:
    kept = await started(stores)
    first = await claimed(stores)
    await stores.queue.finish(first, reply(first, "one"), "completed")
    before = await every_key(url)
    session, _ = await stores.conversations.create(OWNER)
    for number in range(3):
        await stores.conversations.submit(OWNER, session, submission(key=f"c-{number}"))
    claim = await claimed(stores)
    await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text="x")])
    assert len(await every_key(url)) >= len(before) + 8
    await stores.conversations.delete(OWNER, session)
    assert await every_key(url) == before
    assert await listed(stores) == [kept]


async def test_jobs_of_a_deleted_conversation_are_run_by_nobody_and_go(stores: Stores, url: str) -> None:
    """One that a worker has, and one that waits for a worker."""
    client = connect(url)
    begun = await started(stores)
    await claimed(stores)
    waiting = await started(stores)
    for session in (begun, waiting):
        await stores.conversations.delete(OWNER, session)
    async with asyncio.timeout(5), _impatient(url) as queue:
        while await client.xlen(keys.JOBS):
            assert await queue.claim("w2", ENGINE, 0.05) is None
    assert (await client.xpending(keys.JOBS, keys.GROUP))["pending"] == 0
    assert not [name for name in await every_key(url) if begun in name or waiting in name]
    await client.aclose()


async def test_deletion_stops_a_running_turn_and_refuses_what_it_writes(stores: Stores, url: str) -> None:
    session = await started(stores)
    claim = await claimed(stores)
    async with asyncio.timeout(3), stores.queue.watch_cancel(claim) as bell:
        waiting = asyncio.create_task(bell.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await stores.conversations.delete(OWNER, session)
        await waiting
    before = await every_key(url)
    for write in (
        stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text="late")]),
        stores.queue.renew(claim),
        stores.queue.finish(claim, reply(claim, "late"), "completed"),
    ):
        with pytest.raises(LostClaim):
            await write
    await stores.conversations.keep_summary(OWNER, session, Summary(until="m_1", text="late"))
    assert await every_key(url) == before


async def test_whoever_follows_a_deleted_conversation_is_told(stores: Stores) -> None:
    session = await started(stores)
    async with asyncio.timeout(3), stores.conversations.watch(session) as bell:
        await bell.wait()
        await asyncio.sleep(0.05)  # the confirmation of the subscription may ring once more
        waiting = asyncio.create_task(bell.wait())
        await stores.conversations.delete(OWNER, session)
        await waiting
    with pytest.raises(NotFound):
        await stores.conversations.read(session, 0)


async def test_strangers_can_neither_rename_nor_delete(stores: Stores) -> None:
    session = await started(stores)
    told = set()
    for owner, name in (("eve", session), (OWNER, "s_none")):
        for attempt in (
            stores.conversations.rename(owner, name, "mine"),
            stores.conversations.delete(owner, name),
            stores.conversations.head(owner, name),
        ):
            with pytest.raises(NotFound) as caught:
                await attempt
            told.add((caught.value.code, caught.value.message))
    assert len(told) == 1, "a stranger can tell a session that is another's from one that is not there"
    [info] = (await stores.conversations.sessions(OWNER, None, 10)).sessions
    assert info.title == "hello"


def photo(name: str = "1", content: str = "a") -> StoredPicture:
    return StoredPicture(f"i_{name}", content * 64, name * 64, 3, 2, resized=False)


def blobs_in(folder: Path | None) -> set[str]:
    return {path.name for path in folder.glob("*/*")} if folder and folder.exists() else set()


async def pictured(stores: Stores, *image_ids: str, owner: str = OWNER) -> str:
    """A session with a message that has pictures, submitted as clients submit."""
    session, _ = await stores.conversations.create(owner)
    await Submissions(stores.conversations, stores.pictures, {}, Limits(stores.limits, UNLIMITED)).accept(
        owner, session, client_message_id="c-1", text="", image_ids=image_ids, tool=None, options=TurnOptions()
    )
    return session


async def delete(stores: Stores, session_id: str, owner: str = OWNER) -> None:
    limits = Limits(stores.limits, UNLIMITED)
    await Sessions(stores.conversations, stores.pictures, stores.memories, limits).delete(owner, session_id)


async def test_after_deletion_no_key_and_no_blob_is_left(url: str, blob_folder: Path | None) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.queue.claim("w1", ENGINE, 0.01)  # the queue itself is there before and after
        before = await every_key(url), blobs_in(blob_folder)
        for picture, data in ((photo("1", "a"), b"one"), (photo("2", "b"), b"two")):
            await stores.pictures.add(OWNER, picture, data)
        session = await pictured(stores, "i_1", "i_2")
        claim = await claimed(stores)
        await stores.queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text="x")])
        await stores.queue.finish(claim, reply(claim, "x"), "completed")
        await stores.conversations.rename(OWNER, session, "Two pictures")
        await delete(stores, session)
        assert sorted(await forgotten(stores)) == ["a" * 64, "b" * 64]
        assert (await every_key(url) - {keys.FORGOTTEN}, blobs_in(blob_folder)) == before
        for picture in (photo("1", "a"), photo("2", "b")):
            with pytest.raises(NotFound):
                await stores.pictures.data(picture)


async def test_a_deleted_conversation_gives_back_what_it_did_not_take(stores: Stores) -> None:
    """One turn runs and two wait; all of them stop counting, and only what may have been generated is kept."""
    allowed = Allowances({"turns": Allowance(10, 1e6), "tokens": Allowance(1000, 1e6)}, turns_at_once=3)
    limits = Limits(stores.limits, allowed)
    submissions = Submissions(stores.conversations, stores.pictures, {}, limits)
    session, _ = await stores.conversations.create(OWNER)

    async def send(name: str, session_id: str) -> None:
        await submissions.accept(
            OWNER,
            session_id,
            client_message_id=name,
            text="hello",
            image_ids=(),
            tool=None,
            options=TurnOptions(max_tokens=100),
        )

    for name in ("c-1", "c-2", "c-3"):
        await send(name, session)
    claim = await claimed(stores)
    other, _ = await stores.conversations.create(OWNER)
    with pytest.raises(LimitReached):
        await send("c-4", other)
    await Sessions(stores.conversations, stores.pictures, stores.memories, limits).delete(OWNER, session)
    assert (await limits.standing(OWNER)).remaining == {"turns": 9, "tokens": 900}
    await stores.limits.settle(OWNER, claim.turn_id, 5)  # its worker comes late
    assert (await limits.standing(OWNER)).remaining == {"turns": 9, "tokens": 900}
    for name in ("c-4", "c-5", "c-6"):  # nobody has claimed the first of them
        await send(name, other)
    await Sessions(stores.conversations, stores.pictures, stores.memories, limits).delete(OWNER, other)
    assert (await limits.standing(OWNER)).remaining == {"turns": 9, "tokens": 900}


async def test_what_was_accepted_before_is_queued_again(stores: Stores, url: str) -> None:
    """Asked without sending it again: a job that was lost is there again, and a stranger learns nothing."""
    session = await started(stores)
    sent = submission()
    client = connect(url)
    await client.delete(keys.JOBS)
    await client.aclose()
    with pytest.raises(NotFound):
        await stores.conversations.accepted("eve", session, sent)
    with pytest.raises(Conflict):
        await stores.conversations.accepted(OWNER, session, submission("other"))
    assert await stores.conversations.accepted(OWNER, session, submission(key="c-9")) is None
    before = await stores.conversations.accepted(OWNER, session, sent)
    assert before is not None
    assert before.duplicate
    assert (await claimed(stores)).turn_id == before.turn_id


async def test_a_picture_stays_while_anything_of_its_owner_needs_it(url: str, blob_folder: Path | None) -> None:
    async with _empty(url, blob_folder) as stores:
        await stores.pictures.add(OWNER, photo(), b"one")
        first, second = await pictured(stores, "i_1"), await pictured(stores, "i_1")
        await stores.memories.add(OWNER, remembered())
        await delete(stores, first)
        assert await stores.pictures.data(await stores.pictures.get(OWNER, "i_1")) == b"one"
        await stores.memories.remove(OWNER, ["k_1"])
        await delete(stores, second)
        with pytest.raises(NotFound):
            await stores.pictures.get(OWNER, "i_1")
        assert await stores.pictures.find(OWNER, photo().source_sha256) is None
        await stores.pictures.add(OWNER, photo(), b"one")
        third = await pictured(stores, "i_1")
        await stores.memories.add(OWNER, remembered())
        await delete(stores, third)
        assert await stores.pictures.get(OWNER, "i_1"), "what was taught is shown with its picture"


async def test_bytes_stay_while_another_owner_has_them(url: str, blob_folder: Path | None) -> None:
    async with _empty(url, blob_folder) as stores:
        for owner in (OWNER, "eve"):
            await stores.pictures.add(owner, photo(), b"one")
        mine, hers = await pictured(stores, "i_1"), await pictured(stores, "i_1", owner="eve")
        await delete(stores, mine)
        assert await stores.pictures.data(await stores.pictures.get("eve", "i_1")) == b"one"
        with pytest.raises(NotFound):
            await stores.pictures.get(OWNER, "i_1")
        await delete(stores, hers, "eve")
        assert blobs_in(blob_folder) == set()
        with pytest.raises(NotFound):
            await stores.pictures.data(photo())


async def test_a_conversation_that_expired_keeps_no_picture(stores: Stores, url: str) -> None:
    await stores.pictures.add(OWNER, photo(), b"one")
    expired, session = await pictured(stores, "i_1"), await pictured(stores, "i_1")
    client = connect(url)
    await client.delete(keys.meta(expired))
    await client.aclose()
    await stores.pictures.release(OWNER, session)
    assert await forgotten(stores) == [photo().sha256]


async def test_a_stranger_deletes_nothing(stores: Stores, url: str) -> None:
    await stores.pictures.add(OWNER, photo(), b"one")
    session = await pictured(stores, "i_1")
    before = await every_key(url)
    with pytest.raises(NotFound):
        await delete(stores, session, "eve")
    with pytest.raises(NotFound):
        await stores.pictures.use("eve", session, ["i_1"])
    await stores.pictures.release("eve", session)
    assert await every_key(url) == before


async def test_a_failed_delivery_keeps_nothing(stores: Stores, url: str) -> None:
    await stores.pictures.add("eve", photo(), b"one")
    session = await started(stores)
    before = await every_key(url)
    with pytest.raises(NotFound):
        await Submissions(stores.conversations, stores.pictures, {}, Limits(stores.limits, UNLIMITED)).accept(
            "eve", session, client_message_id="c", text="", image_ids=("i_1",), tool=None, options=TurnOptions()
        )
    assert await every_key(url) == before


# --- Branches -------------------------------------------------------------------------------------------------------


async def answered(stores: Stores, text: str) -> Claim:
    """Whatever is asked next, answered."""
    claim = await claimed(stores)
    await stores.queue.finish(claim, reply(claim, text), "completed")
    return claim


async def said_in(stores: Stores, session: str) -> list[str]:
    return [message.text for message in newest_branch(await stores.conversations.messages(session))]


async def test_a_message_follows_the_newest_answer_even_before_that_came(stores: Stores) -> None:
    session = await started(stores, "one")
    await stores.conversations.submit(OWNER, session, submission("two", key="c-2"))
    await answered(stores, "first")
    second = await claimed(stores)
    path = path_to(second.message_id, await stores.conversations.messages(session))
    assert [message.text for message in path] == ["one", "first", "two"]
    assert [message.parent for message in path] == [None, *(message.message_id for message in path[:-1])]


async def test_a_message_may_follow_any_other_or_none(stores: Stores) -> None:
    session = await started(stores, "one")
    first = await answered(stores, "first")
    await stores.conversations.submit(OWNER, session, submission("two", key="c-2"))
    await answered(stores, "second")
    parent = answer_id(first.message_id, first.turn_id)
    edit = submission("deux", key="c-3", parent=parent)
    assert not (await stores.conversations.submit(OWNER, session, edit)).duplicate
    assert (await stores.conversations.submit(OWNER, session, edit)).duplicate
    with pytest.raises(Conflict):
        await stores.conversations.submit(OWNER, session, submission("deux", key="c-3"))
    await answered(stores, "deuxième")
    assert await said_in(stores, session) == ["one", "first", "deux", "deuxième"]
    await stores.conversations.submit(OWNER, session, submission("trois", key="c-4"))
    await answered(stores, "troisième")
    assert await said_in(stores, session) == ["one", "first", "deux", "deuxième", "trois", "troisième"]
    await stores.conversations.submit(OWNER, session, submission("uno", key="c-5", parent="root"))
    assert await said_in(stores, session) == ["uno"]


async def test_a_message_may_name_an_answer_that_is_on_its_way_or_never_comes(stores: Stores) -> None:
    session = await started(stores, "one")
    waiting = await stores.conversations.submit(OWNER, session, submission("two", key="c-2", parent="root"))
    running = await claimed(stores)
    first, second = answer_id(running.message_id, running.turn_id), answer_id(waiting.message_id, waiting.turn_id)
    await stores.conversations.submit(OWNER, session, submission("three", key="c-3", parent=first))
    await stores.conversations.submit(OWNER, session, submission("four", key="c-4", parent=second))
    await stores.queue.finish(running, reply(running, "first"), "completed")
    claim = await claimed(stores)
    await stores.queue.finish(claim, [TurnFinished(turn_id=claim.turn_id, status="failed")], "failed")
    await stores.conversations.submit(OWNER, session, submission("five", key="c-5", parent=second))
    messages = await stores.conversations.messages(session)
    paths = [[m.text for m in path_to(message.message_id, messages)] for message in messages if message.role == "user"]
    assert paths == [["one"], ["two"], ["one", "first", "three"], ["two", "four"], ["two", "five"]]


async def test_no_message_follows_one_that_is_not_there(stores: Stores) -> None:
    session, other = await started(stores, "one"), await started(stores, "two")
    accepted = await stores.conversations.submit(OWNER, session, submission("more", key="c-2"))
    there = await stores.conversations.submit(OWNER, other, submission("more", key="c-2"))
    head = await stores.conversations.head(OWNER, session)
    unknown = ("m_none", accepted.turn_id, answer_id(accepted.message_id, there.turn_id), there.message_id)
    for field in ("parent", "regenerates"):
        for name in unknown:
            with pytest.raises(NotFound, match="Name one by the id") as refused:
                await stores.conversations.submit(OWNER, session, submission("x", key="c-3", **{field: name}))
            assert refused.value.code == "message_not_found"
    assert await stores.conversations.head(OWNER, session) == head


async def test_a_message_is_answered_again_as_a_turn_of_its_own(stores: Stores, url: str) -> None:
    session = await started(stores, "one")
    first = await answered(stores, "first")
    again = submission("", key="c-2", regenerates=first.message_id)
    accepted = await stores.conversations.submit(OWNER, session, again)
    assert (accepted.message_id, accepted.duplicate) == (first.message_id, False)
    repeated = await stores.conversations.submit(OWNER, session, again)
    assert (repeated.turn_id, repeated.message_id, repeated.duplicate) == (accepted.turn_id, first.message_id, True)
    claim = await answered(stores, "other")
    assert (claim.turn_id, claim.message_id) == (accepted.turn_id, first.message_id)
    assert await said_in(stores, session) == ["one", "other"]
    events = [read_event(entry.json).event for entry in await stores.conversations.read(session, 0)]
    starts = [event.message_id for event in events if isinstance(event, TurnStarted)]
    assert starts == [first.message_id, first.message_id]
    await stores.conversations.submit(OWNER, session, submission("two", key="c-3"))
    assert await said_in(stores, session) == ["one", "other", "two"]
    [info] = (await stores.conversations.sessions(OWNER, None, 10)).sessions
    assert info.messages == 4
    before = {name for name in await every_key(url) if session in name}
    await stores.conversations.delete(OWNER, session)
    assert before
    assert not {name for name in await every_key(url) if session in name}
