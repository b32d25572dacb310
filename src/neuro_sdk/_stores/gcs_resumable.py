"""One upload session of the JSON API of Google Cloud Storage: a body goes up in turn, and is a blob when all of it is there.

For what has no XML API, and so no parts side by side. Source: "Resumable uploads" and "Perform resumable uploads".
"""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

from neuro_sdk._errors import BadGateway, IntegrityError, ResourceNotFound, ServerNotAvailable
from neuro_sdk._http import Response, RetryPolicy, retrying

from .base import Buffer
from .gcs_errors import error_for, parse_refusal
from .gcs_json import parse_blob
from .gcs_wire import UPLOAD, GcsWire, Pairs
from .multipart import discard

_UNIT_BYTES = 256 * 1024
"""All requests but the last carry a multiple of it."""
_RETRY = RetryPolicy(attempts=12)
_ONCE = RetryPolicy(attempts=1)
_CANCELLED = 499  # Google answers a cancellation as if the client had gone away
_COMMITTED = re.compile(r"bytes=0-(\d+)")


async def put_in_session(wire: GcsWire, key: str, parts: AsyncIterator[Buffer]) -> None:
    """Upload `parts` one after the other. On any failure or cancellation the session is cancelled, and nothing is visible.

    All parts but the last are multiples of 256 KiB.
    """
    session = await _begin(wire, key)
    try:
        held: Buffer = b""
        async for part in parts:
            if held:  # whether a part is the last one shows when there is another
                await session.send(held, last=False)
            held = part
            del part
        await session.send(held, last=True)
    except BaseException as failure:
        await discard(session.cancel(), failure)
        raise


async def _begin(wire: GcsWire, key: str) -> "_Session":
    query = [("uploadType", "resumable"), ("name", key)]
    headers = [("content-type", "application/json"), ("x-upload-content-type", "application/octet-stream")]
    answer = await wire.request("POST", UPLOAD, key, query=query, headers=headers, body=b"{}")
    session_query = parse_qsl(urlsplit(answer.headers.get("location") or "").query)
    if "upload_id" not in dict(session_query):
        raise BadGateway(f"{wire.what(key)}: the provider began an upload without saying where it goes on")
    return _Session(wire, key, session_query)


class _Session:
    def __init__(self, wire: GcsWire, key: str, query: Pairs) -> None:
        self._wire, self._key, self._query = wire, key, query
        self._at = 0
        """Bytes that the provider has."""

    async def send(self, body: Buffer, *, last: bool) -> None:
        """Send what comes next; returns when the provider has all of it."""
        view = memoryview(body).cast("B")
        start, stop = self._at, self._at + len(view)
        if not last and len(view) % _UNIT_BYTES:
            raise ValueError(f"{len(view)} bytes in the middle of an upload are no multiple of {_UNIT_BYTES}")
        total = str(stop) if last else "*"
        unsure = False

        async def attempt() -> bool:
            """Whether the provider has all of it, or else has taken some."""
            nonlocal unsure
            if unsure:  # how much arrived before it broke, only the provider knows
                answer = await self._put(f"bytes */{total}")
                if self._take(answer, start, stop, last=last):
                    return True
            unsure = True
            before = self._at
            span = f"{before}-{stop - 1}" if before < stop else "*"
            answer = await self._put(f"bytes {span}/{total}", view[before - start :])
            whole = self._take(answer, start, stop, last=last)
            unsure = False
            if not whole and self._at == before:
                what = self._wire.what(self._key)
                raise ServerNotAvailable(f"{what}: the provider takes no more of it now; try again later")
            return whole

        while not await retrying(_RETRY, attempt):
            pass

    async def cancel(self) -> None:
        """Forget all that was sent."""
        await self._wire.request(
            "DELETE", UPLOAD, self._key, query=self._query, also_ok=[_CANCELLED, 404, 410], retry=_ONCE
        )

    async def _put(self, content_range: str, body: Buffer = b"") -> Response:
        headers = [("content-range", content_range)]
        return await self._wire.request(
            "PUT",
            UPLOAD,
            self._key,
            query=self._query,
            headers=headers,
            body=body,
            also_ok=[308, 404, 410],
            retry=_ONCE,
        )

    def _take(self, answer: Response, start: int, stop: int, *, last: bool) -> bool:
        """Learn from an answer how much the provider has; True if that is all of it, and, after the last, a blob."""
        what = self._wire.what(self._key)
        if answer.status in (404, 410):
            refused = error_for(answer.status, parse_refusal(answer.body), what)
            raise ResourceNotFound(f"{what}: the upload is gone before it was whole") from refused
        if answer.status != 308:
            size = parse_blob(answer.body).size
            if not last or size != stop:
                raise IntegrityError(f"{what}: the provider ended the upload with {size} bytes; put it again")
            return True
        header = answer.headers.get("range")
        match = _COMMITTED.fullmatch(header or "bytes=0-")
        if header is not None and match is None:
            raise BadGateway(f"{what}: the provider says {header!r} of how much it has")
        has = int(match[1]) + 1 if match else 0
        if not start <= has <= stop:
            raise BadGateway(f"{what}: the provider has {has} bytes, and what it was sent is {start} to {stop}")
        self._at = has
        return has == stop and not last
