"""Large files by blocking sockets: fast while all goes well, whole whatever happens, and nothing is left of what is given up."""

import asyncio
import base64
import contextlib
import os
import re
import ssl
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from neuro_sdk import (
    AbstractFileProgress,
    BadGateway,
    BlobChanged,
    Bucket,
    IntegrityError,
    ServerNotAvailable,
    StorageProgressComplete,
    StorageProgressStart,
    StorageProgressStep,
)
from neuro_sdk._http import HttpClient, Line, Origin, Stretch, Timeouts
from neuro_sdk._http._haul import LINES, Haul
from neuro_sdk._stores.base import BlobInfo
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from neuro_sdk._transfer.download import download_file
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.upload import upload_file
from tests.sdk.http_certificates import Authority
from tests.sdk.http_servers import Server, ok, read_request, serving, silent, until

MIB = 2**20
PART_BYTES = 16 * MIB
ETAG = '"the-blob"'
NOTHING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.AWS, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket")


def text_of(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


@dataclass
class Request:
    method: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    number: int
    """Of all PUTs, or GETs, of bodies, from 1."""

    @property
    def range(self) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2])) if found else None


Mischief = Callable[[Request, bytes], bytes | None]
"""What is answered instead of the answer; None: nothing, and the connection is closed. What is too short is closed after too."""


