"""Asking one bucket until it answers, whatever its provider: every try is signed anew, stale credentials and a wrong clock are mended, the
rest is retried.

How a request is signed is an `Endpoint`'s to know, and what a refusal says that of the wire that derives from this one.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import ClassVar, Generic, Protocol, TypeVar

from neuro_sdk._errors import BadGateway, ConnectionFailed, NeuroError, ServerNotAvailable, ServerTimeout
from neuro_sdk._http import (
    HttpClient,
    Origin,
    Response,
    RetryPolicy,
    StreamedResponse,
    retry_after_seconds,
    retrying,
    transient,
)

from .base import BlobInfo, Buffer
from .checksums import Pairs
from .credentials import Credentials
from .dates import parse_http_date
from .forms import Form
from .refusals import Refusal
from .sigv4 import Headers, canonical_query

_RETRY = RetryPolicy(attempts=12)  # about 40 s in all: a failover of the storage takes up to half a minute
_SIZE_IN_RANGE = re.compile(r"/(\d+)$")

R = TypeVar("R", bound=Response | StreamedResponse)


class Endpoint(Protocol):
    """Where one bucket is, and as whom it is asked; made from one credentials map."""

    @property
    def values(self) -> Mapping[str, str]:
        """That map."""

    @property
    def origin(self) -> Origin:
        """The server."""

    @property
    def path(self) -> str:
        """Of the bucket there."""

    def form(self, method: str, headers: Pairs, open_header: str | None = None) -> Form | None:
        """What many requests about blobs share, see `Form`; None where each is signed by itself."""

    def sign(self, method: str, key: str, headers: Pairs, query: str = "", body_bytes: int = 0) -> tuple[str, Headers]:
        """The target of a request about this key, or the bucket, and all its headers; `query` comes encoded."""

    def set_clock(self, offset_seconds: float) -> None:
        """Sign with a clock that is so far ahead of ours."""

    def copy(self) -> "Endpoint":
        """One that another thread may sign with."""


E = TypeVar("E", bound=Endpoint)


class Wire(ABC, Generic[E]):
    """Requests to one bucket."""

    stale_credentials: ClassVar[frozenset[str]]
    """Codes of refusals that new credentials would mend."""
    clock_skew: ClassVar[frozenset[str]]
    """Codes of refusals that another clock would mend."""

    def __init__(self, http: HttpClient, bucket_name: str, credentials: Credentials) -> None:
        self._http = http
        self._name = bucket_name
        self._credentials = credentials
        self._endpoint: E | None = None
        self._clock_offset_seconds = 0.0

    @abstractmethod
    def parse(self, values: Mapping[str, str]) -> E:
        """Read a credentials map as the control plane sends it.

        Raises:
            BadGateway: it lacks something, or its endpoint is no address.
        """

    @abstractmethod
    async def refusal_of(self, endpoint: E, key: str, response: Response | StreamedResponse, body: bytes) -> Refusal:
        """Why this answer is none."""

    @abstractmethod
    def error_for(self, status: int, refusal: Refusal, what: str, wait_seconds: float | None) -> NeuroError:
        """Our error for it."""

    def fails_late(self, response: Response | StreamedResponse) -> bool:  # noqa: ARG002
        """Whether an answer that began as a success is none."""
        return False

    def info_of(self, key: str, response: Response | StreamedResponse) -> BlobInfo:
        """What the head of an answer tells of the blob."""
        headers = response.headers
        whole = _SIZE_IN_RANGE.search(headers.get("content-range") or "")
        size = whole[1] if whole else headers.get("content-length")
        if size is None:
            raise BadGateway(f"the provider did not say how large {key!r} is")
        return BlobInfo(key, int(size), parse_http_date(headers.get("last-modified")), None, headers.get("etag"))

    def what(self, key: str) -> str:
        """How a message names a blob, or the bucket."""
        return f"blob {key!r} in bucket {self._name!r}" if key else f"bucket {self._name!r}"

    async def request(
        self,
        method: str,
        key: str = "",
        *,
        query: Pairs = (),
        headers: Pairs = (),
        body: Buffer = b"",
        first: Response | None = None,
    ) -> Response:
        """One request and its whole answer, which is a success. `first` is what it was answered already.

        Raises:
            NeuroError: what the provider refuses.
        """
        target_query = canonical_query(query)

        async def ask(endpoint: E) -> Response:
            nonlocal first
            if first is not None:
                answer, first = first, None
                return answer
            target, signed = endpoint.sign(method, key, headers, target_query, len(body))
            return await self._http.request(method, endpoint.origin, target, signed, body)

        return await self._until_ok(ask, key)

    async def stream(
        self,
        connection: AsyncExitStack,
        key: str,
        headers: Pairs,
        first: Response | StreamedResponse | None = None,
    ) -> Response | StreamedResponse:
        """Begin a GET whose body arrives inside `connection`; 416 is an answer like any other. `first`: as for `request`."""
        if first is not None and first.status < 300:
            return first

        async def ask(endpoint: E) -> Response | StreamedResponse:
            nonlocal first
            if first is not None:
                answer, first = first, None
                return answer
            await connection.aclose()
            target, signed = endpoint.sign("GET", key, headers)
            return await connection.enter_async_context(self._http.stream("GET", endpoint.origin, target, signed))

        return await self._until_ok(ask, key, also_ok=416)

    async def _until_ok(self, ask: Callable[[E], Awaitable[R]], key: str, also_ok: int = 0) -> R:
        """Ask until the answer is a success, within the bounds of `_RETRY`. Stale credentials and a wrong clock are mended once each."""
        mended: set[str] = set()

        async def attempt() -> R:
            while True:
                endpoint = await self.current_endpoint()
                try:
                    response = await ask(endpoint)
                except (ConnectionFailed, ServerTimeout) as error:
                    raise type(error)(f"{self.what(key)}: {error}") from error.__cause__ or error
                if response.status == also_ok or (response.status < 300 and not self.fails_late(response)):
                    return response
                body = response.body if isinstance(response, Response) else await response.read()
                refusal = await self.refusal_of(endpoint, key, response, body)
                if refusal.code in self.stale_credentials and "credentials" not in mended:
                    mended.add("credentials")
                    await self._credentials.replace(endpoint.values)
                elif refusal.code in self.clock_skew and "clock" not in mended:
                    mended.add("clock")
                    self._correct_clock(endpoint, response.headers.get("date"))
                else:
                    wait = retry_after_seconds(response.headers.get("retry-after"))
                    raise self.error_for(response.status, refusal, self.what(key), wait)

        return await retrying(_RETRY, attempt, retry_on=_retry_after)

    async def current_endpoint(self) -> E:
        """Where to ask, and as whom."""
        return self._endpoint_of(await self._credentials.get())

    def endpoint_at_hand(self) -> E | None:
        """What `current_endpoint` returns, where it need not wait."""
        values = self._credentials.at_hand()
        return None if values is None else self._endpoint_of(values)

    def _endpoint_of(self, values: Mapping[str, str]) -> E:
        if self._endpoint is None or self._endpoint.values is not values:
            self._endpoint = self.parse(values)
            self._endpoint.set_clock(self._clock_offset_seconds)
        return self._endpoint

    def _correct_clock(self, endpoint: E, date: str | None) -> None:
        moment = parse_http_date(date)
        if moment is not None:
            self._clock_offset_seconds = moment.timestamp() - time.time()
            endpoint.set_clock(self._clock_offset_seconds)


def _retry_after(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds the provider wants it."""
    if isinstance(error, ServerNotAvailable) and error.retry_after_seconds:
        return error.retry_after_seconds
    return transient(error)
