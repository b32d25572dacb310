"""What a listing asks for, and when it stops; that its entries are the values they would be if made one by one."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import parse_qs, urlsplit

import pytest

from neuro_sdk import BlobCommonPrefix, BlobObject, Bucket
from neuro_sdk._blobs import entry_of, glob_blobs, list_blobs
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.base import BlobInfo
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from tests.sdk.http_servers import ok, read_request, serving

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.AWS, NOON, False, name="bucket")
KEYS = [f"{number:04}" for number in range(2500)]


def page_of(start: int, delimiter: bool) -> bytes:
    """Up to a thousand keys; with a delimiter the first half of them as common prefixes, which S3 puts last."""
    keys = KEYS[start : start + 1000]
    shared = [f"{key}/" for key in keys[: len(keys) // 2]] if delimiter else []
    rows = [
        f"<Contents><Key>{key}</Key><LastModified>2026-11-22T12:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        "<Size>7</Size></Contents>"
        for key in keys[len(shared) :]
    ]
    rows += [f"<CommonPrefixes><Prefix>{one}</Prefix></CommonPrefixes>" for one in shared]
    stop = start + len(keys)
    more = f"true</IsTruncated><NextContinuationToken>{stop}</NextContinuationToken>"
    end = more if stop < len(KEYS) else "false</IsTruncated>"
    return f"<ListBucketResult><IsTruncated>{end}{''.join(rows)}</ListBucketResult>".encode()


class Seen:
    """What the server saw."""

    def __init__(self) -> None:
        self.pages: list[int] = []
        self.connections = 0


@asynccontextmanager
async def bucket_of_2500() -> AsyncIterator[tuple[S3Store, Seen]]:
    seen = Seen()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        while True:
            head, _ = await read_request(reader)
            query = parse_qs(urlsplit(head.split(b" ", 2)[1].decode()).query)
            seen.pages.append(int(query.get("continuation-token", ["0"])[0]))
            writer.write(ok(page_of(seen.pages[-1], "delimiter" in query)))
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
        yield S3Store(http, BUCKET, Credentials(issue)), seen
        await http.aclose()


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize(
    ("limit", "pages"),
    [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3), (2500, 3), (9999, 3), (None, 3)],
)
async def test_a_limit_gives_so_many_and_asks_for_no_page_beyond_it(
    limit: int | None, pages: int, recursive: bool
) -> None:
    async with bucket_of_2500() as (store, seen):
        batches = list_blobs(BUCKET, store, "", recursive=recursive, limit=limit)
        found = [entry async for batch in batches for entry in batch]
    assert [entry.key.rstrip("/") for entry in found] == KEYS[:limit]
    assert any(entry.is_dir() for entry in found) is (not recursive and limit != 0)
    assert seen.pages == [0, 1000, 2000][:pages]


async def test_a_listing_that_is_left_early_asks_for_no_more_and_leaves_its_connection_in_order() -> None:
    async with bucket_of_2500() as (store, seen):
        for _ in range(3):
            async with aclosing(list_blobs(BUCKET, store, "", recursive=True, limit=None)) as batches:
                async for batch in batches:
                    assert next(iter(batch)).key == "0000"
                    break
        await asyncio.sleep(0.05)
    assert (seen.pages, seen.connections) == ([0, 0, 0], 1)


@pytest.mark.parametrize("pattern", ["*7", "**/*7"])
async def test_a_pattern_is_looked_for_on_every_page(pattern: str) -> None:
    async with bucket_of_2500() as (store, seen):
        found = [entry.key.rstrip("/") async for batch in glob_blobs(BUCKET, store, pattern) for entry in batch]
    assert found == [key for key in KEYS if key.endswith("7")]
    assert seen.pages == [0, 1000, 2000]


def test_an_entry_of_a_listing_is_the_value_that_its_class_makes() -> None:
    entry = entry_of(BUCKET, BlobInfo("a/b", 7, NOON, None, '"e"'))
    made = BlobObject("a/b", BUCKET, 7, None, NOON)
    assert entry == made
    assert pickle.loads(pickle.dumps(entry)) == made
    assert (hash(entry), repr(entry), str(entry.uri)) == (hash(made), repr(made), str(made.uri))
    assert vars(entry) == vars(made)
    assert type(entry) is BlobObject


async def test_common_prefixes_come_before_the_blobs_of_their_page() -> None:
    async with bucket_of_2500() as (store, _):
        batches = [list(batch) async for batch in list_blobs(BUCKET, store, "", recursive=False, limit=None)]
    kinds = [[type(entry) for entry in batch] for batch in batches]
    assert kinds == [list(chain([BlobCommonPrefix] * half, [BlobObject] * half)) for half in (500, 500, 250)]
