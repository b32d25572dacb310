"""Directories there and back: what arrives, what `update` and `filter` leave out, which errors tell of misplaced ones."""

import asyncio
import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    IllegalArgumentError,
    StorageProgressComplete,
    TransferError,
)
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._transfer.bulk import CAREFUL_AT_ONCE
from tests.sdk.transfers.helpers import (
    Recorder,
    blobs,
    down,
    down_one,
    tree,
    up,
    up_one,
)


async def test_a_directory_comes_back_as_it_went(src: Path, dst: Path, store: MemoryStore) -> None:
    await up(src, store)
    await down(store, dst)
    assert tree(dst) == tree(src)


async def test_missing_and_misplaced_sources_are_the_built_in_errors(
    tmp_path: Path, src: Path, store: MemoryStore
) -> None:
    await store.put("blob", b"x")
    await store.put("dir/blob", b"x")
    cases: list[tuple[Any, int]] = [
        (up_one(tmp_path / "nothing", store), errno.ENOENT),
        (up_one(src, store), errno.EISDIR),
        (up_one(src / "a.txt", store, "dir"), errno.EISDIR),
        (up_one(src / "a.txt", store, ""), errno.EISDIR),
        (up(tmp_path / "nothing", store), errno.ENOENT),
        (up(src / "a.txt", store), errno.ENOTDIR),
        (up(src, store, "blob"), errno.ENOTDIR),
        (down_one(store, tmp_path / "x", "nothing"), errno.ENOENT),
        (down_one(store, tmp_path / "x", "dir"), errno.EISDIR),
        (down_one(store, tmp_path / "x", ""), errno.EISDIR),
        (down_one(store, src, "blob"), errno.EISDIR),
        (down_one(store, tmp_path / "no" / "x", "blob"), errno.ENOENT),
        (down(store, tmp_path / "x", "nothing"), errno.ENOENT),
        (down(store, tmp_path / "x", "blob"), errno.ENOTDIR),
        (down(store, src / "a.txt", "dir"), errno.ENOTDIR),
    ]
    for act, code in cases:
        with pytest.raises(OSError) as caught:
            await act
        assert caught.value.errno == code, act


async def test_an_empty_bucket_downloads_as_an_empty_directory(dst: Path, store: MemoryStore) -> None:
    await down(store, dst, "")
    assert tree(dst) == {}


@pytest.mark.parametrize("key", ["dir", "dir/"])
async def test_a_directory_is_the_same_with_and_without_a_slash(
    src: Path, dst: Path, store: MemoryStore, key: str
) -> None:
    await up(src, store, key)
    await down(store, dst, key)
    assert tree(dst) == tree(src)


async def test_update_moves_what_is_newer_or_missing_and_nothing_else(src: Path, dst: Path, store: MemoryStore) -> None:
    old = time.time() - 100
    for path in src.rglob("*"):
        os.utime(path, (old, old))
    await up(src, store)
    (src / "a.txt").write_bytes(b"ALPHA")
    (src / "new").write_bytes(b"new")
    (src / "sub" / "b.bin").write_bytes(b"shorter")
    os.utime(src / "sub" / "b.bin", (old, old))
    seen = Recorder()
    await up(src, store, progress=seen, update=True)
    assert sorted(event.src.name for event in seen.of(StorageProgressComplete)) == ["a.txt", "new"]
    assert blobs(store)["dir/a.txt"] == b"ALPHA"
    assert blobs(store)["dir/sub/b.bin"] != b"shorter"  # the blob is newer, so what came after it was meant


async def test_a_downloading_update_skips_what_is_here_and_newer(src: Path, dst: Path, store: MemoryStore) -> None:
    await up(src, store)
    await down(store, dst)
    (dst / "a.txt").write_bytes(b"mine")  # changed since, and not for us to take back
    later = time.time() + 100
    for path in dst.rglob("*"):
        os.utime(path, (later, later))
    seen = Recorder()
    await down(store, dst, update=True, progress=seen)
    assert seen.of(StorageProgressComplete) == []
    assert (dst / "a.txt").read_bytes() == b"mine"


