"""Stores of Google Cloud Storage over servers that a test scripts, and what such a server answers."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

from neuro_sdk import Bucket
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from tests.sdk.http_servers import Handler, ok, read_request, serving

BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.GCP, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket")


@dataclass
class Asked:
    """One request that a scripted server got."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Answering = Callable[[Asked], bytes | None]


def script(answer: Answering, seen: list[Asked]) -> Handler:
    """Answers each request by a function of it, and closes the connection where that says None."""

    async def handler(reader, writer):  # type: ignore[no-untyped-def]  # a Handler
        while True:
            head, body = await read_request(reader)
            first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            asked = Asked(method, unquote(parts.path), query, headers, body)
            seen.append(asked)
            told = answer(asked)
            if told is None:
                return
            writer.write(told)
            await writer.drain()

    return handler


@asynccontextmanager
async def scripted(
    answer: Answering, issue: Callable[[], Awaitable[Mapping[str, str]]] | None = None
) -> AsyncIterator[tuple[GcsStore, list[Asked]]]:
    """A store over a server that answers by `answer`, and all that it was asked."""
    seen: list[Asked] = []
    async with serving(script(answer, seen)) as server:

        async def values() -> Mapping[str, str]:
            given = await issue() if issue else {"access_token": "a-token"}
            return {"bucket_name": "at-google", "project": "p", "endpoint_url": str(server.origin), **given}

        http = HttpClient()
        try:
            yield GcsStore(http, BUCKET, Credentials(values)), seen
        finally:
            await http.aclose()


def told(value: object, *headers: str, status: str = "200 OK") -> bytes:
    """An answer in JSON."""
    return ok(json.dumps(value).encode(), "Content-Type: application/json", *headers, status=status)


def refused(status: int, reason: str = "", message: str = "", *headers: str) -> bytes:
    """A refusal as the JSON API words it."""
    errors = [{"domain": "global", "reason": reason, "message": message}] if reason else []
    error = {"error": {"code": status, "message": message, "errors": errors}}
    return told(error, *headers, status=f"{status} Refused")


def blob(key: str = "key", size: int = 5, generation: str = "17") -> dict[str, str]:
    """The resource of a blob."""
    return {"name": key, "size": str(size), "generation": generation, "timeCreated": "2026-05-06T07:08:09.123Z"}


def media(body: bytes, *headers: str, generation: str = "17", status: str = "200 OK") -> bytes:
    """A download."""
    return ok(body, f"X-Goog-Generation: {generation}", *headers, status=status)
