"""What grows: keys, files, bytes; what has to be there before, what is asked for, and how it is seen that it was done."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data import SMALL_BYTES, Data, digest_of
from bench.job import Job
from bench.servers import Server
from bench.workloads import WrongResult

MIB, GIB = 1 << 20, 1 << 30
_FILES_IN_FOLDER = 100
_SAMPLES, _SAMPLE_BYTES = 64, 64 << 10


@dataclass
class Stage:
    """Where it happens."""

    server: Server
    data: Data
    files: Path
    large: Path

    def tree(self, count: int) -> Path:
        """A directory with so many small files."""
        root = self.files / f"tree-{count}"
        if not root.exists():
            for name in _names(count):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self.data.write(path, SMALL_BYTES)
        return root

    def sparse(self, size: int) -> Path:
        """A file with nothing in it, as long as that.

        In /dev/shm, as a rule: a hole on a disk is read into the cache of its pages, and a cache that is full costs whoever reads on.
        """
        path = self.files / "sparse.bin"
        with path.open("wb") as file:
            file.truncate(size)
        return path

    def clean(self) -> None:
        """Nothing of the run before."""
        for path in (self.files / "down", self.large / "down", self.files / "run"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)


Check = Callable[[dict[str, int]], None]
Begin = Callable[[Stage, Job, int], tuple[Job, Check]]


@dataclass(frozen=True)
class Kind:
    """One curve: what is asked for, at which amounts of work."""

    name: str
    operation: str
    begin: Begin
    works: Sequence[int]


@dataclass(frozen=True)
class Family:
    """One figure."""

    name: str
    title: str
    unit: str
    """What the work is counted in."""
    unit_size: int
    kinds: tuple[Kind, ...]


def _fail_unless(holds: bool, what: str) -> None:
    if not holds:
        raise WrongResult(what)


# ---- keys ----


def _listed(stage: Stage, job: Job, count: int) -> tuple[Job, Check]:
    prefix = f"list-{count}/"
    if prefix not in stage.server.loaded:
        stage.server.put_names(prefix, stage.data.small_keys(count))
        stage.server.loaded.add(prefix)

    def check(told: dict[str, int]) -> None:
        _fail_unless(told["blobs"] == count, f"{told['blobs']} of {count} keys were listed")
        _fail_unless(told["bytes"] == count * SMALL_BYTES, "the sizes do not add up")

    return replace(job, prefix=prefix), check


def _deleted(stage: Stage, job: Job, count: int) -> tuple[Job, Check]:
    prefix = "delete/"
    stage.server.put_names(prefix, stage.data.small_keys(count))

    def check(_told: dict[str, int]) -> None:
        left, _bytes = stage.server.count(prefix)
        _fail_unless(left == 0, f"{left} of {count} blobs are still there")

    return replace(job, prefix=prefix), check


# ---- files ----


def _names(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"d{number // _FILES_IN_FOLDER:05}/f{number:07}.bin"


def _files_up(stage: Stage, job: Job, count: int) -> tuple[Job, Check]:
    stage.server.drop("up/")
    folders = -(-count // _FILES_IN_FOLDER) + 1  # each with its marker

    def check(_told: dict[str, int]) -> None:
        there = stage.server.count("up/")
        _fail_unless(there == (count + folders, count * SMALL_BYTES), f"{there} blobs and bytes are there")

    return replace(job, prefix="up/", local=str(stage.tree(count))), check


def _files_down(stage: Stage, job: Job, count: int) -> tuple[Job, Check]:
    prefix, source = f"files-{count}/", stage.tree(count)
    if prefix not in stage.server.loaded:
        stage.server.put_names(prefix, ((name, SMALL_BYTES) for name in _names(count)))
        stage.server.loaded.add(prefix)

    def check(_told: dict[str, int]) -> None:
        _fail_unless(digest_of(stage.files / "down") == digest_of(source), "the files are not what is in the bucket")

    return replace(job, prefix=prefix, local=str(stage.files / "down")), check


# ---- one large file, one stream ----


def _one_up(stage: Stage, job: Job, size: int) -> tuple[Job, Check]:
    stage.server.drop("one/")

    def check(_told: dict[str, int]) -> None:
        there = stage.server.count("one/")
        _fail_unless(there == (1, size), f"{there} blobs and bytes are there")

    return replace(job, key="one/large.bin", local=str(stage.sparse(size)), size=size), check


def _one_down(stage: Stage, job: Job, size: int) -> tuple[Job, Check]:
    stage.server.put_names("down/", [("large.bin", size)])
    path = stage.large / "down" / "large.bin"

    def check(_told: dict[str, int]) -> None:
        _fail_unless(path.stat().st_size == size, f"the file has {path.stat().st_size} bytes")
        with path.open("rb") as file:
            for number in range(_SAMPLES):
                start = number * max(size - _SAMPLE_BYTES, 0) // (_SAMPLES - 1)
                file.seek(start)
                piece = file.read(_SAMPLE_BYTES)
                _fail_unless(piece == stage.data.content(path.name, start, len(piece)), f"other bytes at {start}")

    return replace(job, key="down/large.bin", local=str(path), size=size), check


def _stream_down(stage: Stage, job: Job, size: int) -> tuple[Job, Check]:
    stage.server.put_names("down/", [("large.bin", size)])

    def check(told: dict[str, int]) -> None:
        _fail_unless(told["bytes"] == size, f"{told['bytes']} bytes came")

    return replace(job, key="down/large.bin", size=size), check


def families(scale: float, room: int) -> tuple[Family, ...]:
    """All of them, up to this part of their full size; `room`: the bytes that a file may take where files come down."""
    keys, files = _powers(1, 1_000_000 * scale, 10), _powers(1, 100_000 * scale, 10)
    sizes = _powers(MIB, 20 * GIB * scale, 4)
    held = [size for size in sizes if size <= room]
    return (
        Family(
            "keys",
            "Keys",
            "keys",
            1,
            (Kind("listed", "list_keys", _listed, keys), Kind("deleted", "delete_keys", _deleted, keys)),
        ),
        Family(
            "files",
            "Directories of files of 4 KiB",
            "files",
            1,
            (Kind("up", "upload_dir", _files_up, files), Kind("down", "download_dir", _files_down, files)),
        ),
        Family(
            "file",
            "One file",
            "MiB",
            MIB,
            (Kind("up (sparse)", "upload_file", _one_up, sizes), Kind("down", "download_file", _one_down, held)),
        ),
        Family(
            "stream",
            "One stream",
            "MiB",
            MIB,
            (Kind("up", "put_stream", _one_up, sizes), Kind("down", "fetch_stream", _stream_down, sizes)),
        ),
    )


def _powers(first: int, last: float, factor: int) -> list[int]:
    works = [first]
    while works[-1] * factor <= last:
        works.append(works[-1] * factor)
    return works if works[-1] >= last else [*works, int(last)]
