"""From a bucket to the disk: a file is whole or not there, and nothing else is left beside it."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from neuro_sdk import (
    BlobChanged,
    ServerNotAvailable,
)
from neuro_sdk._stores.memory import MemoryStore
from tests.sdk.transfers.helpers import (
    MIB,
    Interfering,
    down,
    down_one,
    tree,
)


async def test_a_full_disk_names_the_file(dst: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    dst.mkdir()
    await store.put("key", b"x")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left") as caught:
        await down_one(store, dst / "key")
    assert caught.value.filename == str(dst / "key")
    assert tree(dst) == {}


async def test_a_failing_download_leaves_the_old_file_and_nothing_else(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    (dst / "key").write_bytes(b"old")
    await store.put("key", os.urandom(40 * MIB))

    def fail(reads: int) -> None:
        if reads == 2:
            raise ServerNotAvailable("gone")

    Interfering(store, fail)
    with pytest.raises(ServerNotAvailable):
        await down_one(store, dst / "key")
    assert tree(dst) == {"key": b"old"}


async def test_a_cancelled_download_leaves_the_old_file_and_nothing_else(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    (dst / "key").write_bytes(b"old")
    await store.put("key", os.urandom(MIB))
    reached, forever = asyncio.Event(), asyncio.Event()

    async def stall(reads: int) -> None:
        reached.set()
        await forever.wait()

    Interfering(store, stall)
    task = asyncio.create_task(down_one(store, dst / "key"))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tree(dst) == {"key": b"old"}


@pytest.mark.parametrize("size", [1000, 40 * MIB])
async def test_a_blob_that_is_replaced_meanwhile_is_never_mixed(dst: Path, store: MemoryStore, size: int) -> None:
    dst.mkdir()
    old, new = os.urandom(size), os.urandom(size + 5)
    await store.put("key", old)

    async def replace(reads: int) -> None:
        if reads == 1:
            await store.put("key", new)

    Interfering(store, replace)
    await down_one(store, dst / "key")
    assert (dst / "key").read_bytes() in (old, new)
    assert set(tree(dst)) == {"key"}


async def test_a_blob_that_is_replaced_all_the_time_is_an_error(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    await store.put("key", os.urandom(40 * MIB))

    async def replace(reads: int) -> None:
        await store.put("key", os.urandom(40 * MIB))

    Interfering(store, replace)
    with pytest.raises(BlobChanged):
        await down_one(store, dst / "key")
    assert tree(dst) == {}


async def test_what_others_left_beside_a_target_is_swept(dst: Path, store: MemoryStore) -> None:
    await store.put("dir/key", b"body")
    dst.mkdir()
    (dst / ".key.01234567.part").write_bytes(b"half of another blob")
    (dst / ".key.01234567.part.done").write_text("0-5\n")
    (dst / ".other.01234567.part").write_bytes(b"not ours to judge")
    await down(store, dst)
    assert set(tree(dst)) == {"key", ".other.01234567.part"}


async def test_two_downloads_to_one_place_do_not_disturb_each_other(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    body = os.urandom(40 * MIB)
    await store.put("key", body)
    await asyncio.gather(*(down_one(store, dst / "key") for _ in range(5)))
    assert tree(dst) == {"key": body}


async def test_a_name_at_the_limit_of_the_file_system_arrives(dst: Path, store: MemoryStore) -> None:
    names = ["n" * 255, "é" * 127]
    for name in names:
        await store.put(f"dir/{name}", b"x")
    await down(store, dst)
    assert set(tree(dst)) == set(names)
