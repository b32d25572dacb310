"""Where downloads may write: no key, link or special file leads out of the destination; each that is refused is named."""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    IllegalArgumentError,
    ServerNotAvailable,
    StorageProgressFail,
    TransferError,
)
from neuro_sdk._stores.memory import MemoryStore
from tests.sdk.transfers.helpers import Interfering, Recorder, down, down_one, tree

HOSTILE = [
    "../escaped",
    "x/../../escaped",
    "/etc/passwd",
    "a//b",
    ".",
    "..",
    "sub/..",
    "./x",
    "x/.",
    "nul\0byte",
    "n" * 256,
    ".file.0123abcd.part",
]


async def test_no_key_writes_outside_and_each_is_named(tmp_path: Path, store: MemoryStore) -> None:
    dst = tmp_path / "deep" / "dst"
    for key in HOSTILE:
        await store.put(f"dir/{key}", b"hostile")
    await store.put("dir/good", b"good")
    await store.put("dir/a..b", b"good")
    await store.put("dir/back\\slash", b"good")
    seen = Recorder()
    with pytest.raises(TransferError) as caught:
        await down(store, dst, progress=seen)
    assert len(caught.value.failures) == len(HOSTILE) == len(seen.of(StorageProgressFail))
    for key in HOSTILE:
        assert any(repr(f"dir/{key}") in line for line in caught.value.failures), key
    assert tree(tmp_path) == {"deep": None, "deep/dst": None} | {
        f"deep/dst/{name}": b"good" for name in ("good", "a..b", "back\\slash")
    }


async def test_a_link_in_the_destination_is_not_followed(tmp_path: Path, store: MemoryStore) -> None:
    outside, dst = tmp_path / "outside", tmp_path / "dst"
    outside.mkdir()
    dst.mkdir()
    (outside / "victim").write_bytes(b"old")
    (dst / "link").symlink_to(outside)
    (dst / "file").symlink_to(outside / "victim")
    await store.put("dir/link/victim", b"new")
    await store.put("dir/file", b"new")
    await store.put("dir/good", b"good")
    with pytest.raises(TransferError, match="link"):
        await down(store, dst)
    assert (outside / "victim").read_bytes() == b"old"
    assert (dst / "file").read_bytes() == b"new"
    assert not (dst / "file").is_symlink()
    assert (dst / "good").read_bytes() == b"good"