@pytest.mark.parametrize("size", [0, 1, 4])
async def test_a_downloading_update_does_not_trust_a_half_written_file(
    src: Path, dst: Path, store: MemoryStore, size: int
) -> None:
    await up(src, store)
    await down(store, dst)
    (dst / "a.txt").write_bytes((src / "a.txt").read_bytes()[:size])
    later = time.time() + 100
    for path in dst.rglob("*"):
        os.utime(path, (later, later))
    seen = Recorder()
    await down(store, dst, update=True, progress=seen)
    assert [event.src.name for event in seen.of(StorageProgressComplete)] == ["a.txt"]
    assert tree(dst) == tree(src)


async def test_the_filter_is_asked_with_relative_paths_and_prunes(src: Path, dst: Path, store: MemoryStore) -> None:
    asked: list[str] = []

    async def wanted(path: str) -> bool:
        asked.append(path)
        return path not in {"sub/deep/", "a.txt"}

    await up(src, store, wanted=wanted)
    assert "sub/deep/zero" not in asked
    assert {"sub/", "sub/deep/", "empty/", "a.txt", "sub/b.bin"} <= set(asked)
    assert not any(key.startswith("dir/sub/deep") or key == "dir/a.txt" for key in blobs(store))
    await up(src, store)
    asked.clear()
    await down(store, dst, wanted=wanted)
    assert "sub/deep/zero" not in asked
    assert "a.txt" not in tree(dst)
    assert "sub/deep" not in tree(dst)
    assert asked.count("sub/") == 1


async def test_what_is_no_regular_file_is_neither_sent_nor_replaced(tmp_path: Path, store: MemoryStore) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    await store.put("key", b"x")
    for place in (pipe, Path("/dev/zero")):
        with pytest.raises(IllegalArgumentError, match="no regular file"):
            await up_one(place, store, "other")
    with pytest.raises(IllegalArgumentError, match="no regular file"):
        await down_one(store, pipe)
    await store.put("dir/pipe", b"x")
    with pytest.raises(TransferError, match="no file"):
        await down(store, tmp_path)
    assert pipe.is_fifo()
    assert "other" not in blobs(store)


async def test_many_files_go_both_ways_with_bounded_work(tmp_path: Path, dst: Path, store: MemoryStore) -> None:
    source = tmp_path / "many"
    for folder in range(20):
        (source / f"{folder}").mkdir(parents=True)
        for number in range(50):
            (source / f"{folder}" / f"{number}").write_bytes(b"%d-%d" % (folder, number))
    running = most = 0
    put = store.put

    async def counting(*args: Any, **options: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await put(*args, **options)
        running -= 1

    store.put = counting  # type: ignore[method-assign]
    await up(source, store)
    await down(store, dst)
    assert tree(dst) == tree(source)
    assert 1 < most <= CAREFUL_AT_ONCE


async def test_an_updating_upload_to_the_bucket_itself_looks_at_each_directory_there(
    src: Path, store: MemoryStore
) -> None:
    old = time.time() - 100
    for path in src.rglob("*"):
        os.utime(path, (old, old))
    await up(src, store, "")
    (src / "later" / "deep").mkdir(parents=True)
    (src / "later" / "deep" / "new").write_bytes(b"new")
    (src / "sub" / "deep" / "zero").write_bytes(b"one")
    before = dict(blobs(store))
    listed: list[str] = []
    pages = store.list

    def listing(prefix: str = "", **options: Any) -> Any:
        listed.append(prefix)
        return pages(prefix, **options)

    store.list = listing  # type: ignore[method-assign]
    seen = Recorder()
    await up(src, store, "", progress=seen, update=True)
    assert sorted(event.src.name for event in seen.of(StorageProgressComplete)) == ["new", "zero"]
    assert set(blobs(store)) - set(before) == {"later/", "later/deep/", "later/deep/new"}
    assert sorted(listed) == ["", "empty/", "later/", "later/deep/", "sub/", "sub/deep/"]
