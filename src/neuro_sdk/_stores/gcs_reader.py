"""Reading one blob, or a range of it, from Google Cloud Storage while it arrives: what breaks is resumed, what arrives is verified."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from neuro_sdk._errors import BadGateway, BlobChanged, ConnectionFailed, IntegrityError, ServerTimeout
from neuro_sdk._http import StreamedResponse

from .base import BlobInfo
from .dates import parse_http_date
from .gcs_checksum import Running, begin, parse_hashes, text_of
from .gcs_json import FIELDS, parse_blob
from .gcs_wire import OBJECTS, GcsWire, quote_key

_SIZE_IN_RANGE = re.compile(r"/(\d+)$")


class GcsReader:
    """The body of a GET; a connection that breaks is replaced where it broke, as long as the generation is the same."""

    info: BlobInfo

    def __init__(
        self, wire: GcsWire, connection: AsyncExitStack, key: str, start: int, stop: int | None, generation: str | None
    ) -> None:
        self._wire, self._connection, self._key = wire, connection, key
        self._at, self._stop, self._generation = start, stop, generation
        self._path = f"{OBJECTS}/{quote_key(key)}"
        self._response: StreamedResponse | None = None
        self._running: Running | None = None
        self._checksum = ""

    async def open(self) -> None:
        """Ask for what is still to come."""
        if self._stop is not None and self._stop <= self._at:  # no Range header says "nothing"
            await self._open_empty()
            return
        query = [("alt", "media")]
        if self._generation is not None:
            query.append(("ifGenerationMatch", self._generation))
        headers = [("accept-encoding", "gzip")]  # else what was stored as gzip arrives as something else
        ranged = self._at > 0 or self._stop is not None
        if ranged:
            headers.append(("range", f"bytes={self._at}-{'' if self._stop is None else self._stop - 1}"))
        response = await self._wire.stream(self._connection, self._path, self._key, query, headers)
        if response.status == 416:
            await self._connection.aclose()  # it may be the last one, and the next request waits for it
            await self._open_empty()
            return
        if ranged and response.status != 206:
            raise BadGateway(f"{self._wire.what(self._key)}: the provider ignored the range that was asked for")
        self._keep(self._info_of(response))
        self._response = response
        self._running = None
        if not ranged:
            for name, checksum in parse_hashes(response.headers.get("x-goog-hash")).items():
                self._running, self._checksum = self._running or begin(name), checksum
                if self._running is not None:
                    break

    async def __aiter__(self) -> AsyncIterator[bytes]:
        resumed_at = -1
        while self._response is not None:
            try:
                async for chunk in self._response:
                    self._at += len(chunk)
                    if self._running is not None:
                        self._running.update(chunk)
                    yield chunk
                self._verify()
                return
            except (ConnectionFailed, ServerTimeout):
                if self._at == resumed_at:  # nothing came: going on leads nowhere
                    raise
                resumed_at, running = self._at, self._running
                await self.open()
                self._running = running

    async def _open_empty(self) -> None:
        answer = await self._wire.request("GET", self._path, self._key, query=[("fields", FIELDS)])
        self._keep(parse_blob(answer.body))
        self._response = None

    def _keep(self, info: BlobInfo) -> None:
        if self._generation not in (None, info.etag):  # not every emulator looks at the condition
            raise BlobChanged(f"{self._wire.what(self._key)}: another blob is there now")
        self.info, self._generation = info, info.etag

    def _info_of(self, response: StreamedResponse) -> BlobInfo:
        headers, what = response.headers, self._wire.what(self._key)
        stored = headers.get("x-goog-stored-content-encoding")
        if stored is not None and stored != headers.get("content-encoding", "identity"):
            raise BadGateway(f"{what}: it is stored as {stored}, and the provider sends something else")
        whole = _SIZE_IN_RANGE.search(headers.get("content-range") or "")
        size = whole[1] if whole else headers.get("content-length")
        generation = headers.get("x-goog-generation")
        if size is None or generation is None:
            raise BadGateway(f"{what}: the provider did not say how large it is, or which generation")
        return BlobInfo(self._key, int(size), parse_http_date(headers.get("last-modified")), None, generation)

    def _verify(self) -> None:
        if self._running is not None and text_of(self._running) != self._checksum:
            what = self._wire.what(self._key)
            raise IntegrityError(f"{what}: what arrived is not what was stored (its checksum differs); fetch it again")