async def test_a_download_to_a_link_writes_the_file_that_it_names(tmp_path: Path, store: MemoryStore) -> None:
    await store.put("key", b"new")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    await down_one(store, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


async def test_a_blob_and_a_directory_of_one_name_cannot_both_be_files(dst: Path, store: MemoryStore) -> None:
    await store.put("dir/both", b"blob")
    await store.put("dir/both/child", b"child")
    await store.put("dir/other", b"other")
    with pytest.raises(TransferError, match="both"):
        await down(store, dst)
    assert (dst / "other").read_bytes() == b"other"


async def test_a_file_and_what_is_under_it_are_told_apart_by_the_order_of_the_listing(
    dst: Path, store: MemoryStore
) -> None:
    await store.put("dir/first", b"file")
    for name in ("first/child", "first/deep/child"):
        await store.put(f"dir/{name}", b"child")
    reached = asyncio.Event()
    Interfering(store, lambda _: reached.wait())  # the file is still under way when its children come
    seen = Recorder()
    task = asyncio.create_task(down(store, dst, progress=seen))
    while len(seen.of(StorageProgressFail)) < 2:
        await asyncio.sleep(0)
    reached.set()
    with pytest.raises(TransferError, match="first/deep/child"):
        await task
    assert tree(dst) == {"first": b"file"}


@pytest.mark.parametrize("moment", ["reading", "whole"])
@pytest.mark.parametrize("place", ["sub", "sub/deep"])
async def test_a_link_that_is_planted_meanwhile_is_not_followed(
    tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, place: str, moment: str
) -> None:
    dst, outside, aside = tmp_path / "dst", tmp_path / "outside", tmp_path / "aside"
    (outside / "deep").mkdir(parents=True)
    (outside / "key").write_bytes(b"victim")
    await store.put("dir/sub/deep/key", b"new")
    await store.put("dir/z", b"good")

    def plant() -> None:
        if not aside.exists():
            (dst / place).rename(aside)
            (dst / place).symlink_to(outside)

    if moment == "reading":
        Interfering(store, lambda reads: plant() if reads == 1 else None)
    else:
        rename = os.rename

        def planting(*names: Any, **options: Any) -> None:
            if names[1] == "key":
                plant()
            rename(*names, **options)

        monkeypatch.setattr(os, "rename", planting)
        monkeypatch.setattr(os, "replace", planting)
    if moment == "reading":
        with pytest.raises(TransferError, match="dir/sub/deep/key"):
            await down(store, dst)
    else:  # after the last look: it goes where the directory went
        await down(store, dst)
    assert tree(outside) == {"deep": None, "key": b"victim"}
    assert (dst / "z").read_bytes() == b"good"


async def test_a_directory_that_is_removed_meanwhile_does_not_stop_the_others(dst: Path, store: MemoryStore) -> None:
    await store.put("dir/sub/key", b"new")
    await store.put("dir/z", b"good")
    Interfering(store, lambda reads: shutil.rmtree(dst / "sub") if reads == 1 else None)
    with pytest.raises(TransferError, match="removed or replaced meanwhile"):
        await down(store, dst)
    assert tree(dst) == {"z": b"good"}


@pytest.mark.parametrize("planted", ["link", "second name", "pipe", "directory"])
async def test_what_is_planted_under_the_name_of_the_unfinished_file_is_not_written(
    tmp_path: Path, dst: Path, store: MemoryStore, planted: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"victim")
    dst.mkdir()
    await store.put("key", b"new")
    unfinished: list[Path] = []
    Interfering(store, lambda _: unfinished.extend(dst.iterdir()))
    await down_one(store, dst / "key")
    (dst / "key").unlink()
    [part] = unfinished
    {"link": part.symlink_to, "second name": part.hardlink_to}.get(planted, lambda _: None)(victim)
    if planted == "pipe":
        os.mkfifo(part)
    if planted == "directory":
        part.mkdir()
    await down_one(store, dst / "key")
    assert (dst / "key").read_bytes() == b"new"
    assert not (dst / "key").is_symlink()
    assert victim.read_bytes() == b"victim"


async def test_a_name_that_the_file_system_does_not_take_is_named_and_the_rest_arrives(
    dst: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the kin of FAT, which take no `?`."""
    for key in ("file?", "folder?/key", "good"):
        await store.put(f"dir/{key}", b"good")

    def choosy(act: Any) -> Any:
        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if "?" in str(path):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
            return act(path, *rest, **options)

        return call

    monkeypatch.setattr(os, "open", choosy(os.open))
    monkeypatch.setattr(os, "mkdir", choosy(os.mkdir))
    with pytest.raises(TransferError) as caught:
        await down(store, dst)
    assert [name in line for name, line in zip(("file?", "folder?"), caught.value.failures, strict=True)] == [True] * 2
    assert tree(dst) == {"good": b"good"}
    with pytest.raises(IllegalArgumentError, match="takes no such name"):
        await down_one(store, dst / "file?", "dir/file?")


async def test_a_download_lets_go_of_every_directory(dst: Path, store: MemoryStore) -> None:
    for number in range(300):
        await store.put(f"dir/{number}/deep/key", b"x")
    before = len(os.listdir("/proc/self/fd"))
    await down(store, dst)

    def fail(reads: int) -> None:
        if reads == 100:
            raise ServerNotAvailable("gone")

    Interfering(store, fail)
    with pytest.raises(ServerNotAvailable):
        await down(store, dst)
    assert len(os.listdir("/proc/self/fd")) == before
