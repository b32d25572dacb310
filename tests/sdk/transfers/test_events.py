"""What progress is told, in which order, with which sizes."""

import os
from pathlib import Path

import pytest

from neuro_sdk import (
    BlobChanged,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)
from neuro_sdk._stores.memory import MemoryStore
from tests.sdk.transfers.helpers import MIB, Interfering, Recorder, down, down_one, up, up_one


async def test_events_of_an_upload_come_in_order_with_exact_sizes(src: Path, store: MemoryStore) -> None:
    seen = Recorder()
    await up(src, store, progress=seen)
    _check_events(seen, src)
    assert str(seen.events[0].src) == src.as_uri()
    assert str(seen.events[0].dst) == "blob://here/me/bucket/dir"  # as every released SDK writes it


async def test_events_of_a_download_come_in_order_with_exact_sizes(src: Path, dst: Path, store: MemoryStore) -> None:
    await up(src, store)
    seen = Recorder()
    await down(store, dst, progress=seen)
    _check_events(seen, src)
    assert str(seen.events[0].dst) == dst.as_uri()


def _check_events(seen: Recorder, src: Path) -> None:
    files = [path for path in src.rglob("*") if path.is_file()]
    folders = [src, *(path for path in src.rglob("*") if path.is_dir())]
    assert sorted(event.size for event in seen.of(StorageProgressComplete)) == sorted(
        path.stat().st_size for path in files
    )
    for done in seen.of(StorageProgressComplete):
        mine = [event for event in seen.events if getattr(event, "src", None) == done.src and hasattr(event, "size")]
        assert isinstance(mine[0], StorageProgressStart)
        assert isinstance(mine[-1], StorageProgressComplete)
        steps = [event.current for event in mine[1:-1]]
        assert steps == sorted(steps)
        assert not steps or steps[-1] == done.size
    entered, left = seen.of(StorageProgressEnterDir), seen.of(StorageProgressLeaveDir)
    assert len(entered) == len(left) == len(folders)
    assert seen.events[0] == entered[0]
    assert seen.events[-1] == left[-1]
    for folder in entered:
        inside = [event for event in seen.events if str(event.src).startswith(str(folder.src).rstrip("/") + "/")]
        first, last = (
            seen.events.index(folder),
            seen.events.index(next(event for event in left if event.src == folder.src)),
        )
        assert all(first < seen.events.index(event) < last for event in inside if event.src != folder.src)


async def test_a_single_file_tells_start_steps_and_complete(tmp_path: Path, store: MemoryStore) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(20 * MIB))
    going_up, coming_down = Recorder(), Recorder()
    await up_one(file, store, progress=going_up)
    await down_one(store, tmp_path / "copy", progress=coming_down)
    for seen in (going_up, coming_down):
        assert isinstance(seen.events[0], StorageProgressStart)
        assert isinstance(seen.events[-1], StorageProgressComplete)
        steps = [event.current for event in seen.of(StorageProgressStep)]
        assert steps == sorted(steps)
        assert steps[-1] == 20 * MIB
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()


async def test_a_callback_that_fails_ends_the_transfer(src: Path, store: MemoryStore) -> None:
    class Failing(Recorder):
        def complete(self, data: StorageProgressComplete) -> None:
            raise RuntimeError("the callback broke")

    with pytest.raises(RuntimeError, match="the callback broke"):
        await up(src, store, progress=Failing())


@pytest.mark.parametrize("size", [1000, 40 * MIB])
async def test_a_blob_that_is_begun_anew_starts_once(dst: Path, store: MemoryStore, size: int) -> None:
    dst.mkdir()
    new = os.urandom(size + 5)
    await store.put("key", os.urandom(size))

    async def replace(reads: int) -> None:
        if reads == 1:
            await store.put("key", new)
            raise BlobChanged("as a store tells it of a connection that broke")

    Interfering(store, replace)
    seen = Recorder()
    await down_one(store, dst / "key", progress=seen)
    assert (dst / "key").read_bytes() == new
    [start] = seen.of(StorageProgressStart)
    [done] = seen.of(StorageProgressComplete)
    assert seen.events[0] is start
    assert seen.events[-1] is done
    assert done.size == len(new)
    assert (seen.events[-2].current, seen.events[-2].size) == (len(new), len(new))
