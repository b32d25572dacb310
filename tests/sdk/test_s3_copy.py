"""What an S3 storage may answer to a copy, beside the engine: outcomes that come late, or make no sense; and how much passes through us."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from neuro_sdk import BadGateway, BlobChanged, Bucket, IntegrityError
from neuro_sdk._concurrency import Budget
from neuro_sdk._http import HttpClient, RetryPolicy
from neuro_sdk._stores import s3_copy, wire
from neuro_sdk._stores.base import BlobInfo
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from neuro_sdk._transfer.copy import End, copy_blob
from neuro_sdk._transfer.upload import BYTES_AT_ONCE
from tests.sdk.http_servers import ok, read_request, serving

MIB = 2**20
INFO = BlobInfo("from", 5, None, None, '"e1"')
COPIED = b"<CopyObjectResult><ETag>%b</ETag></CopyObjectResult>"
LATE = b'<?xml version="1.0"?>\n\n  <Error><Code>InternalError</Code><Message>try again</Message></Error>'


def store_at(port: int, http: HttpClient, name: str = "bucket", host: str = "127.0.0.1") -> S3Store:
    async def issue() -> Mapping[str, str]:
        return {
            "bucket_name": name,
            "endpoint_url": f"http://{host}:{port}",
            "access_key_id": "id",
            "secret_access_key": "secret",
        }

    bucket = Bucket("id", "me", "here", None, Bucket.Provider.AWS, datetime(2026, 1, 1, tzinfo=UTC), False, name=name)
    return S3Store(http, bucket, Credentials(issue))


@asynccontextmanager
async def answering(answer: Callable[[str, str], bytes]) -> AsyncIterator[tuple[S3Store, list[str]]]:
    """A bucket behind a server that answers what it is told to, and the requests that came."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            seen.append(head.decode())
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            writer.write(answer(method, target))
            await writer.drain()

    async with serving(serve) as server:
        http = HttpClient()
        yield store_at(server.port, http), seen
        await http.aclose()


async def test_an_error_that_comes_after_a_200_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_RETRY", RetryPolicy(attempts=3, base_seconds=0.001))
    answers = [ok(LATE), ok(LATE), ok(b'\n  <?xml version="1.0"?>' + COPIED % b'"e1"')]
    async with answering(lambda *_: answers.pop(0)) as (store, seen):
        assert await store.copy(store, INFO, "to")
    assert len(seen) == 3


async def test_a_200_that_tells_of_no_copy_is_no_success() -> None:
    for body in (b"", b"<ListBucketResult/>", b"<CopyObjectResult></CopyObjectResult>", b"not XML"):
        async with answering(lambda *_, body=body: ok(body)) as (store, _):
            with pytest.raises(BadGateway):
                await store.copy(store, INFO, "to")


async def test_a_copy_under_another_etag_is_measured() -> None:
    def answer(method: str, target: str) -> bytes:
        size, etag = (4 if target.endswith("/wrong") else 5), ("e1" if target.endswith("/from") else "e2-1")
        if method == "HEAD":
            return f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "{etag}"\r\n\r\n'.encode()
        return ok(COPIED % b'"e2-1"')

    async with answering(answer) as (store, _):
        assert await store.copy(store, INFO, "right")
        with pytest.raises(IntegrityError, match="4 bytes are there, not 5"):
            await store.copy(store, INFO, "wrong")


