"""Asking one bucket of Google Cloud Storage until it answers: a token that ran out is renewed, what may work later is tried again.

What is asked, and what the answers mean, is in `gcs`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote, urlencode

from neuro_sdk._errors import BadGateway, BucketNotFound, ConnectionFailed, ServerNotAvailable, ServerTimeout
from neuro_sdk._http import (
    HttpClient,
    Origin,
    Response,
    RetryPolicy,
    StreamedResponse,
    Timeouts,
    retry_after_seconds,
    retrying,
    transient,
)

from .base import Buffer
from .credentials import Credentials, read_endpoint
from .gcs_errors import error_for, parse_refusal, tells_what_is_missing
from .gcs_key import Tokens

OBJECTS = "/storage/v1/b/*/o"
UPLOAD = "/upload/storage/v1/b/*/o"
XML = "/*"
"""Paths of the three interfaces; `*` stands for the bucket."""
_GOOGLE = "https://storage.googleapis.com"
_RETRY = RetryPolicy(attempts=12)  # as long as for S3

R = TypeVar("R", bound=Response | StreamedResponse)
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one bucket is, and as whom it is asked; made from one credentials map."""

    values: Mapping[str, str] = field(repr=False)
    origin: Origin
    path: str
    bucket: str
    token: str = field(repr=False)

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> "Endpoint":
        """Read a credentials map as the control plane sends it, with a token in it.

        Raises:
            BadGateway: it lacks something, or its endpoint is no address.
        """
        try:
            bucket, token = values["bucket_name"], values["access_token"]
        except KeyError as error:
            raise BadGateway(f"the control plane sent Google credentials without {error}") from None
        origin, base = read_endpoint(values.get("endpoint_url") or _GOOGLE)
        return cls(values, origin, base, bucket, token)

    def target(self, path: str, query: Pairs) -> str:
        """What a request is sent to; `path` is one of the constants, and what follows it is encoded."""
        target = self.path + path.replace("*", quote(self.bucket, safe=""), 1)
        return f"{target}?{urlencode(query, quote_via=quote, safe='~')}" if query else target


class GcsWire:
    """Requests to one bucket."""

    def __init__(self, http: HttpClient, bucket_name: str, credentials: Credentials) -> None:
        self._http = http
        self._name = bucket_name
        self._tokens = Tokens(http, credentials)
        self._endpoint: Endpoint | None = None

    def what(self, key: str) -> str:
        """How a message names a blob, or the bucket."""
        return f"blob {key!r} in bucket {self._name!r}" if key else f"bucket {self._name!r}"

    async def request(
        self,
        method: str,
        path: str,
        key: str = "",
        *,
        query: Pairs = (),
        headers: Pairs = (),
        body: Buffer = b"",
        also_ok: Sequence[int] = (),
        retry: RetryPolicy = _RETRY,
        timeouts: Timeouts | None = None,
    ) -> Response:
        """One request and its whole answer, which is a success, or one of `also_ok`. `key` is what it is about.

        Raises:
            NeuroError: what the provider refuses, as `gcs_errors` has it.
        """

        async def ask(endpoint: Endpoint) -> Response:
            target = endpoint.target(path, query)
            signed = [("authorization", f"Bearer {endpoint.token}"), *headers]
            return await self._http.request(method, endpoint.origin, target, signed, body, timeouts=timeouts)

        return await self._until_ok(ask, key, also_ok, retry)

    async def stream(
        self, connection: AsyncExitStack, path: str, key: str, query: Pairs, headers: Pairs
    ) -> StreamedResponse:
        """Begin a GET whose body arrives inside `connection`; 416 is an answer like any other."""

        async def ask(endpoint: Endpoint) -> StreamedResponse:
            await connection.aclose()
            target = endpoint.target(path, query)
            signed = [("authorization", f"Bearer {endpoint.token}"), *headers]
            return await connection.enter_async_context(self._http.stream("GET", endpoint.origin, target, signed))

        return await self._until_ok(ask, key, [416], _RETRY)

    async def current_endpoint(self) -> Endpoint:
        """Where to ask, and as whom."""
        values = await self._tokens.get()
        if self._endpoint is None or self._endpoint.values is not values:
            self._endpoint = Endpoint.parse(values)
        return self._endpoint

    async def _until_ok(
        self, ask: Callable[[Endpoint], Awaitable[R]], key: str, also_ok: Sequence[int], retry: RetryPolicy
    ) -> R:
        """Ask until the answer is a success, within the bounds of `retry`. A token that is refused is replaced once."""
        renewed = False

        async def attempt() -> R:
            nonlocal renewed
            while True:
                endpoint = await self.current_endpoint()
                try:
                    response = await ask(endpoint)
                except (ConnectionFailed, ServerTimeout) as error:
                    raise type(error)(f"{self.what(key)}: {error}") from error.__cause__ or error
                if response.status < 300 or response.status in also_ok:
                    return response
                if response.status == 401 and not renewed:
                    renewed = True
                    await self._tokens.replace(endpoint.values)
                    continue
                refusal = parse_refusal(response.body if isinstance(response, Response) else await response.read())
                wait = retry_after_seconds(response.headers.get("retry-after"))
                untold = response.status == 404 and not tells_what_is_missing(refusal)
                if untold and not (key and await self._is_there(endpoint)):
                    raise BucketNotFound(f"{self.what(key)}: the bucket is gone at its provider")
                raise error_for(response.status, refusal, self.what(key), wait)

        return await retrying(retry, attempt, retry_on=_retry_after)

    async def _is_there(self, endpoint: Endpoint) -> bool:
        """Whether the bucket is. Google says of a blob and of a bucket alike that it is not found."""
        target = endpoint.target(OBJECTS, [("maxResults", "1"), ("fields", "kind")])
        signed = [("authorization", f"Bearer {endpoint.token}")]
        return (await self._http.request("GET", endpoint.origin, target, signed)).status != 404


def quote_key(key: str) -> str:
    """The key as one part of a path: no `/` and no `..` is left in it that anybody on the way could resolve."""
    return quote(key, safe="")


def _retry_after(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds the provider wants it."""
    if isinstance(error, ServerNotAvailable) and error.retry_after_seconds:
        return error.retry_after_seconds
    return transient(error)
