"""From bucket to bucket: what is copied and moved, what is refused, and what happens when the source changes meanwhile.

Every test runs twice: the storage copies by itself, and the bytes pass through us.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neuro_sdk import (
    BlobChanged,
    Bucket,
    Conflict,
    IllegalArgumentError,
    IntegrityError,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
    TransferError,
)
from neuro_sdk._concurrency import Budget
from neuro_sdk._stores.base import BlobInfo, BlobStore, Buffer
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._transfer.copy import End, copy_blob, copy_dir
from tests.sdk.transfers.helpers import BUCKET, MIB, Interfering, Recorder, blobs

OTHER = Bucket(
    "other", "me", "here", None, Bucket.Provider.MEMORY, datetime(2026, 1, 1, tzinfo=UTC), False, name="other"
)


async def cannot(source: BlobStore, info: BlobInfo, key: str) -> bool:
    return False


@pytest.fixture(params=["by the storage", "through us"])
def by_storage(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "by the storage")


@pytest.fixture
def store(request: pytest.FixtureRequest, by_storage: bool, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    store = MemoryStore(request.node.nodeid)
    if not by_storage:
        monkeypatch.setattr(store, "copy", cannot)
    return store


@pytest.fixture
def other(request: pytest.FixtureRequest, by_storage: bool, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    store = MemoryStore(f"{request.node.nodeid} other")
    if not by_storage:
        monkeypatch.setattr(store, "copy", cannot)
    return store


async def one(store: MemoryStore, key: str, other: MemoryStore, to: str, *, move: bool = False, **options: Any) -> None:
    target = BUCKET if other is store else OTHER
    options = {"update": False, "progress": None, "budget": Budget(MIB), "move": move, **options}
    await copy_blob(End(BUCKET, store, key), End(target, other, to), **options)


async def tree(
    store: MemoryStore, key: str, other: MemoryStore, to: str, *, move: bool = False, **options: Any
) -> None:
    target = BUCKET if other is store else OTHER
    options = {"update": False, "progress": None, "wanted": None, "budget": Budget(MIB), "move": move, **options}
    await copy_dir(End(BUCKET, store, key), End(target, other, to), **options)


@pytest.fixture
async def full(store: MemoryStore) -> MemoryStore:
    """A bucket with all kinds of keys, most of them in `dir`."""
    for key in [
        "dir/a",
        "dir/sub/b",
        "dir/sub/deep/c",
        "dir//odd",
        "dir/ %+?#[1] é",
        "dir/../up",
        "dir/empty/",
        "dirt",
        "else",
    ]:
        await store.put(key, b"" if key.endswith("/") else key.encode() * 1000)
    return store


@pytest.mark.parametrize("size", [0, 5, 3 * MIB, 33 * MIB])
async def test_a_blob_is_copied(store: MemoryStore, other: MemoryStore, size: int) -> None:
    body = os.urandom(size)
    await store.put("from", body)
    await one(store, "from", store, "to")
    await one(store, "from", other, "a//b/../c")
    assert blobs(store) == {"from": body, "to": body}
    assert blobs(other) == {"a//b/../c": body}


async def test_a_blob_is_moved(store: MemoryStore, other: MemoryStore) -> None:
    await store.put("from", b"body")
    await one(store, "from", store, "to", move=True)
    assert blobs(store) == {"to": b"body"}
    await one(store, "to", other, "to", move=True)
    assert (blobs(store), blobs(other)) == ({}, {"to": b"body"})


@pytest.mark.parametrize("move", [False, True])
async def test_a_blob_onto_itself_is_refused_and_stays(store: MemoryStore, move: bool) -> None:
    await store.put("key", b"body")
    with pytest.raises(IllegalArgumentError, match="key"):
        await one(store, "key", store, "key", move=move)
    assert blobs(store) == {"key": b"body"}


@pytest.mark.parametrize("move", [False, True])
async def test_what_is_no_single_blob_is_refused(full: MemoryStore, other: MemoryStore, move: bool) -> None:
    before = blobs(full)
    with pytest.raises(FileNotFoundError, match="No such blob"):
        await one(full, "missing", other, "to", move=move)
    for key in ("dir", "dir/", ""):
        with pytest.raises(IsADirectoryError):
            await one(full, key, other, "to", move=move)
        with pytest.raises(IsADirectoryError):
            await one(full, "else", full, key, move=move)
    assert (blobs(full), blobs(other)) == (before, {})


async def test_a_blob_that_is_newer_there_stays_with_update(store: MemoryStore, other: MemoryStore) -> None:
    await other.put("key", b"theirs")
    await store.put("key", b"ours")
    age(store, "key")
    await one(store, "key", other, "key", update=True)
    assert blobs(other) == {"key": b"theirs"}
    age(other, "key", hours=2)
    await one(store, "key", other, "key", update=True)
    assert blobs(other) == {"key": b"ours"}


def age(store: MemoryStore, key: str, hours: int = 1) -> None:
    info, body = store._bucket.blobs[key]
    store._bucket.blobs[key] = info._replace(modified_at=datetime.now(UTC) - timedelta(hours=hours)), body


async def test_a_directory_is_copied_key_by_key(full: MemoryStore, other: MemoryStore) -> None:
    await tree(full, "dir", other, "to/here")
    expected = {f"to/here/{key[4:]}": body for key, body in blobs(full).items() if key.startswith("dir/")}
    assert blobs(other) == expected
    assert len(expected) == 7


async def test_a_bucket_is_copied_into_a_bucket(full: MemoryStore, other: MemoryStore) -> None:
    await tree(full, "", other, "")
    assert blobs(other) == blobs(full)


async def test_a_directory_is_moved_key_by_key_and_what_is_beside_it_stays(
    full: MemoryStore, other: MemoryStore
) -> None:
    before = blobs(full)
    await tree(full, "dir/", other, "", move=True)
    assert blobs(other) == {key[4:]: body for key, body in before.items() if key.startswith("dir/")}
    assert blobs(full) == {key: before[key] for key in ("dirt", "else")}


async def test_a_directory_is_renamed(full: MemoryStore) -> None:
    before = blobs(full)
    await tree(full, "dir", full, "dirt2", move=True)
    assert blobs(full) == {key.replace("dir/", "dirt2/"): body for key, body in before.items()}


async def test_the_marker_of_a_directory_goes_with_it(store: MemoryStore, other: MemoryStore) -> None:
    await store.put("dir/", b"")
    await tree(store, "dir", other, "to")
    assert blobs(other) == {"to/": b""}
    await tree(store, "dir", other, "", move=True)  # a bucket has none
    assert (blobs(store), blobs(other)) == ({}, {"to/": b""})


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize(("key", "to"), [("dir", "dir"), ("dir", "dir/sub"), ("", ""), ("", "dir"), ("dir/", "dir//x")])
async def test_a_directory_into_itself_is_refused_and_nothing_is_lost(
    full: MemoryStore, key: str, to: str, move: bool
) -> None:
    before = blobs(full)
    with pytest.raises(IllegalArgumentError, match="into itself"):
        await tree(full, key, full, to, move=move)
    assert blobs(full) == before


async def test_a_directory_is_moved_up_and_what_would_land_in_it_stays(store: MemoryStore) -> None:
    for key in ("a/x", "a/a/y", "a/b/z"):
        await store.put(key, key.encode())
    with pytest.raises(TransferError, match="1 blobs") as caught:
        await tree(store, "a", store, "", move=True)
    assert "a/a/y" in str(caught.value)
    assert blobs(store) == {"x": b"a/x", "a/a/y": b"a/a/y", "b/z": b"a/b/z"}


async def test_what_is_no_directory_is_refused(full: MemoryStore, other: MemoryStore) -> None:
    with pytest.raises(FileNotFoundError):
        await tree(full, "missing", other, "")
    with pytest.raises(NotADirectoryError):
        await tree(full, "else", other, "")
    await other.put("file", b"x")
    with pytest.raises(NotADirectoryError):
        await tree(full, "dir", other, "file")
    assert blobs(other) == {"file": b"x"}
    await tree(other, "", full, "")  # an empty source would be refused, and a bucket is none
    await tree(MemoryStore("nothing in here"), "", other, "")


async def test_a_filter_is_asked_as_of_a_download(full: MemoryStore, other: MemoryStore) -> None:
    asked: list[str] = []

    async def wanted(path: str) -> bool:
        asked.append(path)
        return path not in {"sub/deep/", "a"}

    before = blobs(full)
    await tree(full, "dir", other, "", wanted=wanted, move=True)
    left = {"dir/a", "dir/sub/deep/c"}
    assert blobs(full) == {key: before[key] for key in (*left, "dirt", "else")}
    assert sorted(asked) == sorted(
        ["a", "sub/", "sub/b", "sub/deep/", "/", "/odd", " %+?#[1] é", "../", "../up", "empty/"]
    )


async def test_an_update_copies_what_is_new_and_what_is_not_there(full: MemoryStore, other: MemoryStore) -> None:
    await tree(full, "dir", other, "to")
    await other.delete("to/sub/b")
    await other.put("to/a", b"theirs, and newer")
    await other.put("to/sub/deep/c", b"theirs, and older")
    for key in blobs(full):
        age(full, key)
    age(other, "to/sub/deep/c", hours=2)
    seen = Recorder()
    await tree(full, "dir", other, "to", update=True, progress=seen)
    assert sorted(event.dst.path for event in seen.of(StorageProgressComplete)) == [
        "/me/other/to/sub/b",
        "/me/other/to/sub/deep/c",
    ]
    assert blobs(other)["to/a"] == b"theirs, and newer"


async def test_a_source_that_changes_is_copied_as_it_is_then(store: MemoryStore, other: MemoryStore) -> None:
    await store.put("dir/key", b"old" * MIB)
    info = await store.head("dir/key")
    await store.put("dir/key", b"new")
    changed_since_it_was_listed(store, info)
    await tree(store, "dir", other, "dir")
    assert blobs(other) == {"dir/key": b"new"}


def changed_since_it_was_listed(store: MemoryStore, *infos: BlobInfo) -> None:
    """The listing of this store shows what was there before."""
    from neuro_sdk._stores.base import Page

    async def listed(prefix: str = "", **_: object) -> AsyncIterator[Page]:
        yield Page(infos, [])

    store.list = listed  # type: ignore[method-assign,assignment]


async def test_a_source_that_goes_is_told_of_and_all_else_is_copied(store: MemoryStore, other: MemoryStore) -> None:
    await store.put("dir/gone", b"x")
    await store.put("dir/kept", b"y")
    infos = [await store.head("dir/gone"), await store.head("dir/kept")]
    await store.delete("dir/gone")
    changed_since_it_was_listed(store, *infos)
    seen = Recorder()
    with pytest.raises(TransferError, match="dir/gone"):
        await tree(store, "dir", other, "dir", progress=seen)
    assert blobs(other) == {"dir/kept": b"y"}
    assert [event.src.name for event in seen.of(StorageProgressFail)] == ["gone"]


async def test_a_source_that_changes_after_it_was_copied_is_not_removed(
    store: MemoryStore, other: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put("from", b"old")
    copy, put = other.copy, other.put

    async def copying(source: BlobStore, info: BlobInfo, key: str) -> bool:
        done = await copy(source, info, key)
        if done:
            await store.put("from", b"new")
        return done

    async def putting(key: str, body: Buffer, **options: Any) -> None:
        await put(key, body, **options)
        await store.put("from", b"new")

    monkeypatch.setattr(other, "copy", copying)
    monkeypatch.setattr(other, "put", putting)
    with pytest.raises(BlobChanged, match="was not removed"):
        await one(store, "from", other, "to", move=True)
    assert (blobs(store), blobs(other)) == ({"from": b"new"}, {"to": b"old"})


async def test_a_bucket_that_is_known_twice_loses_nothing_in_a_move(store: MemoryStore) -> None:
    await store.put("key", b"body")
    twice = Bucket("twice", "me", "here", None, Bucket.Provider.MEMORY, BUCKET.created_at, True, name="twice")
    with pytest.raises((Conflict, BlobChanged), match="not removed"):
        await copy_blob(
            End(BUCKET, store, "key"),
            End(twice, store, "key"),
            update=False,
            progress=None,
            budget=Budget(MIB),
            move=True,
        )
    assert blobs(store) == {"key": b"body"}


async def test_a_key_that_the_destination_does_not_keep_is_told_of(
    full: MemoryStore, other: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TransferError) as caught:
        await tree(full, "", other, "k" * 1016, move=True)
    assert all("1024 is the most" in line for line in caught.value.failures)
    assert len(caught.value.failures) == 6
    left = {key for key in blobs(full) if len(key.encode()) > 7}
    assert blobs(full).keys() == left
    assert len(left) == 6


async def test_events_come_in_order_with_exact_sizes(full: MemoryStore, other: MemoryStore) -> None:
    seen = Recorder()
    before = blobs(full)
    await tree(full, "dir", other, "to", progress=seen, move=True)
    files = {key: body for key, body in before.items() if key.startswith("dir/")}
    assert len(seen.of(StorageProgressComplete)) == len(files)
    for done in seen.of(StorageProgressComplete):
        mine = [event for event in seen.events if event.src == done.src and hasattr(event, "size")]
        assert isinstance(mine[0], StorageProgressStart)
        assert mine[-1] is done
        assert all(isinstance(event, StorageProgressStep) for event in mine[1:-1])
        key = BUCKET.get_key_for_uri(done.src)
        assert done.size == len(files[key])
        assert OTHER.get_key_for_uri(done.dst) == f"to/{key[4:]}"
    entered = [BUCKET.get_key_for_uri(event.src) for event in seen.of(StorageProgressEnterDir)]
    left = [BUCKET.get_key_for_uri(event.src) for event in seen.of(StorageProgressLeaveDir)]
    assert entered[0] == left[-1] == "dir"
    assert sorted(entered) == sorted(left) == sorted(["dir", "dir/", "dir/..", "dir/sub", "dir/sub/deep", "dir/empty"])


class TestThroughUs:
    """What is only so when the bytes pass through here."""

    @pytest.fixture
    def by_storage(self) -> bool:
        return False

    @pytest.mark.parametrize("size", [MIB, 20 * MIB])
    async def test_a_source_that_changes_while_it_is_read_never_gives_a_mix(
        self, store: MemoryStore, other: MemoryStore, size: int
    ) -> None:
        await store.put("from", b"1" * size)
        Interfering(store, lambda reads: store.put("from", b"2" * size) if reads == 1 else None)
        await one(store, "from", other, "to")
        assert set(blobs(other)["to"]) in ({ord("1")}, {ord("2")})

    async def test_what_arrives_otherwise_than_it_was_sent_is_refused_and_stays_where_it_was(
        self, store: MemoryStore, other: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put = other.put

        async def losing(key: str, body: Buffer, **options: Any) -> None:
            await put(key, bytes(body)[:-1], **options)

        await store.put("from", b"body")
        monkeypatch.setattr(other, "put", losing)
        with pytest.raises(IntegrityError, match="3 bytes, not 4"):
            await one(store, "from", other, "to", move=True)
        assert blobs(store) == {"from": b"body"}

    async def test_a_cancelled_copy_leaves_the_old_blob(self, store: MemoryStore, other: MemoryStore) -> None:
        await store.put("from", bytes(20 * MIB))
        await other.put("to", b"old")
        stalled, forever = asyncio.Event(), asyncio.Event()

        async def stall(_reads: int) -> None:
            stalled.set()
            await forever.wait()

        Interfering(store, stall)
        task = asyncio.create_task(one(store, "from", other, "to", move=True))
        await stalled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert blobs(other) == {"to": b"old"}
        assert (await store.head("from")).size == 20 * MIB

    async def test_the_bytes_that_pass_are_bounded_over_all_copies(
        self, store: MemoryStore, other: MemoryStore
    ) -> None:
        for number in range(40):
            await store.put(f"dir/{number}", bytes(MIB))
        reading = most = 0

        async def begin(_reads: int) -> None:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0.005)
            reading -= 1

        Interfering(store, begin)
        budget = Budget(4 * MIB)
        await asyncio.gather(*(tree(store, "dir", other, f"to{number}", budget=budget) for number in range(2)))
        assert most == 4
        assert len(blobs(other)) == 80