@pytest.mark.parametrize("in_parts", [False, True])
async def test_a_source_that_changed_is_seen_where_the_storage_does_not_look(
    in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is changed between the first look at it and the last."""
    monkeypatch.setattr(s3_copy, "WHOLE_BYTES", 0 if in_parts else 5)
    etags = ["e1"] if in_parts else []
    asked: list[str] = []

    def answer(method: str, target: str) -> bytes:
        asked.append(f"{method} {target.partition('?')[2]}")
        if method == "HEAD":
            etag = etags.pop() if etags else "e2"
            return f'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "{etag}"\r\n\r\n'.encode()
        if method == "POST":
            return ok(b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        if method == "GET":
            part = b"<Part><PartNumber>1</PartNumber><ETag>p</ETag><Size>5</Size></Part>"
            return ok(b"<ListPartsResult><IsTruncated>false</IsTruncated>%b</ListPartsResult>" % part)
        if method == "DELETE":
            return ok(status="204 No Content")
        return ok(b"<CopyPartResult><ETag>p</ETag></CopyPartResult>" if in_parts else COPIED % b'"e2"')

    async with answering(answer) as (store, _):
        with pytest.raises(BlobChanged, match="'from'"):
            await store.copy(store, INFO, "to")
    assert [line for line in asked if line.startswith("POST")] == ["POST uploads="] * in_parts  # and no completion
    assert [line for line in asked if line.startswith("DELETE")] == ["DELETE uploadId=u"] * in_parts


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "PreconditionFailed", "AccessDenied", "NotImplemented"])
async def test_what_only_its_own_credentials_find_is_left_to_the_caller(code: str) -> None:
    """As where each account has bucket names of its own, and what is asked for is, for the other account, not there, or another."""
    status = {"NoSuchKey": 404, "NoSuchBucket": 404, "PreconditionFailed": 412, "AccessDenied": 403}.get(code, 501)

    def answer(method: str, target: str) -> bytes:
        if method == "HEAD" and target.endswith("/from"):
            return b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "e1"\r\n\r\n'
        return ok(f"<Error><Code>{code}</Code></Error>".encode(), status=f"{status} No")

    async with answering(answer) as (store, _):
        assert await store.copy(store, INFO, "to") is False


async def test_the_source_is_named_exactly_and_pinned() -> None:
    async with answering(lambda *_: ok(COPIED % b'"e1"')) as (store, seen):
        assert await store.copy(store, INFO._replace(key="a b/%2F?+ü"), "to")
    assert "\r\nx-amz-copy-source: /bucket/a%20b/%252F%3F%2B%C3%BC\r\n" in seen[0]
    assert '\r\nx-amz-copy-source-if-match: "e1"\r\n' in seen[0]


async def test_another_storage_is_not_asked_to_copy_from_this_one() -> None:
    async with answering(lambda *_: ok()) as (store, seen):
        http = HttpClient()
        assert await store.copy(store_at(1, http), INFO, "to") is False
        assert await store.copy(store, INFO._replace(etag=None), "to") is False
        await http.aclose()
    assert seen == []


@asynccontextmanager
async def storage(size: int) -> AsyncIterator[tuple[S3Store, list[str]]]:
    """A bucket that holds one blob of this size and forgets all that is put into it, but how long it was."""
    piece = bytes(MIB)
    stored: dict[str, int] = {"/bucket/from": size}
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            path, _, query = target.partition("?")
            seen.append(f"{method} {query}")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            left = length if method != "GET" else 0
            while left:
                left -= len(await reader.read(min(left, 2**18)))
            if "list-type" in query:
                writer.write(ok(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"))
            elif method in {"HEAD", "GET"}:
                writer.write(f'HTTP/1.1 200 OK\r\nContent-Length: {stored[path]}\r\nETag: "e"\r\n\r\n'.encode())
                for _ in range(stored[path] // MIB if method == "GET" else 0):
                    writer.write(piece)
                    await writer.drain()
            elif method == "PUT":
                stored[path] = stored.get(path, 0) + length
                writer.write(ok(b"", 'ETag: "p"'))
            else:
                name = "InitiateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
                writer.write(ok(f"<{name}Result><UploadId>u</UploadId></{name}Result>".encode()))
            await writer.drain()

    async with serving(serve) as server:
        http = HttpClient()
        yield store_at(server.port, http), seen
        await http.aclose()


async def test_memory_does_not_grow_with_the_blobs_that_pass_through() -> None:
    """Measured with tracemalloc, server and all; of 1 GiB it was the same 100 MiB (resident: 135)."""
    size = 320 * MIB
    async with storage(size) as (source, _), storage(0) as (target, seen):
        bucket = Bucket("id", "me", "here", None, Bucket.Provider.AWS, datetime(2026, 1, 1, tzinfo=UTC), False)
        other = Bucket("other", "me", "here", None, Bucket.Provider.AWS, datetime(2026, 1, 1, tzinfo=UTC), False)
        gc.collect()
        gc.freeze()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await copy_blob(
                End(bucket, source, "from"),
                End(other, target, "to"),
                budget=Budget(BYTES_AT_ONCE),
                update=False,
                move=False,
                progress=None,
            )
            grown = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
            gc.unfreeze()
    assert sum("partNumber" in line for line in seen) == size // (16 * MIB)
    assert grown < 120 * MIB
