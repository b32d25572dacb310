"""Reading one blob, or a range of it, from S3 while it arrives: what breaks is resumed, what arrives is verified."""

import base64
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from neuro_sdk._errors import BadGateway, ConnectionFailed, IntegrityError, ServerTimeout
from neuro_sdk._http import Response, StreamedResponse

from .base import BlobInfo
from .dates import parse_http_date
from .s3_wire import S3Wire

_SIZE_IN_RANGE = re.compile(r"/(\d+)$")


class S3Reader:
    """The body of a GET; a connection that breaks is replaced where it broke, as long as the etag is the same."""

    info: BlobInfo

    def __init__(
        self, wire: S3Wire, connection: AsyncExitStack, key: str, start: int, stop: int | None, etag: str | None
    ) -> None:
        self._wire, self._connection, self._key = wire, connection, key
        self._at, self._stop, self._etag = start, stop, etag
        self._response: Response | StreamedResponse | None = None
        self._checksum: str | None = None
        self._crc = 0

    async def open(self, *, checksum: bool, first: Response | StreamedResponse | None = None) -> None:
        """Ask for what is still to come; `checksum`: the provider stores one of the whole blob; `first`: the answer, if it is there."""
        if self._stop is not None and self._stop <= self._at:  # no Range header says "nothing"
            await self._open_empty()
            return
        headers = [("if-match", self._etag)] if self._etag else []
        ranged = self._at > 0 or self._stop is not None
        if ranged:
            headers.append(("range", f"bytes={self._at}-{'' if self._stop is None else self._stop - 1}"))
        elif checksum:
            headers.append(("x-amz-checksum-mode", "ENABLED"))
        response = await self._wire.stream(self._connection, self._key, headers, first)
        if response.status == 416:
            await self._connection.aclose()  # it may be the last one, and the next request waits for it
            await self._open_empty()
            return
        if ranged and response.status != 206:
            raise BadGateway(f"{self._wire.what(self._key)}: the provider ignored the range that was asked for")
        self.info, self._response = info_of(self._key, response), response
        self._etag = self.info.etag
        if not ranged:
            self._checksum = response.headers.get("x-amz-checksum-crc32")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        resumed_at = -1
        while self._response is not None:
            if isinstance(self._response, Response):
                self._crc = zlib.crc32(self._response.body)
                self._verify()
                if self._response.body:
                    yield self._response.body
                return
            try:
                async for chunk in self._response:
                    self._at += len(chunk)
                    if self._checksum is not None:
                        self._crc = zlib.crc32(chunk, self._crc)
                    yield chunk
                self._verify()
                return
            except (ConnectionFailed, ServerTimeout):
                # Without an etag nothing proves that it is the same blob; and if nothing came, going on leads nowhere.
                if self._etag is None or self._at == resumed_at:
                    raise
                resumed_at = self._at
                await self.open(checksum=False)

    async def _open_empty(self) -> None:
        self.info, self._response = info_of(self._key, await self._wire.request("HEAD", self._key)), None

    def _verify(self) -> None:
        # A blob of many parts has a checksum of checksums, which says nothing of the bytes in their order.
        if self._checksum is not None and "-" not in self._checksum and self._checksum != checksum_text(self._crc):
            what = self._wire.what(self._key)
            raise IntegrityError(f"{what}: what arrived is not what was stored (CRC32 differs); fetch it again")


def checksum_text(crc: int) -> str:
    """A CRC32 as S3 writes it."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def info_of(key: str, response: Response | StreamedResponse) -> BlobInfo:
    """What the head of an answer tells of the blob."""
    headers = response.headers
    whole = _SIZE_IN_RANGE.search(headers.get("content-range") or "")
    size = whole[1] if whole else headers.get("content-length")
    if size is None:
        raise BadGateway(f"the provider did not say how large {key!r} is")
    return BlobInfo(key, int(size), parse_http_date(headers.get("last-modified")), None, headers.get("etag"))
