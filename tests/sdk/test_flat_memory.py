"""A bucket of any size takes no more memory than a few pages of its listing, whatever is done with it. No more is taken for a directory, a
file or a stream of any size.

The server makes each page when it is asked for, in the order and the XML of S3.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest

from neuro_sdk import AbstractDeleteProgress, Bucket, StorageProgressDelete
from neuro_sdk._blobs import glob_blobs, list_blobs, measure, remove
from neuro_sdk._concurrency import Budget
from neuro_sdk._http import HttpClient
from neuro_sdk._stores import multipart
from neuro_sdk._stores.base import BlobInfo, BlobStore, Buffer, Haul, Part
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._stores.s3 import S3Store
from neuro_sdk._transfer.copy import End, copy_dir
from neuro_sdk._transfer.download import download_dir
from neuro_sdk._transfer.fetch import RANGE_BYTES, _fetch_ranges
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.resume import PartFile
from neuro_sdk._transfer.scan import SORTED_ENTRIES
from neuro_sdk._transfer.tree import NO_EVENTS
from neuro_sdk._transfer.upload import BYTES_AT_ONCE, upload_dir
from tests.sdk.http_servers import ok, read_request, serving

FOLDER_KEYS = 10
PEAK_BYTES = 4_000_000
"""A page with its parsed form takes a third of it; what is known of 50,000 keys, were it kept, five times as much."""
BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.AWS, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket")

Act = Callable[[S3Store, int, Path], Awaitable[None]]


def key_of(number: int) -> str:
    return f"top/{number // FOLDER_KEYS:06}/{number:09}"


def page_of(query: Mapping[str, list[str]], count: int) -> bytes:
    """One answer to ListObjectsV2, for the prefixes that these tests ask for."""
    prefix, wanted = query.get("prefix", [""])[0], int(query["max-keys"][0])
    start = int(query.get("continuation-token", ["0"])[0])
    if len(prefix) > len("top/"):  # one folder
        number = int(prefix[len("top/") :].rstrip("/"))
        start, count = max(start, number * FOLDER_KEYS), min(count, (number + 1) * FOLDER_KEYS)
    elif prefix not in {"", "t", "top/"}:
        count = 0
    step = FOLDER_KEYS if "delimiter" in query and len(prefix) <= len("top/") else 1
    stop = min(start + wanted * step, count)
    rows: list[str] = []
    for number in range(start, stop, step):
        key = key_of(number)
        if step > 1:
            rows.append(f"<CommonPrefixes><Prefix>{key[: key.rfind('/') + 1]}</Prefix></CommonPrefixes>")
        else:
            rows.append(
                f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{number:032x}&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
    more = (
        f"<IsTruncated>true</IsTruncated><NextContinuationToken>{stop}</NextContinuationToken>"
        if stop < count
        else "<IsTruncated>false</IsTruncated>"
    )
    return f"<ListBucketResult><EncodingType>url</EncodingType>{more}{''.join(rows)}</ListBucketResult>".encode()


@asynccontextmanager
async def bucket_of(count: int) -> AsyncIterator[S3Store]:
    """A bucket with so many keys, behind a socket."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            query = parse_qs(urlsplit(target).query, keep_blank_values=True)
            if method == "POST":
                writer.write(ok(b"<DeleteResult></DeleteResult>"))
            elif method == "HEAD":
                writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
            elif method == "PUT":
                writer.write(ok(b"", 'ETag: "0"'))
            elif "list-type" in query:
                writer.write(ok(page_of(query, count)))
            else:  # why the HEAD was answered so
                writer.write(ok(b"<Error><Code>NoSuchKey</Code></Error>", status="404 Not Found"))
            await writer.drain()

    async with serving(answer) as server:

        async def issue() -> Mapping[str, str]:
            return {
                "bucket_name": "bucket",
                "endpoint_url": f"http://127.0.0.1:{server.port}",
                "region_name": "here",
                "access_key_id": "id",
                "secret_access_key": "secret",
                "session_token": "token",
            }

        http = HttpClient()
        yield S3Store(http, BUCKET, Credentials(issue))
        await http.aclose()


