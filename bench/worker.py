"""How a Python peer works: one process, one client, one operation, and how long that took without start and imports.

A peer is an asynchronous context (`async with Peer(job) as peer`) or a plain one, with a method an operation. A method of bulk work returns
how many blobs and bytes it moved, as far as it knows. `head`, `get` and `put` are one call each; here they are made `job.count` times.
"""

import asyncio
import hashlib
import inspect
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.job import Job, job_of_environ

ONE_BY_ONE = ("head", "get", "put")
WARM_CALLS = 20
STREAM_CHUNK_BYTES = 1 << 20


def main(peer_class: Any) -> None:
    """Do the job of the environment; tell what it took, as JSON, on stdout."""
    job = job_of_environ()
    if hasattr(peer_class, "__aenter__"):
        told = asyncio.run(_asynchronously(peer_class, job))
    else:
        with peer_class(job) as peer:
            told = _one_by_one(peer, job) if job.operation in ONE_BY_ONE else _bulk(peer, job)
    print(json.dumps(told))


def _bulk(peer: Any, job: Job) -> dict[str, Any]:
    meter = Meter()
    return meter.told(getattr(peer, job.operation)())


def _one_by_one(peer: Any, job: Job) -> dict[str, Any]:
    call = getattr(peer, job.operation)
    for _ in range(WARM_CALLS):
        call()
    meter, seconds = Meter(), []
    for _ in range(job.count):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return meter.told((job.count, 0)) | percentiles(seconds)


async def _asynchronously(peer_class: Any, job: Job) -> dict[str, Any]:
    async with peer_class(job) as peer:
        call = getattr(peer, job.operation)
        if job.operation not in ONE_BY_ONE:
            meter = Meter()
            done = call()
            return meter.told(await done if inspect.isawaitable(done) else done)
        for _ in range(WARM_CALLS):
            await call()
        meter, seconds = Meter(), []
        for _ in range(job.count):
            begun = time.perf_counter()
            await call()
            seconds.append(time.perf_counter() - begun)
        return meter.told((job.count, 0)) | percentiles(seconds)


class Meter:
    """Wall and CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self._cpu = _cpu_seconds()
        self._begun = time.perf_counter()

    def told(self, moved: tuple[int, int] | None) -> dict[str, Any]:
        """What the harness reads."""
        wall, cpu = time.perf_counter() - self._begun, _cpu_seconds() - self._cpu
        blobs, size = moved or (None, None)
        return {"call_wall": wall, "call_cpu": cpu, "blobs": blobs, "bytes": size}


def percentiles(seconds: list[float]) -> dict[str, float]:
    """The 50th and the 99th, in microseconds."""
    ordered = sorted(seconds)
    return {f"p{part}_us": ordered[min(len(ordered) * part // 100, len(ordered) - 1)] * 1e6 for part in (50, 99)}


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def files_of(directory: str) -> Iterator[tuple[str, str, int]]:
    """The files below a directory: path, path relative to it, size."""
    for folder, _, names in os.walk(directory):
        inside = os.path.relpath(folder, directory)
        for name in names:
            path = os.path.join(folder, name)
            yield path, name if inside == "." else f"{inside}/{name}", os.stat(path).st_size


class Directories:
    """Makes each directory once."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def parent_of(self, path: str) -> str:
        """The path itself, once its directory is there."""
        folder = os.path.dirname(path)
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)
        return path


def read_file(path: str) -> bytes:
    """All of it."""
    return Path(path).read_bytes()


class Sink:
    """Takes a stream: counts it, and hashes it when that is asked for."""

    def __init__(self, job: Job) -> None:
        self.size = 0
        self._job = job
        self._hash = hashlib.sha256()

    def write(self, chunk: Any) -> None:
        """One chunk of it."""
        self.size += len(chunk)
        if self._job.digest:
            self._hash.update(chunk)

    def done(self) -> tuple[int, int]:
        """The hash goes into `job.local`, where the harness looks for it."""
        if self._job.digest:
            Path(self._job.local).write_text(self._hash.hexdigest())
        return 1, self.size


def chunks_of(path: str) -> Iterator[bytes]:
    """A file as a stream of unknown length."""
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(STREAM_CHUNK_BYTES):
            yield chunk
