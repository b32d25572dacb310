"""Asking one S3 bucket until it answers: every try is signed anew, stale credentials and a wrong clock are mended, the rest is retried.

What is asked, and what the answers mean, is in `s3`.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from neuro_sdk._errors import ConnectionFailed, ServerNotAvailable, ServerTimeout
from neuro_sdk._http import (
    HttpClient,
    Response,
    RetryPolicy,
    StreamedResponse,
    retry_after_seconds,
    retrying,
    transient,
)

from .base import Buffer
from .credentials import Credentials
from .dates import parse_http_date
from .s3_errors import CLOCK_SKEW, STALE_CREDENTIALS, error_for
from .s3_kin import Endpoint
from .s3_xml import Refusal, parse_refusal
from .sigv4 import canonical_query

_RETRY = RetryPolicy(attempts=12)  # about 40 s in all: a failover of the storage takes up to half a minute
_LATE_ERROR = re.compile(rb"\s*(<\?xml[^>]*>)?\s*<Error[\s>]")

R = TypeVar("R", bound=Response | StreamedResponse)
Pairs = Sequence[tuple[str, str]]


class S3Wire:
    """Requests to one bucket."""

    def __init__(self, http: HttpClient, bucket_name: str, credentials: Credentials) -> None:
        self._http = http
        self._name = bucket_name
        self._credentials = credentials
        self._endpoint: Endpoint | None = None
        self._clock_offset_seconds = 0.0

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
            NeuroError: what the provider refuses, as `s3_errors` has it.
        """
        target_query = canonical_query(query)

        async def ask(endpoint: Endpoint) -> Response:
            nonlocal first
            if first is not None:
                answer, first = first, None
                return answer
            target, signed = endpoint.sign(method, key, headers, target_query)
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

        async def ask(endpoint: Endpoint) -> Response | StreamedResponse:
            nonlocal first
            if first is not None:
                answer, first = first, None
                return answer
            await connection.aclose()
            target, signed = endpoint.sign("GET", key, headers)
            return await connection.enter_async_context(self._http.stream("GET", endpoint.origin, target, signed))

        return await self._until_ok(ask, key, also_ok=416)

    async def _until_ok(self, ask: Callable[[Endpoint], Awaitable[R]], key: str, also_ok: int = 0) -> R:
        """Ask until the answer is a success, within the bounds of `_RETRY`. Stale credentials and a wrong clock are mended once each."""
        mended: set[str] = set()

        async def attempt() -> R:
            while True:
                endpoint = await self.current_endpoint()
                try:
                    response = await ask(endpoint)
                except (ConnectionFailed, ServerTimeout) as error:
                    raise type(error)(f"{self.what(key)}: {error}") from error.__cause__ or error
                if response.status == also_ok or (response.status < 300 and not _fails_late(response)):
                    return response
                body = response.body if isinstance(response, Response) else await response.read()
                refusal = parse_refusal(body)
                if not body and key and response.status in {400, 403, 404}:  # the answer to a HEAD does not tell why
                    refusal = await self._why(endpoint, key)
                if refusal.code in STALE_CREDENTIALS and "credentials" not in mended:
                    mended.add("credentials")
                    await self._credentials.replace(endpoint.values)
                elif refusal.code in CLOCK_SKEW and "clock" not in mended:
                    mended.add("clock")
                    self._correct_clock(endpoint, response.headers.get("date"))
                else:
                    wait = retry_after_seconds(response.headers.get("retry-after"))
                    raise error_for(response.status, refusal, self.what(key), wait)

        return await retrying(_RETRY, attempt, retry_on=_retry_after)

    async def current_endpoint(self) -> Endpoint:
        """Where to ask, and as whom."""
        return self._endpoint_of(await self._credentials.get())

    def endpoint_at_hand(self) -> Endpoint | None:
        """What `current_endpoint` returns, where it need not wait."""
        values = self._credentials.at_hand()
        return None if values is None else self._endpoint_of(values)

    def _endpoint_of(self, values: Mapping[str, str]) -> Endpoint:
        if self._endpoint is None or self._endpoint.values is not values:
            self._endpoint = Endpoint.parse(values)
            self._endpoint.signer.clock_offset_seconds = self._clock_offset_seconds
        return self._endpoint

    async def _why(self, endpoint: Endpoint, key: str) -> Refusal:
        target, signed = endpoint.sign("GET", key, [("range", "bytes=0-0")])
        return parse_refusal((await self._http.request("GET", endpoint.origin, target, signed)).body)

    def _correct_clock(self, endpoint: Endpoint, date: str | None) -> None:
        moment = parse_http_date(date)
        if moment is not None:
            self._clock_offset_seconds = endpoint.signer.clock_offset_seconds = moment.timestamp() - time.time()


def _fails_late(response: Response | StreamedResponse) -> bool:
    # S3 may begin a 200 before it knows the outcome.
    return isinstance(response, Response) and bool(_LATE_ERROR.match(response.body))


def _retry_after(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds the provider wants it."""
    if isinstance(error, ServerNotAvailable) and error.retry_after_seconds:
        return error.retry_after_seconds
    return transient(error)
