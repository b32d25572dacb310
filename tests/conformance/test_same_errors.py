"""The same fault of a storage is the same error of the SDK, whatever the provider: as its documentation says, and on the engines."""

import asyncio
import base64
import contextlib
import re
import socket
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from neuro_buckets.commands.serving import provider_over
from neuro_buckets.engine import Engine
from neuro_buckets.providers.azure import AzureProvider
from neuro_buckets.providers.azure_account import AzureAccount
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.gcp import GcpProvider
from neuro_buckets.providers.minio import MinioProvider
from neuro_sdk import AuthorizationError, Bucket, ServerNotAvailable
from neuro_sdk._http import HttpClient, RetryPolicy
from neuro_sdk._stores import open_store
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.memory import MemoryStore
from tests.azurite_fixture import Azurite
from tests.conformance.faults import AZURE, FAULTS, GOOGLE, PROVIDERS, Answer, Fault, fault
from tests.conformance.stores import read
from tests.conformance.test_aws_provider import provider_on
from tests.conformance.test_gcp_provider import project_at
from tests.gcs_control_fixture import ACCESS, Google
from tests.juicefs_fixture import Gateway
from tests.moto_fixture import Moto
from tests.sdk.http_servers import Handler, ok, read_request, serving

KEY, BUCKET = "a/key", "mine"
SECRET = base64.b64encode(b"hunter2-is-the-secret").decode()
KINDS = dict(zip(PROVIDERS, ("seaweedfs", "aws", "minio", "azure", "gcp"), strict=True))
Attempts = Mapping[str, Callable[[BlobStore], Awaitable[object]]]

OPERATIONS: Attempts = {
    "head": lambda store: store.head(KEY),
    "get": lambda store: read(store, KEY),
    "get of an etag": lambda store: read(store, KEY, etag='"17"'),
    "put": lambda store: store.put(KEY, b"body"),
    "list": lambda store: anext(aiter(store.list())),
}
ONLY = {
    "the blob is not there": ("head", "get"),
    "another blob than was asked for": ("get of an etag",),
    "damaged on the way": ("put",),
}
"""Which can have this fault; the others all can."""
SAYS_LESS = {(AZURE, "a wrong clock, which the SDK could not correct"): "the provider does not take the credentials"}
"""It has one code for several faults."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "delay", lambda *_: 0.0)


@asynccontextmanager
async def opened(kind: str, values: Mapping[str, str]) -> AsyncIterator[BlobStore]:
    async def issue() -> Mapping[str, str]:
        return dict(values)

    bucket = Bucket("id", "me", "here", None, Bucket.Provider(kind), datetime.now(UTC), imported=False, name=BUCKET)
    http = HttpClient()
    try:
        yield await open_store(bucket, Credentials(issue), http)
    finally:
        await http.aclose()


def values_for(provider: str, url: str) -> Mapping[str, str]:
    """Credentials that nobody issued."""
    if provider == AZURE:
        return {"bucket_name": "at-provider", "storage_endpoint": f"{url}/account", "credential": SECRET}
    if provider == GOOGLE:
        return {"bucket_name": "at-provider", "endpoint_url": url, "access_token": SECRET}
    keys = {"access_key_id": "an-id", "secret_access_key": SECRET, "session_token": SECRET}
    return {"bucket_name": "at-provider", "endpoint_url": url, **keys}


def answering(provider: str, answer: Answer, *, bucket_is_there: bool) -> Handler:
    """Answers so, and to a HEAD with no body. Google says 404 of a blob and of a bucket alike, so it is asked for the bucket, too."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = (await read_request(reader))[0].partition(b"\r\n")[0]
            if bucket_is_there and re.match(rb"GET /storage/v1/b/[^/]+/o\?", line):
                writer.write(ok(b"{}"))
                continue
            body = answer.body(provider)
            headers = [f"{name}: {value}" for name, value in answer.headers(provider).items()]
            told = ok(body, *headers, status=f"{answer.status} Refused")
            writer.write(told.removesuffix(body) if line.startswith(b"HEAD ") else told)

    return handler


