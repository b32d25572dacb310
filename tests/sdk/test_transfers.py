"""Files and directories, both ways, over the memory store: what arrives, what is told, what is refused, what is left behind."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    AbstractRecursiveFileProgress,
    BlobChanged,
    Bucket,
    IllegalArgumentError,
    ServerNotAvailable,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
    TransferError,
)
from neuro_sdk._stores.base import BlobReader, Buffer, Part
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._transfer.download import download_dir, download_file
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.upload import FILES_AT_ONCE, upload_dir, upload_file

BUCKET = Bucket(
    "id", "me", "here", None, Bucket.Provider.MEMORY, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket"
)
JOURNAL = Journal(Path("/dev/null/no-journal"))
MIB = 2**20
Event = Any


class Recorder(AbstractRecursiveFileProgress):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def start(self, data: StorageProgressStart) -> None:
        self.events.append(data)

    def step(self, data: StorageProgressStep) -> None:
        self.events.append(data)

    def complete(self, data: StorageProgressComplete) -> None:
        self.events.append(data)

    def enter(self, data: StorageProgressEnterDir) -> None:
        self.events.append(data)

    def leave(self, data: StorageProgressLeaveDir) -> None:
        self.events.append(data)

    def fail(self, data: StorageProgressFail) -> None:
        self.events.append(data)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> MemoryStore:
    return MemoryStore(request.node.nodeid)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_bytes(b"alpha")
    (root / "sub" / "b.bin").write_bytes(os.urandom(300_000))
    (root / "sub" / "deep" / "zero").write_bytes(b"")
    (root / "sub" / "odd name %+?#[1] é.txt").write_bytes(b"odd")
    return root


@pytest.fixture
def dst(tmp_path: Path) -> Path:
    return tmp_path / "dst"


async def up(src: Path, store: MemoryStore, key: str = "dir", **options: Any) -> None:
    defaults: dict[str, Any] = {
        "update": False,
        "wanted": None,
        "ignore_file_names": frozenset(),
        "progress": None,
        "journal": JOURNAL,
    }
    options = {**defaults, **options}
    await upload_dir(src, BUCKET, store, key, **options)


async def down(store: MemoryStore, dst: Path, key: str = "dir", **options: Any) -> None:
    options = {"update": False, "continue_": False, "wanted": None, "progress": None, **options}
    await download_dir(BUCKET, store, key, dst, **options)


async def up_one(src: Path, store: MemoryStore, key: str = "key", **options: Any) -> None:
    await upload_file(src, BUCKET, store, key, **{"update": False, "progress": None, "journal": JOURNAL, **options})


async def down_one(store: MemoryStore, dst: Path, key: str = "key", **options: Any) -> None:
    await download_file(BUCKET, store, key, dst, **{"update": False, "continue_": False, "progress": None, **options})


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }


def blobs(store: MemoryStore) -> dict[str, bytes]:
    return {key: body for key, (_, body) in store._bucket.blobs.items()}


class _Interfering:
    """Runs something in the middle of reading a blob."""

    def __init__(self, store: MemoryStore, interfere: Callable[[int], Any]) -> None:
        self.reads = 0
        original = store.get

        @asynccontextmanager
        async def get(key: str, **options: Any) -> AsyncIterator[BlobReader]:
            async with original(key, **options) as reader:
                self.reads += 1
                result = interfere(self.reads)
                if asyncio.iscoroutine(result):
                    await result
                yield reader

        store.get = get  # type: ignore[method-assign]


async def test_a_directory_comes_back_as_it_went(src: Path, dst: Path, store: MemoryStore) -> None:
    await up(src, store)
    await down(store, dst)
    assert tree(dst) == tree(src)


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


async def test_events_of_an_upload_come_in_order_with_exact_sizes(src: Path, store: MemoryStore) -> None:
    seen = Recorder()
    await up(src, store, progress=seen)
    _check_events(seen, src)
    assert str(seen.events[0].src) == src.as_uri()
    assert str(seen.events[0].dst) == "blob://here/me/bucket/dir/"


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


async def test_a_trailing_slash_of_a_file_target_is_dropped(src: Path, store: MemoryStore) -> None:
    await up_one(src / "a.txt", store, "newfolder/")
    assert blobs(store) == {"newfolder": b"alpha"}


async def test_an_upload_under_an_existing_blob_is_allowed(src: Path, store: MemoryStore) -> None:
    await store.put("blob", b"x")
    await up_one(src / "a.txt", store, "blob/under")
    assert set(blobs(store)) == {"blob", "blob/under"}


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


async def test_update_moves_what_is_newer_or_of_another_size_and_nothing_else(
    src: Path, dst: Path, store: MemoryStore
) -> None:
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
    assert sorted(event.src.name for event in seen.of(StorageProgressComplete)) == ["a.txt", "b.bin", "new"]
    assert blobs(store)["dir/a.txt"] == b"ALPHA"
    assert blobs(store)["dir/sub/b.bin"] == b"shorter"


async def test_a_downloading_update_skips_what_is_here_and_newer(src: Path, dst: Path, store: MemoryStore) -> None:
    await up(src, store)
    await down(store, dst)
    later = time.time() + 100
    for path in dst.rglob("*"):
        os.utime(path, (later, later))
    (dst / "a.txt").write_bytes(b"half")  # of another size: whatever its time says, it is not this blob
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


async def test_a_download_to_a_link_writes_the_file_that_it_names(tmp_path: Path, store: MemoryStore) -> None:
    await store.put("key", b"new")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    await down_one(store, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


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


async def test_a_blob_and_a_directory_of_one_name_cannot_both_be_files(dst: Path, store: MemoryStore) -> None:
    await store.put("dir/both", b"blob")
    await store.put("dir/both/child", b"child")
    await store.put("dir/other", b"other")
    with pytest.raises(TransferError, match="both"):
        await down(store, dst)
    assert (dst / "other").read_bytes() == b"other"


async def test_a_failing_download_leaves_the_old_file_and_nothing_else(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    (dst / "key").write_bytes(b"old")
    await store.put("key", os.urandom(40 * MIB))

    def fail(reads: int) -> None:
        if reads == 2:
            raise ServerNotAvailable("gone")

    _Interfering(store, fail)
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

    _Interfering(store, stall)
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

    _Interfering(store, replace)
    await down_one(store, dst / "key")
    assert (dst / "key").read_bytes() in (old, new)
    assert set(tree(dst)) == {"key"}


async def test_a_blob_that_is_replaced_all_the_time_is_an_error(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    await store.put("key", os.urandom(40 * MIB))

    async def replace(reads: int) -> None:
        await store.put("key", os.urandom(40 * MIB))

    _Interfering(store, replace)
    with pytest.raises(BlobChanged):
        await down_one(store, dst / "key")
    assert tree(dst) == {}


async def test_continuing_fetches_only_what_is_missing(dst: Path, store: MemoryStore) -> None:
    dst.mkdir()
    body = os.urandom(100 * MIB)
    await store.put("key", body)
    reads: list[tuple[int, int]] = []

    def fail(number: int) -> None:
        if number > 4:
            raise ServerNotAvailable("gone")

    _Interfering(store, fail)
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

    _Interfering(store, fail)
    with pytest.raises(ServerNotAvailable):
        await down_one(store, dst / "key", continue_=True)
    body = os.urandom(100 * MIB)
    again = MemoryStore(store._name)
    await again.put("key", body)
    await down_one(again, dst / "key", continue_=True)
    assert (dst / "key").read_bytes() == body
    assert set(tree(dst)) == {"key"}


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
    assert 1 < most <= FILES_AT_ONCE


async def test_a_callback_that_fails_ends_the_transfer(src: Path, store: MemoryStore) -> None:
    class Failing(Recorder):
        def complete(self, data: StorageProgressComplete) -> None:
            raise RuntimeError("the callback broke")

    with pytest.raises(RuntimeError, match="the callback broke"):
        await up(src, store, progress=Failing())
