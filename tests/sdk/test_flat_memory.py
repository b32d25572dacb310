"""A bucket of any size takes no more memory than a few pages of its listing, whatever is done with it.

The server makes each page when it is asked for, in the order and the XML of S3.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from neuro_sdk import AbstractDeleteProgress, Bucket, StorageProgressDelete
from neuro_sdk._blobs import glob_blobs, list_blobs, measure, remove
from neuro_sdk._concurrency import Budget
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from neuro_sdk._transfer.copy import End, copy_dir
from neuro_sdk._transfer.download import download_dir
from neuro_sdk._transfer.journal import Journal
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