async def refused(store: BlobStore, row: Fault, operations: Sequence[str], *secrets: str, says: str = "") -> None:
    """Each of these is that error, which names what it is about, says why, and shows no secret."""
    assert row.stored is not None
    for operation in operations:
        with pytest.raises(row.stored) as caught:
            await OPERATIONS[operation](store)
        message = str(caught.value)
        assert type(caught.value) is row.stored, operation
        assert f"bucket {BUCKET!r}" in message
        assert operation == "list" or repr(KEY) in message
        assert (says or row.says) in message
        whole = "".join(traceback.format_exception(caught.value))
        assert not [secret for secret in (SECRET, *secrets) if secret in whole]
        if row.name == "throttled":
            assert isinstance(caught.value, ServerNotAvailable)
            assert caught.value.retry_after_seconds == 7


ANSWERED = [
    pytest.param(provider, row, answer, id=f"{row.name}-{provider}")
    for row in FAULTS
    if row.stored
    for provider, answer in row.answers.items()
    if isinstance(answer, Answer)
]


@pytest.mark.parametrize(("provider", "row", "answer"), ANSWERED)
async def test_what_a_provider_answers_is_the_error_of_the_fault(provider: str, row: Fault, answer: Answer) -> None:
    there = provider == GOOGLE and row.name == "the blob is not there"
    async with (
        serving(answering(provider, answer, bucket_is_there=there)) as server,
        opened(KINDS[provider], values_for(provider, str(server.origin))) as store,
    ):
        says = SAYS_LESS.get((provider, row.name), "")
        await refused(store, row, ONLY.get(row.name) or list(OPERATIONS), says=says)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_storage_that_cannot_be_reached_is_the_same_error(provider: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with opened(KINDS[provider], values_for(provider, url)) as store:
            await refused(store, fault("it cannot be reached"), list(OPERATIONS))


def test_every_cell_has_an_answer_or_a_reason() -> None:
    for row in FAULTS:
        assert tuple(row.answers) == PROVIDERS
        assert all(row.answers.values())


# What the engines themselves can show.


@dataclass
class Real:
    """A bucket on an engine, with a blob in it, and credentials for it."""

    provider: BucketProvider
    name: str

    async def values(self, access: Access, *, lasting: bool = False) -> dict[str, str]:
        grants = [Grant(self.name, access)]
        if lasting:
            issued = (await self.provider.create_principal(f"nb-{self.name[:40]}", grants))[self.name]
        else:
            issued = (await self.provider.issue_credentials(grants, 3600)).values
        return {**issued, "bucket_name": self.name}

    def opened(self, values: Mapping[str, str]) -> contextlib.AbstractAsyncContextManager[BlobStore]:
        return opened(self.provider.kind, values)


@pytest.fixture(params=PROVIDERS)
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Real]:
    provider = provider_for(request)
    name = f"nb-same-{uuid.uuid4().hex[:20]}"
    await provider.create_bucket(name)
    bucket = Real(provider, name)
    async with bucket.opened(await bucket.values(Access.READ_WRITE)) as store:
        await store.put(KEY, b"body")
        yield bucket
        with contextlib.suppress(Exception):  # the bucket is gone
            await store.delete(KEY)
    await provider.delete_principal(f"nb-{name[:40]}")
    await provider.delete_bucket(name)
    await provider.aclose()


def provider_for(request: pytest.FixtureRequest) -> BucketProvider:
    if request.param == "SeaweedFS":
        engine: Engine = request.getfixturevalue("seaweedfs")
        return provider_over(engine)
    if request.param == "AWS":
        moto: Moto = request.getfixturevalue("moto_iam")
        return provider_on(moto)
    if request.param == "MinIO":
        juicefs: Gateway = request.getfixturevalue("juicefs")
        access_key, secret_key = juicefs.service
        return MinioProvider(endpoint_url=juicefs.url, access_key=access_key, secret_key=secret_key)
    if request.param == AZURE:
        azurite: Azurite = request.getfixturevalue("azurite")
        return AzureProvider(AzureAccount(azurite.url, azurite.key))
    google: Google = request.getfixturevalue("google_cloud")
    return GcpProvider(project_at(google))