@dataclass
class S3:
    """One blob, and one upload in parts, behind a socket."""

    blob: bytes = b""
    mischief: Mischief = lambda _, answer: answer
    parts: dict[int, bytes] = field(default_factory=dict)
    whole: bytes | None = None
    completed: int | None = None
    aborted: int = 0
    bodies: int = 0
    stall: bool = False
    """Bodies are neither read nor sent to their end."""
    keeps: bool = True
    stored_sizes: list[int] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()  # nobody is there who would read what is still to be written
            raise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rows = head.split("\r\n")
            method, target, _ = line.split(" ")
            headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in rows if row)}
            query = parse_qs(urlsplit(target).query, keep_blank_values=True)
            key = urlsplit(target).path.removeprefix("/bucket").strip("/")
            moves = key and (method == "GET" or (method == "PUT"))
            self.bodies += bool(moves)
            request = Request(method, query, headers, self.bodies)
            body, crc = bytearray(), 0
            left = int(headers.get("content-length", "0"))
            if self.stall and method == "PUT":
                await asyncio.Event().wait()
            while left:
                piece = await reader.read(min(left, MIB // 4))
                if not piece:
                    return
                left -= len(piece)
                crc = zlib.crc32(piece, crc)
                if self.keeps:
                    body += piece
            answer = self._answer(request, bytes(body), crc, key)
            shown = self.mischief(request, answer) if moves else answer
            if self.stall and method == "GET" and moves:
                writer.write(answer[: len(answer) // 2])
                await writer.drain()
                await asyncio.Event().wait()
            if shown is None:
                return
            writer.write(shown)
            await writer.drain()
            if shown is not answer and not shown.startswith(b"HTTP/1.1 5"):
                return

    def _answer(self, request: Request, body: bytes, crc: int, key: str) -> bytes:
        query = request.query
        match request.method:
            case "HEAD":
                return f"HTTP/1.1 200 OK\r\nETag: {ETAG}\r\nContent-Length: {len(self.blob)}\r\n\r\n".encode()
            case "POST" if "uploads" in query:
                return ok(b"<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>")
            case "POST":
                self.completed = len(self.parts)
                return ok(b"<CompleteMultipartUploadResult/>")
            case "DELETE":
                self.aborted += 1
                return b"HTTP/1.1 204 No Content\r\n\r\n"
            case "PUT":
                if request.headers.get("x-amz-checksum-crc32") != text_of(crc):
                    return ok(b"<Error><Code>BadDigest</Code></Error>", status="400 Bad Request")
                self.stored_sizes.append(int(request.headers["content-length"]))
                if "partNumber" in query:
                    self.parts[int(query["partNumber"][0])] = body
                else:
                    self.whole = body
                return ok(b"", f'ETag: "{crc:x}"')
        if not key:
            return ok(NOTHING)
        if request.range is None:
            return ok(self.blob, f"ETag: {ETAG}", f"x-amz-checksum-crc32: {text_of(zlib.crc32(self.blob))}")
        start, last = request.range
        row = f"Content-Range: bytes {start}-{last}/{len(self.blob)}"
        return ok(self.blob[start : last + 1], f"ETag: {ETAG}", row, status="206 Partial Content")


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    if request.param == "plain":
        return None, None
    authority = Authority(tmp_path)
    return authority.server_context(), authority.client_context()


Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]


@contextlib.asynccontextmanager
async def bucket_on(s3: S3, contexts: Contexts, read_seconds: float = 5.0) -> AsyncIterator[tuple[S3Store, Server]]:
    async with serving(s3.handle, context=contexts[0]) as server:

        async def issue() -> Mapping[str, str]:
            return {
                "bucket_name": "bucket",
                "endpoint_url": str(server.origin),
                "region_name": "here",
                "access_key_id": "id",
                "secret_access_key": "secret",
            }

        http = HttpClient(ssl_context=contexts[1], environ={}, timeouts=Timeouts(connect=5.0, read=read_seconds))
        try:
            yield S3Store(http, BUCKET, Credentials(issue)), server
        finally:
            await http.aclose()
        if not s3.stall:
            await until(lambda: server.open == 0)
            await asyncio.sleep(0.02)  # the loop closes what has ended
    assert not hauling()


def hauling() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("neuro-haul")]


async def up(store: S3Store, path: Path) -> None:
    journal = Journal(path.parent / "journal")
    await upload_file(path, BUCKET, store, "key", journal=journal, update=False, progress=None)


async def down(store: S3Store, path: Path) -> None:
    await download_file(BUCKET, store, "key", path, update=False, continue_=False, progress=None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of three parts, the last one a short one."""
    path = tmp_path / "source"
    path.write_bytes(os.urandom(MIB) * 33 + b"the end")
    return path


def parts_of(body: bytes) -> dict[int, bytes]:
    return {number: body[at : at + PART_BYTES] for number, at in enumerate(range(0, len(body), PART_BYTES), 1)}


async def test_a_large_file_goes_up_in_parts_each_sent_once(contexts: Contexts, source: Path) -> None:
    s3 = S3()
    async with bucket_on(s3, contexts) as (store, _):
        await up(store, source)
    assert s3.parts == parts_of(source.read_bytes())
    assert (s3.completed, s3.aborted, s3.bodies) == (3, 0, 3)


async def test_a_large_blob_comes_in_ranges_each_asked_for_once(contexts: Contexts, tmp_path: Path) -> None:
    s3 = S3(os.urandom(MIB) * 40 + b"the end")
    async with bucket_on(s3, contexts) as (store, _):
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == s3.blob
    assert s3.bodies == 3
    assert not list(tmp_path.glob(".*part*"))


async def test_a_file_of_one_part_goes_and_comes_in_one_request(contexts: Contexts, tmp_path: Path) -> None:
    body = os.urandom(3 * MIB + 7)
    (tmp_path / "there").write_bytes(body)
    s3 = S3(body)
    async with bucket_on(s3, contexts) as (store, _):
        await up(store, tmp_path / "there")
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == s3.whole == body
    assert s3.bodies == 2


async def test_the_threads_and_connections_are_gone_after_the_call(contexts: Contexts, source: Path) -> None:
    s3, seen = S3(), 0

    def look(_: Request, answer: bytes) -> bytes:
        nonlocal seen
        seen = max(seen, len(hauling()))
        return answer

    s3.mischief = look
    async with bucket_on(s3, contexts) as (store, server):
        await up(store, source)
        assert 1 <= seen <= LINES
        assert not hauling()
        await until(lambda: server.open <= 1)  # what the pool keeps


def replaced(old: bytes, new: bytes) -> Mischief:
    def act(_: Request, answer: bytes) -> bytes:
        assert old in answer
        return answer.replace(old, new, 1)

    return act


DOWN: dict[str, Mischief] = {
    "closed": lambda _, answer: None,
    "busy": lambda _, answer: ok(b"<Error><Code>SlowDown</Code></Error>", status="503 Slow Down"),
    "cut in the head": lambda _, answer: answer[:40],
    "cut after the head": lambda _, answer: answer[: answer.index(b"\r\n\r\n") + 4],
    "cut in the middle": lambda _, answer: answer[: len(answer) // 2],
    "cut before the end": lambda _, answer: answer[:-1],
    "no HTTP": lambda _, answer: b"this is no HTTP\r\n\r\n",
    "two lengths": replaced(b"Content-Length", b"Content-Length: 1\r\nContent-Length"),
    "no length": replaced(b"Content-Length", b"X-Length"),
}


def at_first(act: Mischief, times: int) -> Mischief:
    return lambda request, answer: act(request, answer) if request.number <= times else answer


@pytest.mark.parametrize("mischief", DOWN)
@pytest.mark.parametrize("times", [1, 3])
async def test_ranges_that_come_wrong_are_fetched_with_care(
    contexts: Contexts, mischief: str, times: int, tmp_path: Path
) -> None:
    asked: set[int] = set()

    def act(request: Request, answer: bytes) -> bytes | None:
        """Once for each of so many ranges."""
        assert request.range is not None
        if request.range[1] in asked or len(asked) == times:
            return answer
        asked.add(request.range[1])
        return DOWN[mischief](request, answer)

    s3 = S3(os.urandom(MIB) * 40 + b"the end", act)
    async with bucket_on(s3, contexts) as (store, _):
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == s3.blob
    assert s3.bodies > 3
    assert not list(tmp_path.glob(".*part*"))


@pytest.mark.parametrize("mischief", [replaced(b"bytes 0-", b"bytes 1-"), replaced(b"206 Partial", b"200 Fine")])
async def test_a_range_that_is_not_the_one_asked_for_is_not_believed(
    contexts: Contexts, mischief: Mischief, tmp_path: Path
) -> None:
    s3 = S3(os.urandom(MIB) * 40)
    s3.mischief = lambda request, answer: (
        mischief(request, answer) if request.range == (0, PART_BYTES - 1) and request.number <= 3 else answer
    )
    async with bucket_on(s3, contexts) as (store, _):
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == s3.blob
    assert s3.bodies == 4


async def test_what_came_of_a_range_that_broke_is_not_fetched_again(contexts: Contexts, tmp_path: Path) -> None:
    s3, starts = S3(os.urandom(MIB) * 40), []

    def break_one(request: Request, answer: bytes) -> bytes:
        assert request.range is not None
        starts.append(request.range[0])
        return answer[: len(answer) - 5 * MIB] if request.number == 1 else answer

    s3.mischief = break_one
    async with bucket_on(s3, contexts) as (store, _):
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == s3.blob
    again = [start % PART_BYTES for start in starts if start % PART_BYTES]
    assert len(again) == 1
    assert again[0] >= 2 * MIB


@pytest.mark.parametrize("mischief", DOWN)
async def test_a_whole_blob_that_comes_wrong_is_fetched_with_care(
    contexts: Contexts, mischief: str, tmp_path: Path
) -> None:
    s3 = S3(os.urandom(5 * MIB), at_first(DOWN[mischief], 1))
    async with bucket_on(s3, contexts) as (store, _):
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == s3.blob
    assert s3.bodies == 2


async def test_bytes_that_do_not_fit_their_checksum_never_become_the_file(contexts: Contexts, tmp_path: Path) -> None:
    s3 = S3(os.urandom(5 * MIB))
    s3.mischief = lambda _, answer: answer[:-1] + bytes([answer[-1] ^ 1])
    async with bucket_on(s3, contexts) as (store, _):
        with pytest.raises(IntegrityError):
            await down(store, tmp_path / "here")
    assert s3.bodies == 2  # and with care once more
    assert not (tmp_path / "here").exists()
    assert not list(tmp_path.glob(".*part*"))


async def test_a_shorter_blob_in_the_place_of_one_that_broke_is_whole(contexts: Contexts, tmp_path: Path) -> None:
    s3, shorter = S3(os.urandom(5 * MIB)), os.urandom(2 * MIB)

    def replace_it(request: Request, answer: bytes) -> bytes:
        s3.blob = shorter
        return answer[:-1] if request.number == 1 else answer

    s3.mischief = replace_it
    async with bucket_on(s3, contexts) as (store, _):
        await down(store, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == shorter


UP: dict[str, Mischief] = {
    "closed": lambda _, answer: None,
    "busy": lambda _, answer: ok(b"<Error><Code>SlowDown</Code></Error>", status="503 Slow Down"),
    "cut": lambda _, answer: answer[:-2],
    "no HTTP": lambda _, answer: b"this is no HTTP\r\n\r\n",
    "no etag": replaced(b"ETag", b"X-Tag"),
}


@pytest.mark.parametrize("mischief", [name for name in UP if name != "no etag"])
async def test_parts_that_are_not_stored_are_sent_with_care(contexts: Contexts, mischief: str, source: Path) -> None:
    s3 = S3(mischief=at_first(UP[mischief], 1))
    async with bucket_on(s3, contexts) as (store, _):
        await up(store, source)
    assert s3.parts == parts_of(source.read_bytes())
    assert (s3.completed, s3.bodies) == (3, 4)


@pytest.mark.parametrize("mischief", UP)
async def test_a_whole_file_that_is_not_stored_is_sent_with_care(
    contexts: Contexts, mischief: str, tmp_path: Path
) -> None:
    (tmp_path / "there").write_bytes(os.urandom(2 * MIB))
    s3 = S3(mischief=at_first(UP[mischief], 1))
    async with bucket_on(s3, contexts) as (store, _):
        await up(store, tmp_path / "there")
    assert s3.whole == (tmp_path / "there").read_bytes()
    assert s3.bodies == 2


async def test_a_part_without_an_etag_is_told_by_the_careful_way(contexts: Contexts, source: Path) -> None:
    s3 = S3(mischief=UP["no etag"])
    async with bucket_on(s3, contexts) as (store, _):
        with pytest.raises(BadGateway, match="etag"):
            await up(store, source)
    assert (s3.completed, s3.aborted) == (None, 1)


async def test_an_early_refusal_is_not_waited_out(contexts: Contexts, source: Path) -> None:
    refusals = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refusals
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"PUT "):
                refusals += 1
                body = b"<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>"
                writer.write(ok(body, status="403 Forbidden"))
                await writer.drain()
                await asyncio.Event().wait()  # and it reads no more
            answer = b"<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>"
            writer.write(ok(answer) if head.startswith(b"POST") else ok(NOTHING))
            await writer.drain()

    s3 = S3(stall=True)
    s3.handle = refuse  # type: ignore[method-assign]
    async with bucket_on(s3, contexts, read_seconds=60.0) as (store, _):
        async with asyncio.timeout(20):
            with pytest.raises(Exception, match="full"):
                await up(store, source)
    assert refusals


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_cancelled_transfer_leaves_no_thread_no_connection_and_no_upload(
    contexts: Contexts, direction: str, source: Path, tmp_path: Path
) -> None:
    s3 = S3(os.urandom(MIB) * 40, stall=True)
    async with bucket_on(s3, contexts) as (store, server):
        work = asyncio.create_task(up(store, source) if direction == "up" else down(store, tmp_path / "here"))
        await until(lambda: s3.bodies == 3)
        assert hauling()
        work.cancel()
        async with asyncio.timeout(2):
            with pytest.raises(asyncio.CancelledError):
                await work
        assert not hauling()
        await until(lambda: s3.aborted == (direction == "up"))
        assert s3.completed is None
    assert not (tmp_path / "here").exists()
    assert not list(tmp_path.glob(".*part*"))
    assert server.accepted >= 3


async def test_whoever_watches_and_fails_ends_the_transfer(contexts: Contexts, tmp_path: Path) -> None:
    class Broken(AbstractFileProgress):
        def start(self, data: StorageProgressStart) -> None:
            pass

        def step(self, data: StorageProgressStep) -> None:
            raise BrokenPipeError("nobody reads the progress")

        def complete(self, data: StorageProgressComplete) -> None:
            pass

    s3, options = S3(os.urandom(MIB) * 40), {"update": False, "continue_": False}
    async with bucket_on(s3, contexts) as (store, _):
        with pytest.raises(BrokenPipeError):
            await download_file(BUCKET, store, "key", tmp_path / "here", progress=Broken(), **options)
    assert not list(tmp_path.glob("*here*"))


async def test_steps_are_told_while_a_range_is_under_way_and_add_up(contexts: Contexts, tmp_path: Path) -> None:
    steps: list[int] = []

    class Watching(AbstractFileProgress):
        def start(self, data: StorageProgressStart) -> None:
            assert data.size == len(s3.blob)

        def step(self, data: StorageProgressStep) -> None:
            assert threading.current_thread() is threading.main_thread()
            steps.append(data.current)

        def complete(self, data: StorageProgressComplete) -> None:
            steps.append(data.size)

    s3, options = S3(os.urandom(MIB) * 40), {"update": False, "continue_": False}
    s3.mischief = lambda request, answer: answer[: 3 * MIB] if request.number == 1 else answer
    async with bucket_on(s3, contexts) as (store, _):
        await download_file(BUCKET, store, "key", tmp_path / "here", progress=Watching(), **options)
    assert steps == sorted(steps)
    assert steps[-2:] == [40 * MIB, 40 * MIB]


async def test_a_chunked_answer_to_a_part_is_an_answer(contexts: Contexts, source: Path) -> None:
    def chunked(_: Request, answer: bytes) -> bytes:
        return answer.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"

    s3 = S3(mischief=chunked)
    async with bucket_on(s3, contexts) as (store, _):
        await up(store, source)
    assert (s3.completed, s3.bodies) == (3, 3)


async def test_closing_the_client_ends_what_is_under_way(contexts: Contexts, tmp_path: Path) -> None:
    s3 = S3(os.urandom(MIB) * 40, stall=True)
    async with bucket_on(s3, contexts) as (store, _):
        work = asyncio.create_task(down(store, tmp_path / "here"))
        await until(lambda: s3.bodies == 3)
        await store._at_hand.http.aclose()
        async with asyncio.timeout(5):
            with pytest.raises((ServerNotAvailable, RuntimeError)):
                await work
    assert not hauling()


async def test_a_server_that_falls_silent_is_left_after_the_time_there_is_for_it(
    contexts: Contexts, tmp_path: Path
) -> None:
    async with serving(silent, context=contexts[0]) as server:
        http = HttpClient(ssl_context=contexts[1], environ={}, timeouts=Timeouts(read=0.3))
        async with asyncio.timeout(5), http.haul(server.origin) as haul:
            assert await haul.run(lambda line: line.ask("GET", "/", []).status) is None
        await until(lambda: server.open == 0)
        await http.aclose()


async def test_a_server_that_answers_late_is_waited_for(contexts: Contexts) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(1.2)
            writer.write(ok(b"here")[:-2])
            await writer.drain()
            await asyncio.sleep(1.2)
            writer.write(b"re")
            await writer.drain()

    async with serving(late, context=contexts[0]) as server:
        http = HttpClient(ssl_context=contexts[1], environ={})
        async with asyncio.timeout(10), http.haul(server.origin) as haul:
            assert await haul.run(lambda line: (line.ask("GET", "/", []).status, line.read())) == (200, b"here")
        await http.aclose()


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(contexts: Contexts) -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ok(b"one"))  # and closes, without a word about it

    def ask(line: Line) -> bytes:
        line.ask("GET", "/", [])
        return line.read()

    async with serving(twice, context=contexts[0]) as server:
        http = HttpClient(ssl_context=contexts[1], environ={})
        async with http.haul(server.origin) as haul:
            for number in range(1, 4):
                assert await haul.run(ask) == b"one"
                await until(lambda number=number: server.accepted == number and server.open == 0)  # type: ignore[misc]
                await asyncio.sleep(0.05)
        await http.aclose()


async def test_after_failures_in_a_row_nothing_is_tried_for_a_while(contexts: Contexts) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return

    async with serving(refuse, context=contexts[0]) as server:
        http = HttpClient(ssl_context=contexts[1], environ={})
        async with http.haul(server.origin) as haul:
            for _ in range(20):
                assert await haul.run(lambda line: line.ask("GET", "/", []).status) is None
        assert server.accepted <= LINES
        await http.aclose()


async def test_an_untrusted_certificate_is_never_spoken_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    heads: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.read(10))

    async with serving(listen, context=authority.server_context()) as server:
        http = HttpClient(ssl_context=other.client_context(), environ={})
        async with http.haul(server.origin) as haul:
            assert await haul.run(lambda line: line.ask("GET", "/", []).status) is None
        await http.aclose()
    assert not heads


async def test_behind_a_proxy_nothing_is_hauled() -> None:
    loop = asyncio.get_running_loop()
    http = HttpClient(environ={"http_proxy": "http://proxy.example:1"})
    async with http.haul(Origin("http", "storage.example", 80)) as haul:
        assert await haul.run(lambda _: 1) is None
    await http.aclose()
    limited = Haul(loop, Origin("http", "127.0.0.1", 1), None, Timeouts(total=5.0), here=True)
    async with limited as haul:
        assert await haul.run(lambda _: 1) is None  # nor where all of a request has its time


async def test_a_file_that_changed_before_it_is_sent_is_not_stored(contexts: Contexts, source: Path) -> None:
    s3 = S3()

    def changed() -> None:
        raise BlobChanged("it did")

    with source.open("rb") as file:
        async with bucket_on(s3, contexts) as (store, _), store.haul() as haul:
            assert not await haul.put("key", Stretch(file.fileno(), 0, MIB), changed)
            assert await haul.put("key", Stretch(file.fileno(), 0, MIB), lambda: None)
    assert s3.bodies == 1
    assert s3.whole == source.read_bytes()[:MIB]


async def test_a_file_that_changes_after_it_was_hashed_is_refused_and_not_stored(
    contexts: Contexts, source: Path
) -> None:
    s3 = S3()

    def write() -> None:
        with source.open("r+b") as file:
            file.write(b"something else")

    with source.open("rb") as file:
        async with bucket_on(s3, contexts) as (store, _), store.haul() as haul:
            assert not await haul.put("key", Stretch(file.fileno(), 0, MIB), write)
    assert s3.bodies == 1
    assert s3.whole is None


async def test_a_file_that_is_cut_short_meanwhile_is_not_stored(contexts: Contexts, source: Path) -> None:
    s3 = S3()
    with source.open("rb") as file:
        async with bucket_on(s3, contexts) as (store, _), store.haul() as haul:
            shorter = lambda: os.truncate(source, MIB)  # noqa: E731 - short, and said where it is used
            assert not await haul.put("key", Stretch(file.fileno(), 0, 10 * MIB), shorter)
            assert await haul.put_part("key", "U", 1, Stretch(file.fileno(), 0, 10 * MIB)) is None
    assert (s3.whole, s3.parts) == (None, {})


async def test_a_blob_without_an_etag_is_left_to_care(contexts: Contexts, tmp_path: Path) -> None:
    s3 = S3(bytes(2 * MIB))
    async with bucket_on(s3, contexts) as (store, _), store.haul() as haul:
        with (tmp_path / "file").open("wb") as file:
            assert await haul.get(BlobInfo("key", 2 * MIB), 0, 2 * MIB, file.fileno(), lambda _: None) == 0
    assert s3.bodies == 0


async def test_a_large_file_takes_no_more_memory_than_the_buffers(contexts: Contexts, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(160):
            file.write(os.urandom(MIB))
    s3 = S3(keeps=False)
    async with bucket_on(s3, contexts) as (store, _):
        tracemalloc.start()
        try:
            await up(store, path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert s3.stored_sizes == [PART_BYTES] * 10
    assert peak < 24 * MIB  # the server's own buffers among it; four parts would be 64
