"""Requests about one blob of an S3 bucket that can be made without a wait, and at little cost: what they share is made once a second."""

import time
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import HttpClient, Origin, Request, Response, StreamedResponse, content_length

from .base import Buffer
from .s3_kin import Endpoint, Traits
from .s3_reader import checksum_text
from .s3_wire import Pairs, S3Wire
from .sigv4 import Form, quote_key

_CHECKSUM = "x-amz-checksum-crc32"
_VERIFY: Pairs = [("x-amz-checksum-mode", "ENABLED")]


class S3AtHand:
    """One bucket, as far as it can be asked at once. What cannot is None, and is asked by `S3Wire`."""

    def __init__(self, http: HttpClient, wire: S3Wire, traits: Traits, check: Callable[[str], None]) -> None:
        self._http, self._wire, self._traits, self._check = http, wire, traits, check
        self._forms: dict[str, _RequestForm] = {}
        self._second = 0

    @property
    def http(self) -> HttpClient:
        """What it asks with."""
        return self._http

    async def origin(self) -> Origin:
        """Which server it is now."""
        return (await self._wire.current_endpoint()).origin

    async def ask(self, method: str, key: str, body: Buffer = b"") -> Response | None:
        """Ask, and return any whole answer."""
        request = self.request(method, key, body)
        return None if request is None else await self._http.ask(request)

    async def ask_streamed(self, key: str, held: AsyncExitStack) -> Response | StreamedResponse | None:
        """GET it; what does not come at once arrives inside `held`."""
        request = self.request("GET", key)
        return None if request is None else await self._http.ask_streamed(request, held)

    def request(self, method: str, key: str, body: Buffer = b"") -> Request | None:
        """A signed HEAD, GET, or PUT, with what lets either side verify the body."""
        form = self._form(method) if self.fits(key) else None
        if form is None:
            return None
        quoted = quote_key(key)
        target = form.path + quoted
        if method != "PUT":
            return Request(form.origin, method, target, form.head % (quoted, form.signed.signature(target), ""))
        sums = (checksum_text(zlib.crc32(body)),) if self._traits.checksums else ()
        head = form.head % (quoted, *sums, form.signed.signature(target, *sums), content_length(len(body)))
        return Request(form.origin, method, target, head, body)

    def endpoint(self) -> Endpoint | None:
        """Where to ask, and as whom."""
        return self._wire.endpoint_at_hand()

    def fits(self, key: str) -> bool:
        """Whether one request is all that it takes for this key."""
        if self._traits.markers_are_directories and key.endswith("/"):
            return False
        try:
            self._check(key)
        except IllegalArgumentError:
            return False
        return True

    @property
    def checksums(self) -> bool:
        """Whether the provider verifies and tells them."""
        return self._traits.checksums

    @property
    def verifying(self) -> Pairs:
        """The header that asks for what there is to verify a whole body by."""
        return _VERIFY if self._traits.checksums else []

    def _form(self, method: str) -> "_RequestForm | None":
        """As long as this second lasts: a signature tells its time."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._forms.clear()
        return self._forms.get(method) or self._new_form(method)

    def _new_form(self, method: str) -> "_RequestForm | None":
        endpoint = self.endpoint()
        if endpoint is None:
            return None
        sums = [_CHECKSUM] if method == "PUT" and self._traits.checksums else []
        shared = list(self.verifying) if method == "GET" else []
        signed = endpoint.signer.form(method, endpoint.origin.host_header, shared, *sums)
        endings = [*((name, "") for name in sums), ("authorization", signed.credential)]
        path = f"{endpoint.path}/"
        try:
            head = self._http.form(endpoint.origin, method, path, signed.headers, endings)
        except IllegalArgumentError:  # it is told of where it is asked with care
            return None
        form = self._forms[method] = _RequestForm(endpoint.origin, path, head, signed)
        return form


@dataclass(frozen=True, slots=True)
class _RequestForm:
    origin: Origin
    path: str
    head: str = field(repr=False)
    signed: Form
