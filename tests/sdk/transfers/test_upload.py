"""From the disk into a bucket: markers, ignore files, what is no file, what changes while it is read."""

import os
from pathlib import Path

import pytest

from neuro_sdk import (
    BlobChanged,
    StorageProgressFail,
    TransferError,
)
from neuro_sdk._stores.memory import MemoryStore
from tests.sdk.transfers.helpers import MIB, Recorder, blobs, up, up_one


async def test_directories_become_markers_and_the_bucket_itself_does_not(src: Path, store: MemoryStore) -> None:
    await up(src, store)
    assert {key for key in blobs(store) if key.endswith("/")} == {"dir/", "dir/empty/", "dir/sub/", "dir/sub/deep/"}
    other = MemoryStore(store._name + " root")
    await up(src, other, "")
    assert {key for key in blobs(other) if key.endswith("/")} == {"empty/", "sub/", "sub/deep/"}


async def test_a_marker_is_not_put_where_something_is(src: Path, store: MemoryStore) -> None:
    await store.put("dir/sub/older", b"x")
    await up(src, store)
    assert {key for key in blobs(store) if key.endswith("/")} == {"dir/empty/", "dir/sub/deep/"}


async def test_a_trailing_slash_of_a_file_target_is_dropped(src: Path, store: MemoryStore) -> None:
    await up_one(src / "a.txt", store, "newfolder/")
    assert blobs(store) == {"newfolder": b"alpha"}


async def test_an_upload_under_an_existing_blob_is_allowed(src: Path, store: MemoryStore) -> None:
    await store.put("blob", b"x")
    await up_one(src / "a.txt", store, "blob/under")
    assert set(blobs(store)) == {"blob", "blob/under"}


async def test_ignore_files_leave_out_what_they_name(src: Path, store: MemoryStore) -> None:
    (src / ".neuroignore").write_text("*.bin\n/empty/\n")
    (src / "sub" / ".neuroignore").write_text("!b.bin\ndeep/\n")
    await up(src, store, ignore_file_names=frozenset({".neuroignore"}))
    names = {key for key in blobs(store) if not key.endswith("/")}
    assert names == {
        "dir/.neuroignore",
        "dir/a.txt",
        "dir/sub/.neuroignore",
        "dir/sub/b.bin",
        "dir/sub/odd name %+?#[1] é.txt",
    }


async def test_what_is_no_file_is_told_and_the_rest_goes_on(src: Path, store: MemoryStore) -> None:
    os.mkfifo(src / "pipe")
    (src / "dangling").symlink_to("nowhere")
    (src / "sub" / "circle").symlink_to(src)
    (src / "linked").symlink_to(src / "a.txt")
    seen = Recorder()
    await up(src, store, progress=seen)
    assert sorted(event.src.name for event in seen.of(StorageProgressFail)) == ["circle", "dangling", "pipe"]
    assert blobs(store)["dir/linked"] == b"alpha"
    assert blobs(store)["dir/sub/b.bin"] == (src / "sub" / "b.bin").read_bytes()


async def test_one_file_that_changes_does_not_stop_the_others(
    src: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.pread

    def changing(descriptor: int, size: int, at: int) -> bytes:
        if size == len(b"alpha"):
            (src / "a.txt").write_bytes(b"longer now")
        return read(descriptor, size, at)

    monkeypatch.setattr(os, "pread", changing)
    seen = Recorder()
    with pytest.raises(TransferError, match=r"a\.txt changed while it was read"):
        await up(src, store, progress=seen)
    assert [event.src.name for event in seen.of(StorageProgressFail)] == ["a.txt"]
    assert {key for key in blobs(store) if not key.endswith("/")} == {
        "dir/sub/b.bin",
        "dir/sub/deep/zero",
        "dir/sub/odd name %+?#[1] é.txt",
    }


async def test_a_file_that_changes_while_it_is_read_is_not_stored(
    tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(40 * MIB))
    pread, reads = os.pread, 0

    def growing(descriptor: int, size: int, at: int) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 2:
            with file.open("ab") as out:
                out.write(b"more")
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", growing)
    await store.put("key", b"old")
    with pytest.raises(BlobChanged, match="changed while it was read"):
        await up_one(file, store)
    assert blobs(store) == {"key": b"old"}
    assert store._bucket.uploads == {}
