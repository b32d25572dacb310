"""A client of a real control plane over a real engine, an empty bucket of its own, and a look at what is asked of whom."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from yarl import URL

import neuro_sdk
from neuro_sdk import Bucket, Client
from neuro_sdk._http import HttpClient, Origin
from tests.stack_fixture import Stack


@dataclass
class Asked:
    """The requests that were sent, as (method, to the control plane or to the provider, target)."""

    control: list[str] = field(default_factory=list)
    provider: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.control.clear()
        self.provider.clear()


@pytest.fixture
def user() -> str:
    """A user of this test alone."""
    return f"user-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def client(stack: Stack, user: str) -> AsyncIterator[Client]:
    async with neuro_sdk.get(url=stack.url, token=stack.token(user)) as client:
        yield client


@pytest.fixture
async def stranger(stack: Stack) -> AsyncIterator[Client]:
    """A client of somebody else."""
    async with neuro_sdk.get(url=stack.url, token=stack.token(f"stranger-{uuid.uuid4().hex[:8]}")) as client:
        yield client


@pytest.fixture
async def bucket(client: Client) -> AsyncIterator[Bucket]:
    """An empty bucket; removed with all that is in it."""
    bucket = await client.buckets.create(f"b-{uuid.uuid4().hex[:12]}")
    yield bucket
    try:
        await client.buckets.blob_rm(bucket.uri, recursive=True)
        await client.buckets.rm(bucket.id)
    except neuro_sdk.BucketNotFound:
        return  # the test removed it


@pytest.fixture
def asked(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What every client of this test asks, from now on."""
    asked = Asked()
    control = URL(stack.url).port
    begin, ask = HttpClient._begin, HttpClient._ask

    def record(method: str, origin: Origin, target: str) -> None:
        (asked.control if origin.port == control else asked.provider).append(f"{method} {target}")

    async def begin_recorded(self, method, origin, target, *rest, **options):  # type: ignore[no-untyped-def]  # a pass-through
        record(method, origin, target)
        return await begin(self, method, origin, target, *rest, **options)

    async def ask_recorded(self, request, *rest, **options):  # type: ignore[no-untyped-def]  # likewise
        record(request.method, request.origin, request.target)
        return await ask(self, request, *rest, **options)

    monkeypatch.setattr(HttpClient, "_begin", begin_recorded)
    monkeypatch.setattr(HttpClient, "_ask", ask_recorded)
    return asked
