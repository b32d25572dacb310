"""Upload sessions of Google Cloud Storage against a server that keeps to the book: partial commits, lost answers, status, cancellation."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from neuro_sdk import AuthenticationError, BadGateway, IntegrityError, NeuroError, ResourceNotFound
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from neuro_sdk._stores.multipart import SINGLE_PUT_BYTES
from tests.sdk.gcs_helpers import BUCKET, Asked, blob, refused, script, told
from tests.sdk.http_servers import ok, serving

KIB = 1024
MIB = 2**20
UNIT = 256 * KIB
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
BODY = os.urandom(MIB) * 37 + b"the end"


class Sessions:
    """The JSON API's sessions as documented; a blob is there when its session is whole, and not before."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.sessions: dict[str, bytearray] = {}
        self.whole: dict[str, bytes] = {}
        """Of a session that is over, what it is answered with."""
        self.cancelled: list[str] = []
        self.seen: list[Asked] = []
        self.takes: Callable[[int, bytes], bytes] = lambda _, body: body
        """What it takes of the body of its so manieth PUT."""
        self.says: Callable[[int, bytes], bytes | None] = lambda _, answer: answer
        """What it answers to its so manieth PUT, of what it would."""
        self.puts = 0

    def answer(self, asked: Asked) -> bytes | None:
        if asked.method == "POST" and "uploads" in asked.query:  # no XML API here
            return refused(400, "invalid", "invalid uploadType")
        session_id = asked.query.get("upload_id", "")
        if asked.method == "POST":
            assert asked.query["uploadType"] == "resumable"
            session_id = f"session-{len(self.seen)}"
            self.sessions[session_id] = bytearray()
            where = "http://upload.example/upload/storage/v1/b/b/o?uploadType=resumable"
            return ok(b"", f"Location: {where}&name={asked.query['name']}&upload_id={session_id}")
        if session_id in self.whole:
            return self.whole[session_id]
        if session_id not in self.sessions:
            return refused(410, "gone", "Gone")
        if asked.method == "DELETE":
            self.cancelled.append(session_id)
            del self.sessions[session_id]
            return ok(status="499 Client Closed Request")
        self.puts += 1
        return self.says(self.puts, self._put(session_id, asked))

    def _put(self, session_id: str, asked: Asked) -> bytes:
        held = self.sessions[session_id]
        match = _RANGE.fullmatch(asked.headers["content-range"])
        assert match is not None
        start, stop, total = match.groups()
        if start is not None:
            assert int(stop) - int(start) + 1 == len(asked.body)
            assert total != "*" or len(asked.body) % UNIT == 0
            if int(start) > len(held):
                return refused(503, "backendError", "that is not where it goes on")
            held += self.takes(self.puts, asked.body[len(held) - int(start) :])  # what it has, it passes over
        if total != "*" and len(held) == int(total):
            name = asked.query["name"]
            self.blobs[name] = bytes(self.sessions.pop(session_id))
            self.whole[session_id] = told(blob(name, len(held)))
            return self.whole[session_id]
        return ok(b"", *([f"Range: bytes=0-{len(held) - 1}"] if held else []), status="308 Resume Incomplete")


@asynccontextmanager
async def opened(server: Sessions) -> AsyncIterator[GcsStore]:
    async with serving(script(server.answer, server.seen)) as listening:

        async def issue() -> Mapping[str, str]:
            return {"bucket_name": "b", "access_token": "t", "endpoint_url": str(listening.origin)}

        http = HttpClient()
        try:
            yield GcsStore(http, BUCKET, Credentials(issue))
        finally:
            await http.aclose()


async def stream(body: bytes, chunk_bytes: int = 700_001) -> AsyncIterator[bytes]:
    for start in range(0, len(body), chunk_bytes):
        yield body[start : start + chunk_bytes]


@pytest.mark.parametrize("size", [SINGLE_PUT_BYTES + 1, 2 * SINGLE_PUT_BYTES, len(BODY)])
async def test_a_large_body_goes_up_in_turn(size: int) -> None:
    server = Sessions()
    async with opened(server) as store:
        await store.put("a stream", stream(BODY[:size]))
        await store.put("a buffer", memoryview(BODY)[:size])
    assert server.blobs == {"a stream": BODY[:size], "a buffer": BODY[:size]}
    assert server.sessions == {}