async def test_a_missing_blob_and_a_missing_bucket_are_told_apart_on_every_engine(real: Real) -> None:
    values = await real.values(Access.READ_WRITE)
    async with real.opened(values) as store:
        await store.delete(KEY)
        await refused(store, fault("the blob is not there"), ["head", "get"], *secrets_of(values))
        await real.provider.delete_bucket(real.name)
        gone = fault("the bucket is not there")
        await refused(store, gone, ["head", "get", "put", "list"], *secrets_of(values))


async def test_no_permission_is_the_same_error_on_every_engine(real: Real) -> None:
    # moto looks at no policy of a session
    values = await real.values(Access.READ, lasting=real.provider.kind == "aws")
    async with real.opened(values) as store:
        assert (await store.head(KEY)).size == 4
        await refused(store, fault("no permission"), ["put"], *secrets_of(values))


async def test_wrong_credentials_are_the_same_error_on_every_engine(real: Real) -> None:
    values = await real.values(Access.READ_WRITE)
    for name in ("secret_access_key", "access_token"):
        if name in values:
            values[name] = "A" * len(values[name])
    row = fault("wrong credentials")
    if "sas_token" in values:
        values["sas_token"] = re.sub(r"sig=[^&]+", f"sig={'A' * 43}%3D", values["sas_token"])
        # Azurite says of it what Azure says of networks that may not come in.
        row = replace(row, stored=AuthorizationError, says="AuthorizationFailure")
    async with real.opened(values) as store:
        await refused(store, row, ["head", "get", "put", "list"], *secrets_of(values))


# fake-gcs-server does not look at the condition of a read.
@pytest.mark.parametrize("real", [one for one in PROVIDERS if one != GOOGLE], indirect=True)
async def test_another_blob_than_was_asked_for_is_the_same_error_on_every_engine(real: Real) -> None:
    values = await real.values(Access.READ_WRITE)
    async with real.opened(values) as store:
        await refused(store, fault("another blob than was asked for"), ["get of an etag"], *secrets_of(values))


@pytest.mark.parametrize("real", [AZURE, GOOGLE], indirect=True)
async def test_expired_credentials_are_the_same_error(real: Real, request: pytest.FixtureRequest) -> None:
    """The engines of S3 issue none for less than a quarter of an hour."""
    values = await real.values(Access.READ_WRITE)
    if real.provider.kind == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        values["sas_token"] = azurite.sas(real.name, hours=-0.1)[0]
    else:
        google: Google = request.getfixturevalue("google_cloud")
        values["access_token"] = google.token_of(ACCESS, -1)
    async with real.opened(values) as store:
        await refused(store, fault("expired credentials"), ["head", "get", "put", "list"], *secrets_of(values))


@pytest.mark.parametrize("real", ["MinIO"], indirect=True)
async def test_a_token_that_is_not_valid_is_the_error_of_the_table_on_minio(real: Real) -> None:
    values = await real.values(Access.READ_WRITE)
    async with real.opened({**values, "session_token": values["session_token"][:-4] + "AAAA"}) as store:
        await refused(store, fault("expired credentials"), ["head", "get", "put", "list"], *secrets_of(values))


@pytest.mark.parametrize("real", ["SeaweedFS", "MinIO"], indirect=True)
async def test_a_storage_that_has_no_region_takes_any(real: Real) -> None:
    async with real.opened({**await real.values(Access.READ), "region_name": "eu-west-1"}) as store:
        assert (await store.head(KEY)).size == 4


async def test_memory_has_the_same_errors_where_it_can_have_the_faults() -> None:
    store = MemoryStore(BUCKET)
    await refused(store, fault("the blob is not there"), ["head", "get"], says="no blob")
    await store.put(KEY, b"body")
    await refused(store, fault("another blob than was asked for"), ["get of an etag"], says="no longer the blob")
    await store.delete(KEY)


def secrets_of(values: Mapping[str, str]) -> Sequence[str]:
    return [
        values[name]
        for name in ("secret_access_key", "session_token", "sas_token", "access_token", "key_data")
        if values.get(name)
    ]
