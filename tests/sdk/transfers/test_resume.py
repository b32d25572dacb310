"""Transfers that were cut short and are run again: what goes on, what begins anew, what is swept."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    ServerNotAvailable,
    StorageProgressStep,
)
from neuro_sdk._stores.base import Buffer, Part
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._transfer.journal import Journal
from tests.sdk.transfers.helpers import (
    MIB,
    Interfering,
    Recorder,
    blobs,
    down_one,
    tree,
    up,
    up_one,
)


async def test_continuing_fetches_only_what_is_missing(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    body = os.urandom(100 * MIB)
    await store.put("key", body)
    reads: list[tuple[int, int]] = []

    def fail(number: int) -> None:
        if number > 4:
            raise ServerNotAvailable("gone")

    Interfering(store, fail)
    with pytest.raises(ServerNotAvailable):
        await down_one(store, dst / "key", continue_=True)
    assert not (dst / "key").exists()
    again = MemoryStore(store._name)
    original = again.get

    def get(key: str, **options: Any) -> Any:
        reads.append((options["start"], options["stop"]))
        return original(key, **options)

    again.get = get  # type: ignore[method-assign]
    seen = Recorder()
    await down_one(again, dst / "key", continue_=True, progress=seen)
    assert (dst / "key").read_bytes() == body
    assert 0 < len(reads) < 7
    assert seen.of(StorageProgressStep)[0].current > 100 * MIB - sum(stop - start for start, stop in reads)
    assert set(tree(dst)) == {"key"}


async def test_continuing_never_mixes_two_blobs(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    await store.put("key", os.urandom(100 * MIB))

    def fail(number: int) -> None:
        if number > 4:
            raise ServerNotAvailable("gone")

    Interfering(store, fail)
    with pytest.raises(ServerNotAvailable):
        await down_one(store, dst / "key", continue_=True)
    body = os.urandom(100 * MIB)
    again = MemoryStore(store._name)
    await again.put("key", body)
    await down_one(again, dst / "key", continue_=True)
    assert (dst / "key").read_bytes() == body
    assert set(tree(dst)) == {"key"}


class _Killed(MemoryStore):
    """A store whose uploads break after some parts, as if the process had been killed: nothing is cleaned up."""

    def __init__(self, name: str, parts: int) -> None:
        super().__init__(name)
        self._left = parts

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        self._left -= 1
        if self._left < 0:
            raise ServerNotAvailable("killed")
        return await super().put_part(key, upload_id, number, body)

    async def abort(self, key: str, upload_id: str) -> None:
        raise ServerNotAvailable("killed")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(100 * MIB))
    return file


async def test_a_killed_upload_is_resumed_with_what_is_missing(large: Path, tmp_path: Path, store: MemoryStore) -> None:
    journal = Journal(tmp_path / "journal")
    with pytest.raises(ServerNotAvailable):
        await up_one(large, _Killed(store._name, 3), journal=journal)
    sent: list[int] = []
    put_part = store.put_part

    async def counting(key: str, upload_id: str, number: int, body: Buffer) -> Part:
        sent.append(number)
        return await put_part(key, upload_id, number, body)

    store.put_part = counting  # type: ignore[method-assign]
    seen = Recorder()
    await up_one(large, store, journal=journal, progress=seen)
    assert len(sent) == 7 - 3
    assert blobs(store) == {"key": large.read_bytes()}
    assert store._bucket.uploads == {}
    assert list((tmp_path / "journal").iterdir()) == []
    assert seen.of(StorageProgressStep)[-1].current == 100 * MIB


async def test_a_killed_upload_of_a_file_that_changed_is_begun_anew(
    large: Path, tmp_path: Path, store: MemoryStore
) -> None:
    journal = Journal(tmp_path / "journal")
    with pytest.raises(ServerNotAvailable):
        await up_one(large, _Killed(store._name, 3), journal=journal)
    large.write_bytes(os.urandom(100 * MIB))
    await up_one(large, store, journal=journal)
    assert blobs(store) == {"key": large.read_bytes()}
    assert store._bucket.uploads == {}


async def test_what_a_killed_upload_left_is_removed_by_the_next_one_to_that_bucket(
    large: Path, src: Path, tmp_path: Path, store: MemoryStore
) -> None:
    journal = Journal(tmp_path / "journal")
    with pytest.raises(ServerNotAvailable):
        await up_one(large, _Killed(store._name, 3), journal=journal)
    assert len(store._bucket.uploads) == 1
    await up(src, store, journal=journal)
    assert store._bucket.uploads == {}
    assert list((tmp_path / "journal").iterdir()) == []


async def test_an_upload_that_was_killed_while_it_was_begun_is_removed_by_the_next_one(
    large: Path, src: Path, tmp_path: Path, store: MemoryStore
) -> None:
    journal = Journal(tmp_path / "journal")
    begin = store.begin

    async def killed(key: str) -> str:
        await begin(key)
        raise ServerNotAvailable("killed before the answer came")

    store.begin = killed  # type: ignore[method-assign]
    with pytest.raises(ServerNotAvailable):
        await up_one(large, store, journal=journal)
    assert len(store._bucket.uploads) == 1
    assert len(list((tmp_path / "journal").iterdir())) == 1
    store.begin = begin  # type: ignore[method-assign]
    foreign = await store.begin("another key")
    await up(src, store, journal=journal)
    assert list(store._bucket.uploads) == [foreign]
    assert list((tmp_path / "journal").iterdir()) == []


async def test_an_upload_that_is_under_way_is_nobody_elses(
    large: Path, src: Path, tmp_path: Path, store: MemoryStore
) -> None:
    journal = Journal(tmp_path / "journal")
    reached, go_on = asyncio.Event(), asyncio.Event()
    put_part = store.put_part

    async def waiting(key: str, upload_id: str, number: int, body: Buffer) -> Part:
        reached.set()
        await go_on.wait()
        return await put_part(key, upload_id, number, body)

    store.put_part = waiting  # type: ignore[method-assign]
    task = asyncio.create_task(up_one(large, store, journal=journal))
    await reached.wait()
    await up(src, store, journal=journal)
    assert len(store._bucket.uploads) == 1
    go_on.set()
    await task
    assert blobs(store)["key"] == large.read_bytes()


async def test_a_journal_that_cannot_be_written_or_read_stops_no_upload(
    large: Path, tmp_path: Path, store: MemoryStore
) -> None:
    directory = tmp_path / "journal"
    directory.mkdir()
    (directory / "broken.json").write_text("{")
    await up_one(large, store, journal=Journal(directory))
    await up_one(large, store, "other", journal=Journal(Path("/dev/null/nowhere")))
    assert set(blobs(store)) == {"key", "other"}


async def broken(store: MemoryStore, dst: Path) -> Path:
    """What a download that broke off left to go on from."""
    dst.mkdir()
    await store.put("key", os.urandom(100 * MIB))

    def fail(number: int) -> None:
        if number > 4:
            raise ServerNotAvailable("gone")

    Interfering(store, fail)
    with pytest.raises(ServerNotAvailable):
        await down_one(store, dst / "key", continue_=True)
    [part] = dst.glob("*.part")
    assert part.with_name(f"{part.name}.done").stat().st_size > 0
    return part


async def test_a_journal_is_not_believed_about_bytes_that_are_not_there(dst: Path, store: MemoryStore) -> None:
    part = await broken(store, dst)
    os.truncate(part, 20 * MIB)
    again = MemoryStore(store._name)
    await down_one(again, dst / "key", continue_=True)
    assert tree(dst) == {"key": blobs(again)["key"]}


async def test_at_no_moment_does_a_journal_speak_of_a_file_that_is_done(
    dst: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill -9 after the last step would leave it for ever."""
    await broken(store, dst)
    beside: list[list[str]] = []
    rename = os.rename

    def looking(*names: Any, **options: Any) -> None:
        rename(*names, **options)
        beside.append(os.listdir(dst))

    monkeypatch.setattr(os, "rename", looking)
    await down_one(MemoryStore(store._name), dst / "key", continue_=True)
    assert beside == [["key"]]