async def test_what_was_not_taken_of_a_request_is_sent_again() -> None:
    server = Sessions()
    server.takes = lambda number, body: body[: {1: 3 * UNIT, 2: 0, 4: UNIT}.get(number, len(body))]
    async with opened(server) as store:
        await store.put("key", BODY)
    assert server.blobs == {"key": BODY}
    ranges = [asked.headers["content-range"] for asked in server.seen if asked.method == "PUT"]
    assert ranges[0] == "bytes 0-16777215/*"
    assert ranges[1] == "bytes 786432-16777215/*"


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_after_a_lost_answer_the_server_is_asked_what_it_has(lost: int) -> None:
    server = Sessions()
    server.says = lambda number, answer: refused(503, "backendError", "lost") if number == lost else answer
    async with opened(server) as store:
        await store.put("key", BODY)
    assert server.blobs == {"key": BODY}
    puts = [asked for asked in server.seen if asked.method == "PUT"]
    assert puts[lost].headers["content-range"] == ("bytes */*" if lost < 3 else f"bytes */{len(BODY)}")
    assert puts[lost].body == b""


@pytest.mark.parametrize("broken", [1, 2, 3])
async def test_a_connection_that_breaks_before_the_answer_does_no_harm(broken: int) -> None:
    server = Sessions()
    server.says = lambda number, answer: None if number == broken else answer
    async with opened(server) as store:
        await store.put("key", BODY)
    assert server.blobs == {"key": BODY}


async def test_a_request_that_broke_half_way_goes_on_where_the_server_is() -> None:
    server = Sessions()
    server.takes = lambda number, body: body[: 5 * UNIT] if number == 2 else body
    server.says = lambda number, answer: refused(503, "backendError", "busy") if number in {2, 3} else answer
    async with opened(server) as store:
        await store.put("key", BODY)
    assert server.blobs == {"key": BODY}
    assert sum(len(asked.body) for asked in server.seen) < len(BODY) + SINGLE_PUT_BYTES


async def test_a_source_that_fails_cancels_the_session() -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for chunk in stream(BODY):
            yield chunk
        raise RuntimeError("the source broke")

    server = Sessions()
    async with opened(server) as store:
        with pytest.raises(RuntimeError, match="the source broke"):
            await store.put("key", failing())
    assert (server.blobs, server.sessions, len(server.cancelled)) == ({}, {}, 1)


async def test_a_cancelled_put_cancels_the_session() -> None:
    reached, forever = asyncio.Event(), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in stream(BODY):
            yield chunk
        reached.set()
        await forever.wait()

    server = Sessions()
    async with opened(server) as store:
        task = asyncio.create_task(store.put("key", stalling()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (server.blobs, server.sessions, len(server.cancelled)) == ({}, {}, 1)


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (refused(410, "gone", "Gone"), ResourceNotFound),
        (refused(404, "notFound", "Not Found"), ResourceNotFound),
        (refused(401, "authError", "no"), AuthenticationError),
        (ok(b"", "Range: bytes=0-99999999999", status="308 Resume Incomplete"), BadGateway),
        (ok(b"", "Range: everything", status="308 Resume Incomplete"), BadGateway),
        (told(blob(size=3)), IntegrityError),
        (ok(b"what?"), BadGateway),
    ],
)
async def test_a_session_that_goes_wrong_is_an_error_and_leaves_no_blob(odd: bytes, kind: type[NeuroError]) -> None:
    server = Sessions()
    server.says = lambda number, answer: odd if number > 1 else answer
    async with opened(server) as store:
        with pytest.raises(kind, match=r"'key'|description of a blob") as caught:
            await store.put("key", BODY)
    assert "session-" not in str(caught.value)  # whoever knows its id may go on with it
    assert server.blobs == {}


async def test_a_server_that_forgets_what_it_had_is_not_believed() -> None:
    server = Sessions()
    server.says = lambda number, answer: ok(status="308 Resume Incomplete") if number == 2 else answer
    async with opened(server) as store:
        with pytest.raises(BadGateway, match="has 0 bytes"):
            await store.put("key", BODY)
    assert server.blobs == {}
    assert server.sessions == {}
