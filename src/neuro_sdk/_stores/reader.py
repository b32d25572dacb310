"""Reading one blob, or a range of it, while it arrives: what breaks is resumed, what arrives is verified."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from neuro_sdk._errors import BadGateway, ConnectionFailed, IntegrityError, ServerTimeout
from neuro_sdk._http import Response, StreamedResponse

from .base import BlobInfo
from .checksums import Checksum, Running, text_of
from .wire import E, Wire


class Reader:
    """The body of a GET; a connection that breaks is replaced where it broke, as long as the etag is the same."""

    info: BlobInfo

    def __init__(
        self, wire: Wire[E], connection: AsyncExitStack, key: str, start: int, stop: int | None, etag: str | None
    ) -> None:
        self._wire, self._connection, self._key = wire, connection, key
        self._at, self._stop, self._etag = start, stop, etag
        self._response: Response | StreamedResponse | None = None
        self._wanted: str | None = None
        self._running: Running | None = None

    async def open(self, checksum: Checksum | None, first: Response | StreamedResponse | None = None) -> None:
        """Ask for what is still to come; `checksum`: what the provider stores of the whole blob; `first`: the answer, if it is there."""
        if self._stop is not None and self._stop <= self._at:  # no Range header says "nothing"
            await self._open_empty()
            return
        headers = [("if-match", self._etag)] if self._etag else []
        ranged = self._at > 0 or self._stop is not None
        if ranged:
            headers.append(("range", f"bytes={self._at}-{'' if self._stop is None else self._stop - 1}"))
        elif checksum is not None:
            headers += checksum.asking
        response = await self._wire.stream(self._connection, self._key, headers, first)
        if response.status == 416:
            await self._connection.aclose()  # it may be the last one, and the next request waits for it
            await self._open_empty()
            return
        if ranged and response.status != 206:
            raise BadGateway(f"{self._wire.what(self._key)}: the provider ignored the range that was asked for")
        self.info, self._response = self._wire.info_of(self._key, response), response
        self._etag = self.info.etag
        if not ranged and checksum is not None:
            self._wanted = checksum.told(response.headers)
            self._running = None if self._wanted is None else checksum.begin()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        resumed_at = -1
        while self._response is not None:
            if isinstance(self._response, Response):
                body = self._response.body
                if self._running is not None:
                    self._running.update(body)
                self._verify()
                if body:
                    yield body
                return
            try:
                async for chunk in self._response:
                    self._at += len(chunk)
                    if self._running is not None:
                        self._running.update(chunk)
                    yield chunk
                self._verify()
                return
            except (ConnectionFailed, ServerTimeout):
                # Without an etag nothing proves that it is the same blob; and if nothing came, going on leads nowhere.
                if self._etag is None or self._at == resumed_at:
                    raise
                resumed_at = self._at
                await self.open(None)

    async def _open_empty(self) -> None:
        self.info = self._wire.info_of(self._key, await self._wire.request("HEAD", self._key))
        self._response = None

    def _verify(self) -> None:
        if self._running is not None and self._wanted != text_of(self._running):
            what = self._wire.what(self._key)
            raise IntegrityError(f"{what}: what arrived is not what was stored (its checksum differs); fetch it again")
