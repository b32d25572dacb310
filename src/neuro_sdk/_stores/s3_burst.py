"""Many small blobs of one S3 bucket side by side: requests that need no wait, answers that are taken only if nothing about them is odd."""

import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import Burst as HttpBurst
from neuro_sdk._http import Request, content_length

from .base import BlobInfo, Buffer
from .s3_at_hand import S3AtHand
from .s3_reader import checksum_text
from .sigv4 import Form, quote_key

_PROOF = re.compile(rb"\n(etag|x-amz-checksum-crc32):[ \t]*([^\r]*)", re.IGNORECASE)
_CHECKSUM = "x-amz-checksum-crc32"


class S3Burst(S3AtHand):
    """See `Burst`."""

    async def __aenter__(self) -> Self:
        await self.find_origin()
        self._forms: dict[str, _RequestForm] = {}
        self._second = 0
        self._burst: HttpBurst = await self._http.burst(self._origin).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._burst.__aexit__(kind, error, trace)

    def put(self, key: str, read: Callable[[], Buffer | None], done: Callable[[bool], None]) -> None:
        """See `Burst.put`."""
        self._burst.submit(_Put(self, key, read, done))

    def get(self, info: BlobInfo, done: Callable[[Buffer | None], None]) -> None:
        """See `Burst.get`."""
        self._burst.submit(_Get(self, info, done))

    async def room(self) -> None:
        """See `Burst.room`."""
        await self._burst.room()

    async def drained(self) -> None:
        """See `Burst.drained`."""
        await self._burst.drained()

    def get_request(self, key: str) -> Request | None:
        """A signed GET; None where one cannot be made at once."""
        form = self._form("GET", key)
        if form is None:
            return None
        quoted = quote_key(key)
        target = form.path + quoted
        return Request("GET", target, form.head % (quoted, form.signed.signature(target), ""))

    def put_request(self, key: str, body: Buffer) -> Request | None:
        """A signed PUT, with what lets the provider verify the body; None where one cannot be made at once."""
        form = self._form("PUT", key)
        if form is None:
            return None
        quoted = quote_key(key)
        target = form.path + quoted
        values = (checksum_text(zlib.crc32(body)),) if self._traits.checksums else ()
        signature = form.signed.signature(target, *values)
        return Request("PUT", target, form.head % (quoted, *values, signature, content_length(len(body))), body)

    def _form(self, method: str, key: str) -> "_RequestForm | None":
        """Made once a second, as a signature tells its time."""
        if not self.fits(key):
            return None
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._forms.clear()
        return self._forms.get(method) or self._new_form(method)

    def _new_form(self, method: str) -> "_RequestForm | None":
        endpoint = self.endpoint()
        if endpoint is None:
            return None
        open_header = _CHECKSUM if method == "PUT" and self._traits.checksums else None
        shared = list(self.verifying) if method == "GET" else []
        signed = endpoint.signer.form(method, endpoint.origin.host_header, shared, open_header)
        endings = [*([(open_header, "")] if open_header else []), ("authorization", signed.credential)]
        path = f"{endpoint.path}/"
        try:
            head = self._burst.form(method, path, signed.headers, endings)
        except IllegalArgumentError:  # it is told of where it is done with care
            return None
        form = self._forms[method] = _RequestForm(path, head, signed)
        return form


@dataclass(frozen=True, slots=True)
class _RequestForm:
    path: str
    head: str
    signed: Form


@dataclass(slots=True)
class _Put:
    burst: S3Burst
    key: str
    read: Callable[[], Buffer | None]
    done: Callable[[bool], None]

    def request(self) -> Request | None:
        body = self.read()
        return None if body is None else self.burst.put_request(self.key, body)

    def answered(self, status: int, headers: bytes, body: bytes) -> None:  # noqa: ARG002
        self.done(status == 200 and not body)

    def failed(self) -> None:
        self.done(False)


@dataclass(slots=True)
class _Get:
    burst: S3Burst
    info: BlobInfo
    done: Callable[[Buffer | None], None]

    def request(self) -> Request | None:
        return self.burst.get_request(self.info.key)

    def answered(self, status: int, headers: bytes, body: bytes) -> None:
        right = status == 200 and len(body) == self.info.size and self._is_proven(headers, body)
        self.done(body if right else None)

    def failed(self) -> None:
        self.done(None)

    def _is_proven(self, headers: bytes, body: bytes) -> bool:
        etag, crc = None, None
        for name, value in _PROOF.findall(headers):
            if len(name) == len("etag"):
                etag = value
            elif b"-" not in value:  # else it is of parts
                crc = value
        if self.info.etag is not None and (etag is None or etag.decode("latin-1") != self.info.etag):
            return False
        return crc is None or crc.decode("latin-1") == checksum_text(zlib.crc32(body))
