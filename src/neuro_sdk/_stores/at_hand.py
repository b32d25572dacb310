"""Requests about one blob that can be made without a wait, and at little cost: what they share is made once a second."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Generic

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import HttpClient, Origin, Request, Response, StreamedResponse, content_length

from .base import Buffer
from .checksums import Checksum, Pairs
from .forms import Form
from .sigv4 import quote_key
from .wire import E, Wire


@dataclass(frozen=True, slots=True)
class Manner:
    """How one store asks for what is asked at once, where providers differ."""

    check: Callable[[str], None]
    """Raises `IllegalArgumentError` for a key that takes more than one request, or that the store refuses."""
    checksum: Checksum | None
    """What the provider verifies a body by, and tells of a whole one."""
    part: Callable[[str, int], tuple[Pairs, str]]
    """The query that stores a part of an upload, and the etag of that part, empty where the answer tells it."""
    put_headers: Pairs = ()
    """What a put needs beside."""


class AtHand(Generic[E]):
    """One bucket, as far as it can be asked at once. What cannot is None, and is asked by its `Wire`."""

    def __init__(self, http: HttpClient, wire: Wire[E], manner: Manner) -> None:
        self.http, self.manner = http, manner
        self._wire = wire
        self._forms: dict[str, _RequestForm] = {}
        self._second = 0

    async def origin(self) -> Origin:
        """Which server it is now."""
        return (await self._wire.current_endpoint()).origin

    async def ask(self, method: str, key: str, body: Buffer = b"") -> Response | None:
        """Ask, and return any whole answer."""
        request = self.request(method, key, body)
        return None if request is None else await self.http.ask(request)

    async def ask_streamed(self, key: str, held: AsyncExitStack) -> Response | StreamedResponse | None:
        """GET it; what does not come at once arrives inside `held`."""
        request = self.request("GET", key)
        return None if request is None else await self.http.ask_streamed(request, held)

    def request(self, method: str, key: str, body: Buffer = b"") -> Request | None:
        """A signed HEAD, GET, or PUT, with what lets either side verify the body."""
        try:
            self.manner.check(key)
            form = self._form(method)
            if form is None:
                return self._signed_by_itself(method, key, body)
        except IllegalArgumentError:  # it is told of where it is asked with care
            return None
        quoted = quote_key(key)
        target = form.path + quoted
        if method != "PUT":
            return Request(form.origin, method, target, form.head % (quoted, form.signed.signature(target), ""))
        checksum = self.manner.checksum
        sums = (checksum.of(body),) if checksum is not None else ()
        head = form.head % (quoted, *sums, form.signed.signature(target, *sums), content_length(len(body)))
        return Request(form.origin, method, target, head, body)

    def endpoint(self, key: str) -> E | None:
        """For a request about this key."""
        try:
            self.manner.check(key)
        except IllegalArgumentError:
            return None
        return self._wire.endpoint_at_hand()

    @property
    def verifying(self) -> Pairs:
        """The header that asks for what there is to verify a whole body by."""
        return self.manner.checksum.asking if self.manner.checksum is not None else ()

    def _form(self, method: str) -> "_RequestForm | None":
        """As long as this second lasts: a signature tells its time."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._forms.clear()
        return self._forms.get(method) or self._new_form(method)

    def _new_form(self, method: str) -> "_RequestForm | None":
        endpoint = self._wire.endpoint_at_hand()
        if endpoint is None:
            return None
        sums = [self.manner.checksum.header] if method == "PUT" and self.manner.checksum is not None else []
        signed = endpoint.form(method, self._shared(method), *sums)
        if signed is None:
            return None
        endings = [*((name, "") for name in sums), ("authorization", signed.credential)]
        path = f"{endpoint.path}/"
        head = self.http.form(endpoint.origin, method, path, signed.headers, endings)
        form = self._forms[method] = _RequestForm(endpoint.origin, path, head, signed)
        return form

    def _signed_by_itself(self, method: str, key: str, body: Buffer) -> Request | None:
        endpoint = self._wire.endpoint_at_hand()
        if endpoint is None:
            return None
        headers = list(self._shared(method))
        if method == "PUT" and self.manner.checksum is not None:
            headers.append((self.manner.checksum.header, self.manner.checksum.of(body)))
        target, signed = endpoint.sign(method, key, headers, "", len(body))
        length = content_length(len(body)) if method == "PUT" else ""
        head = self.http.form(endpoint.origin, method, target, signed, ()) % ("", length)
        return Request(endpoint.origin, method, target, head, body)

    def _shared(self, method: str) -> Pairs:
        return {"PUT": self.manner.put_headers, "GET": self.verifying}.get(method, ())


@dataclass(frozen=True, slots=True)
class _RequestForm:
    origin: Origin
    path: str
    head: str = field(repr=False)
    signed: Form