async def length(batches: AsyncIterator[Iterable[object]]) -> int:
    count = 0
    async for batch in batches:
        for _ in batch:
            count += 1
    return count


async def list_all(store: S3Store, count: int, place: Path) -> None:
    assert await length(list_blobs(BUCKET, store, "", recursive=True, limit=None)) == count


async def list_folders(store: S3Store, count: int, place: Path) -> None:
    assert await length(list_blobs(BUCKET, store, "top/", recursive=False, limit=None)) == count // FOLDER_KEYS


async def glob_all(store: S3Store, count: int, place: Path) -> None:
    assert await length(glob_blobs(BUCKET, store, "**/*5")) == count // 10


async def glob_by_folder(store: S3Store, count: int, place: Path) -> None:
    assert await length(glob_blobs(BUCKET, store, "top/*00/*")) == count // 100


async def usage(store: S3Store, count: int, place: Path) -> None:
    results = [usage async for usage in measure(store)]
    assert (results[-1].object_count, results[-1].total_bytes) == (count, 7 * count)
    assert len(results) == count // 1000  # as it goes, and not once an object


async def remove_all(store: S3Store, count: int, place: Path) -> None:
    class Counted(AbstractDeleteProgress):
        blobs = folders = 0

        def delete(self, data: StorageProgressDelete) -> None:
            self.folders += data.is_dir
            self.blobs += not data.is_dir

    seen = Counted()
    await remove(BUCKET, store, "top", recursive=True, progress=seen)
    assert (seen.blobs, seen.folders) == (count, count // FOLDER_KEYS + 1)


async def plan_a_download(store: S3Store, count: int, place: Path) -> None:
    """All that a download does but the fetching: its directories are made."""
    asked = 0

    async def wanted(path: str) -> bool:
        nonlocal asked
        asked += not path.endswith("/")
        return path.endswith("/")

    await download_dir(BUCKET, store, "top", place, update=True, continue_=True, wanted=wanted, progress=None)
    assert asked == count
    assert sum(1 for _ in place.iterdir()) == count // FOLDER_KEYS


async def plan_a_copy(store: S3Store, count: int, place: Path) -> None:
    """All that a copy does but the copying."""
    asked = 0

    async def wanted(path: str) -> bool:
        nonlocal asked
        asked += not path.endswith("/")
        return path.endswith("/")

    end = End(BUCKET, store, "top")
    there = End(replace(BUCKET, id="other"), store, "top")
    budget = Budget(BYTES_AT_ONCE)
    await copy_dir(end, there, budget=budget, update=False, move=False, wanted=wanted, progress=None)
    assert asked == count


async def update_an_upload(store: S3Store, count: int, place: Path) -> None:
    """A small directory, to where a great many blobs are."""
    (place / "000007").mkdir(parents=True)
    (place / "000007" / "000000070").write_bytes(b"same sz")
    await upload_dir(
        place,
        BUCKET,
        store,
        "top",
        journal=Journal(place / "none"),
        update=True,
        wanted=None,
        ignore_file_names=frozenset(),
        progress=None,
    )


@pytest.mark.parametrize(
    ("act", "count"),
    [
        (list_all, 200_000),
        (list_folders, 200_000),
        (glob_all, 50_000),
        (glob_by_folder, 50_000),
        (usage, 50_000),
        (remove_all, 50_000),
        (plan_a_download, 50_000),
        (plan_a_copy, 50_000),
        (update_an_upload, 50_000),
    ],
)
async def test_memory_does_not_grow_with_the_keys(act: Act, count: int, tmp_path: Path) -> None:
    assert await peak(act, count, tmp_path / "place") < PEAK_BYTES


async def test_memory_does_not_grow_with_the_files_of_one_directory(tmp_path: Path) -> None:
    count = 2 * SORTED_ENTRIES + 1
    place = tmp_path / "place"
    place.mkdir()
    for number in range(count):
        (place / f"{number:09}").touch()
    asked = 0

    async def wanted(path: str) -> bool:
        nonlocal asked
        asked += 1
        return False

    async def walk(store: S3Store, count: int, place: Path) -> None:
        await upload_dir(
            place,
            BUCKET,
            store,
            "top",
            journal=Journal(place / "none"),
            update=False,
            wanted=wanted,
            ignore_file_names=frozenset(),
            progress=None,
        )

    assert await peak(walk, count, place) < PEAK_BYTES
    assert asked == count


async def peak(act: Act, count: int, place: Path) -> int:
    """The most bytes that were in use while it ran, above those before."""
    async with bucket_of(count) as store:
        assert [page async for page in store.list("z")]  # a connection, and all that is made once
        gc.collect()
        gc.freeze()  # else the collector waits the longer, the more the tests before have left in this process
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await act(store, count, place)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
            gc.unfreeze()


class Taken:
    """Stores parts slowly, and forgets them. `held` is what came from a source and is not stored yet."""

    def __init__(self) -> None:
        self.fed = self.stored = self.most_held = self.parts = 0

    def haul(self) -> AbstractAsyncContextManager[Haul]:
        return MemoryStore("none").haul()

    async def begin(self, key: str) -> str:
        return "upload"

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        for _ in range(10):  # the next ones are being filled
            await asyncio.sleep(0)
        self.stored += len(body)
        self.parts += 1
        return Part(number, "etag", len(body))

    async def complete(self, key: str, upload_id: str, parts: object) -> None:
        pass

    async def stream(self, size: int, chunk: bytes) -> AsyncIterator[bytes]:
        while self.fed < size:
            yield chunk
            self.fed += len(chunk)
            self.most_held = max(self.most_held, self.fed - self.stored)


async def test_a_stream_of_many_gib_holds_no_more_than_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gib, smaller = 234, 1024  # all sizes are smaller than in truth: of parts, of what may be held, of the stream
    part_bytes, held_bytes = multipart.SINGLE_PUT_BYTES // smaller, multipart.HELD_BYTES // smaller
    monkeypatch.setattr(multipart, "SINGLE_PUT_BYTES", part_bytes)
    monkeypatch.setattr(multipart, "HELD_BYTES", held_bytes)
    store = Taken()
    body = store.stream(gib * 2**30 // smaller, bytes(part_bytes))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await multipart.put_in_parts(cast("BlobStore", store), "key", multipart.cut(body, None))
        peak_bytes = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert store.stored >= gib * 2**30 // smaller
    assert store.most_held <= held_bytes
    assert peak_bytes < held_bytes + 400 * store.parts + 100_000  # what is known of each stored part stays


async def test_a_part_that_is_larger_than_what_may_be_held_is_held_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "SINGLE_PUT_BYTES", 64)
    monkeypatch.setattr(multipart, "HELD_BYTES", 128)
    monkeypatch.setattr(multipart, "_GROWTH", (1, 3))
    store = Taken()
    await multipart.put_in_parts(cast("BlobStore", store), "key", multipart.cut(store.stream(100_000, b"x"), None))
    assert store.stored == 100_000
    assert store.parts == 1000 + -(-36_000 // 192)
    assert store.most_held <= 192


async def test_what_is_known_of_the_ranges_of_a_large_file_is_little(tmp_path: Path) -> None:
    count = 20_000

    class Arrived:
        noted = 0
        descriptor = -1

        def note(self, start: int, stop: int) -> None:
            self.noted += stop - start

    class Hauls:
        @asynccontextmanager
        async def haul(self) -> AsyncIterator["Hauls"]:
            yield self

        async def get(
            self, info: BlobInfo, start: int, stop: int, descriptor: int, moved: Callable[[int], None]
        ) -> int:
            return stop - start

    info, part = BlobInfo("key", count * RANGE_BYTES, None, None, "etag"), Arrived()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await _fetch_ranges(cast("BlobStore", Hauls()), info, cast("PartFile", part), [], NO_EVENTS)
        peak_bytes = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert part.noted == info.size
    assert peak_bytes < 10 * count
