"""The work: what has to be there before, what the tool is told to do, and how the result is checked, the same for all."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yarl import URL

import neuro_sdk
from bench.data import SMALL_BYTES, Data, DataSet, digest_of, sizes_of
from bench.job import Job
from bench.measure import Run
from bench.servers import Server

LISTED_KEYS = 100_000
DELETED_KEYS = 10_000
CALLS = 1_000
_PUTS_AT_ONCE = 64


class WrongResult(Exception):
    """A tool did not do what it was asked to do."""


@dataclass
class Stage:
    """One server and the data, for one run of one tool after the other."""

    server: Server
    data: Data
    work: Path
    """Empty before every run."""
    checked: bool = False
    """Contents are checked too, which takes time, so it is not measured."""

    def have(self, name: str) -> DataSet:
        """A data set that is on the server, under its own name."""
        made = self.data.get(name)
        if f"{name}/" not in self.server.loaded:
            if self.server.fast_url:
                self.server.put_names(f"{name}/", made.sizes.items())
            else:
                asyncio.run(self._upload(made.path, f"{name}/"))
            self.server.loaded.add(f"{name}/")
        return made

    def have_keys(self, prefix: str, count: int) -> None:
        """So many small blobs on the server."""
        if self.server.fast_url:
            self.server.put_names(prefix, self.data.small_keys(count))
        else:
            asyncio.run(self._put(prefix, self.data.small_keys(count)))

    async def _upload(self, path: Path, prefix: str) -> None:
        service = self.server.service
        async with neuro_sdk.get(url=service.url, token=service.token) as client:
            await client.buckets.upload_dir(
                URL(path.as_uri()), URL(f"blob:{self.server.control_bucket}/{prefix.rstrip('/')}")
            )

    async def _put(self, prefix: str, blobs: Iterator[tuple[str, int]]) -> None:
        service = self.server.service
        async with neuro_sdk.get(url=service.url, token=service.token) as client:

            async def put() -> None:
                for key, size in blobs:
                    await client.buckets.put_blob(self.server.control_bucket, f"{prefix}{key}", bytes(size))

            await asyncio.gather(*(put() for _ in range(_PUTS_AT_ONCE)))


Before = Callable[[Stage, Job], Job]
After = Callable[[Stage, Job, Run, dict[str, Any]], None]


@dataclass(frozen=True)
class Workload:
    """One row of the table."""

    name: str
    title: str
    operation: str
    before: Before
    after: After
    repeats: int = 1
    """How often it is run in each round."""
    local: bool = False
    """It needs no server, so one is enough."""
    discards: bool = False
    """What a program prints is the result, and too much to be kept."""


def _fail_unless(holds: bool, what: str) -> None:
    if not holds:
        raise WrongResult(what)


# ---- up ----


def _up(name: str) -> Before:
    def before(stage: Stage, job: Job) -> Job:
        made = stage.data.get(name)
        stage.server.drop("up/")
        _note_counters(stage)
        return replace(job, prefix="up/", local=str(made.path))

    return before


def _is_up(name: str) -> After:
    def after(stage: Stage, job: Job, _run: Run, _told: dict[str, Any]) -> None:
        made = stage.data.get(name)
        sizes = stage.server.sizes(job.prefix)
        missing = [key for key, size in made.sizes.items() if sizes.get(key) != size]
        _fail_unless(not missing, f"{len(missing)} of {len(made.sizes)} files are not there, like {missing[:1]}")
        _fail_unless(len(sizes) == len(made.sizes), f"{len(sizes)} blobs for {len(made.sizes)} files")
        _check_contents(stage, made.path, sizes, job.prefix)
        stage.server.drop(job.prefix)

    return after


def _up_one(stage: Stage, job: Job) -> Job:
    made = stage.data.get("big")
    stage.server.drop("up/")
    _note_counters(stage)
    return replace(job, prefix="up/", key="up/big.bin", local=str(made.path / "big.bin"), size=made.bytes)


def _note_counters(stage: Stage) -> None:
    if stage.server.fast_url:
        stage.server.ask("POST", f"check?on={int(stage.checked)}")
        counters = stage.server.ask("GET", "count?prefix=none")
        (stage.work / "counters").write_text(json.dumps(counters))


def _since(stage: Stage, counter: str) -> int:
    """How much a counter of a fast server has grown meanwhile."""
    before = json.loads((stage.work / "counters").read_text())
    return stage.server.ask("GET", "count?prefix=none")[counter] - int(before[counter])


def _check_contents(stage: Stage, source: Path, keys: Iterable[str], prefix: str) -> None:
    if not stage.checked:
        return
    if stage.server.fast_url:
        wrong = _since(stage, "wrong")
        _fail_unless(wrong == 0, f"{wrong} blobs have another content than their files")
        return
    for key in keys:
        arrived = hashlib.sha256(stage.server.body(f"{prefix}{key}")).digest()
        _fail_unless(hashlib.sha256((source / key).read_bytes()).digest() == arrived, f"{key} has another content")


# ---- down ----


def _down(name: str) -> Before:
    def before(stage: Stage, job: Job) -> Job:
        stage.have(name)
        return replace(job, prefix=f"{name}/", local=str(stage.work / "down"))

    return before


def _is_down(name: str) -> After:
    def after(stage: Stage, job: Job, _run: Run, _told: dict[str, Any]) -> None:
        made, here = stage.data.get(name), Path(job.local)
        _fail_unless(sizes_of(here) == made.sizes, "names or sizes differ from what is stored")
        _fail_unless(digest_of(here) == made.digest, "contents differ from what is stored")

    return after


def _down_one(stage: Stage, job: Job) -> Job:
    made = stage.have("big")
    (stage.work / "down").mkdir()
    return replace(job, key="big/big.bin", local=str(stage.work / "down" / "big.bin"), size=made.bytes)


def _is_down_one(stage: Stage, job: Job, run: Run, told: dict[str, Any]) -> None:
    _is_down("big")(stage, replace(job, local=str(Path(job.local).parent)), run, told)


def _stream(stage: Stage, job: Job) -> Job:
    made = stage.have("big")
    return replace(job, key="big/big.bin", local=str(stage.work / "digest"), size=made.bytes, digest=stage.checked)


def _was_streamed(stage: Stage, job: Job, run: Run, told: dict[str, Any]) -> None:
    if told:
        _fail_unless(told["bytes"] == job.size, f"{told['bytes']} of {job.size} bytes arrived")
    if stage.checked:
        with (stage.data.get("big").path / "big.bin").open("rb") as file:
            wanted = hashlib.file_digest(file, "sha256").hexdigest()
        with run.stdout.open("rb") as file:
            arrived = Path(job.local).read_text() if told else hashlib.file_digest(file, "sha256").hexdigest()
        _fail_unless(arrived == wanted, "another content arrived")


# ---- keys ----


def _listed(stage: Stage, job: Job) -> Job:
    count = stage.data.count(LISTED_KEYS)
    if "list/" not in stage.server.loaded:
        stage.have_keys("list/", count)
        stage.server.loaded.add("list/")
    return replace(job, prefix="list/", count=count)


def _was_listed(_stage: Stage, job: Job, run: Run, told: dict[str, Any]) -> None:
    if told:
        _fail_unless(told["bytes"] == job.count * SMALL_BYTES, "the sizes do not add up")
        count = told["blobs"]
    else:
        with run.stdout.open("rb") as file:
            count = sum(1 for line in file if b"some-file-name-" in line)
    _fail_unless(count == job.count, f"{count} of {job.count} keys were listed")


def _deletable(stage: Stage, job: Job) -> Job:
    count = stage.data.count(DELETED_KEYS)
    stage.have_keys("del/", count)
    return replace(job, prefix="del/", count=count)


def _was_deleted(stage: Stage, job: Job, _run: Run, _told: dict[str, Any]) -> None:
    left = len(stage.server.sizes(job.prefix))
    _fail_unless(left == 0, f"{left} of {job.count} blobs are still there")


def _unchanged(stage: Stage, job: Job) -> Job:
    made = stage.have("small")
    _note_counters(stage)
    return replace(job, prefix="small/", local=str(made.path))


def _was_left_alone(stage: Stage, job: Job, _run: Run, _told: dict[str, Any]) -> None:
    if stage.server.fast_url:
        written = _since(stage, "stored")
        _fail_unless(written == 0, f"{written} blobs were written, though nothing had changed")
    _fail_unless(stage.server.sizes(job.prefix) == stage.data.get("small").sizes, "the blobs are others now")


# ---- calls and starts ----


def _calls(stage: Stage, job: Job) -> Job:
    made = stage.have("small")
    key = "up/put.bin" if job.operation == "put" else f"small/{next(iter(made.sizes))}"
    return replace(job, key=key, count=stage.data.count(CALLS, 100), size=SMALL_BYTES)


def _first(stage: Stage, job: Job) -> Job:
    return replace(_calls(stage, job), local=str(stage.work / "one.bin"))


def _is_fine(_stage: Stage, _job: Job, _run: Run, _told: dict[str, Any]) -> None:
    """That it ended well is all that there is to see; the workers check the length themselves."""


def _is_here(_stage: Stage, job: Job, _run: Run, told: dict[str, Any]) -> None:
    if not told:
        _fail_unless(Path(job.local).stat().st_size == SMALL_BYTES, "the file has another length")


def _nothing(_stage: Stage, job: Job) -> Job:
    return job


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("small-up", "10,000 × 4 KiB up", "upload_dir", _up("small"), _is_up("small")),
        Workload("small-down", "10,000 × 4 KiB down", "download_dir", _down("small"), _is_down("small")),
        Workload("mixed-up", "mixed directory, 600 MiB, up", "upload_dir", _up("mixed"), _is_up("mixed")),
        Workload("mixed-down", "mixed directory, 600 MiB, down", "download_dir", _down("mixed"), _is_down("mixed")),
        Workload("big-up", "one file of 1 GiB up", "upload_file", _up_one, _is_up("big")),
        Workload("big-down", "one file of 1 GiB down", "download_file", _down_one, _is_down_one),
        Workload("stream-up", "a stream of 1 GiB up", "put_stream", _up_one, _is_up("big")),
        Workload("stream-down", "a stream of 1 GiB down", "fetch_stream", _stream, _was_streamed, discards=True),
        Workload("list", "list 100,000 keys", "list_keys", _listed, _was_listed),
        Workload("delete", "delete 10,000", "delete_keys", _deletable, _was_deleted),
        Workload("update", "upload a directory where nothing changed", "update_dir", _unchanged, _was_left_alone),
        Workload("head", "head, one after the other", "head", _calls, _is_fine),
        Workload("get", "get 4 KiB, one after the other", "get", _calls, _is_fine),
        Workload("put", "put 4 KiB, one after the other", "put", _calls, _is_fine),
        Workload("first-get", "start and one get", "first_get", _first, _is_here, repeats=3),
        Workload("import", "import", "load", _nothing, _is_fine, repeats=5, local=True),
        Workload("version", "--version", "version", _nothing, _is_fine, repeats=5, local=True),
        Workload("help", "--help", "help_text", _nothing, _is_fine, repeats=5, local=True),
    )
}


def clean(stage: Stage) -> None:
    """Nothing of the run before."""
    shutil.rmtree(stage.work, ignore_errors=True)
    stage.work.mkdir(parents=True)
