"""The provider suite on Azurite, over TLS: signed with the account's key, and with a delegation key; and what only Azure can show."""

import asyncio
import base64
import contextlib
import functools
import http.server
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient, BlobServiceClient, ContainerClient

from neuro_buckets.errors import ConfigError, InvalidRequest, NotFound, ProviderUnavailable
from neuro_buckets.providers import azure, azure_account, azure_policies
from neuro_buckets.providers.azure import AzureProvider
from neuro_buckets.providers.azure_account import AzureAccount, account_name, code_of
from neuro_buckets.providers.azure_policies import MOST_POLICIES, REGISTRY
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from tests.azurite_control_fixture import Azurite
from tests.conformance.providers import (
    BODY,
    CELLS,
    GRANTS,
    KEY,
    PRINCIPAL,
    SECONDS,
    Buckets,
    DataSession,
    ProviderSuite,
    Refused,
)


class AzureData(DataSession):
    """Containers through azure-storage-blob, each with the SAS that is for it; without one, as anybody."""

    def __init__(self, azurite: Azurite, sas: Mapping[str, str], *, otherwise: str = "") -> None:
        self._azurite = azurite
        self._sas = sas
        self._otherwise = otherwise
        """For containers that are not in `sas`."""
        self._containers: dict[str, ContainerClient] = {}

    def get(self, bucket: str, key: str) -> bytes:
        with _refused():
            return self._blob(bucket, key).download_blob().readall()
        raise AssertionError

    def put(self, bucket: str, key: str, body: bytes) -> None:
        with _refused():
            self._blob(bucket, key).upload_blob(body, overwrite=True)

    def delete(self, bucket: str, key: str) -> None:
        with _refused():
            self._blob(bucket, key).delete_blob()

    def list(self, bucket: str) -> list[str]:
        with _refused():
            return list(self._container(bucket).list_blob_names())
        raise AssertionError

    def head(self, bucket: str, key: str) -> int:
        with _refused():
            return self._blob(bucket, key).get_blob_properties().size
        raise AssertionError

    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
        with _refused():
            # Azurite reads a source of the same account without any signature; Azure asks for one, so it is shown.
            sas = self._sas.get(source_bucket, self._otherwise)
            source = self._blob(source_bucket, source_key).url + (f"?{sas}" if sas else "")
            self._blob(bucket, key).start_copy_from_url(source)

    def multipart(self, bucket: str, key: str, body: bytes) -> None:
        with _refused():
            blob = self._blob(bucket, key)
            blob.stage_block("MDAx", body)
            assert [block.id for block in blob.get_block_list("uncommitted")[1]] == ["MDAx"]
            blob.commit_block_list([BlobBlock("MDAx")])

    def begin(self, bucket: str, key: str) -> None:
        with _refused():
            self._blob(bucket, key).stage_block("MDAx", b"staged")

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        with _refused():
            for key in keys:
                self._blob(bucket, key).delete_blob()

    def put_policy(self, bucket: str) -> None:
        with _refused():
            self._container(bucket).set_container_access_policy({}, public_access="blob")
            self._container(bucket).set_container_access_policy({})

    def make_bucket(self, bucket: str) -> None:
        with _refused():
            self._container(bucket).create_container()

    def remove_bucket(self, bucket: str) -> None:
        with _refused():
            self._container(bucket).delete_container()

    def _blob(self, bucket: str, key: str) -> BlobClient:
        return self._container(bucket).get_blob_client(key)

    def _container(self, bucket: str) -> ContainerClient:
        if bucket not in self._containers:
            self._containers[bucket] = ContainerClient(
                self._azurite.endpoint_url,
                bucket,
                credential=AzureSasCredential(sas) if (sas := self._sas.get(bucket, self._otherwise)) else None,
                connection_verify=self._azurite.authority_file,
                retry_total=0,
            )
        return self._containers[bucket]


class Administrator(AzureData):
    """With the account's key."""

    def __init__(self, azurite: Azurite) -> None:
        super().__init__(azurite, {})
        self.service = BlobServiceClient(
            azurite.endpoint_url,
            credential={"account_name": "acct1", "account_key": azurite.account_key},
            connection_verify=azurite.authority_file,
            retry_total=0,
        )

    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
        self.put(bucket, key, self.get(source_bucket, source_key))

    def policies(self, bucket: str) -> dict[str, str]:
        """Permissions by principal."""
        found = self._container(bucket).get_container_access_policy()["signed_identifiers"]
        return {one.id.rpartition(".")[0]: one.access_policy.permission for one in found}

    def _container(self, bucket: str) -> ContainerClient:
        return self.service.get_container_client(bucket)


class AzureSuite(ProviderSuite):
    engine_name = "azurite"
    secret = token = "sas_token"
    expiration = "expiry"
    principals_at_once = MOST_POLICIES - 1

    azurite: Azurite

    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> AzureData:
        assert values["storage_endpoint"] == self.azurite.endpoint_url
        return AzureData(self.azurite, {}, otherwise=values.get("sas_token", ""))

    def open_principal(self, provider: BucketProvider, values: Mapping[str, Mapping[str, str]]) -> AzureData:
        sas = {bucket: of_bucket["sas_token"] for bucket, of_bucket in values.items()}
        return AzureData(self.azurite, sas, otherwise=next(iter(sas.values())))

    def open_anonymous(self, provider: BucketProvider) -> AzureData:
        return AzureData(self.azurite, {})

    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> Administrator:
        return _administrator(self.azurite)

    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        response = await self._ask("GET", url)
        if response.status_code == 403:
            raise Refused
        assert response.status_code == 200
        return response.content

    async def store(self, provider: BucketProvider, url: str, body: bytes) -> None:
        response = await self._ask("PUT", url, body)
        if response.status_code == 403:
            raise Refused
        assert response.status_code == 201

    async def _ask(self, method: str, url: str, body: bytes = b"") -> httpx.Response:
        headers = {"x-ms-blob-type": "BlockBlob"} if method == "PUT" else {}
        async with httpx.AsyncClient(verify=_trusting(self.azurite)) as client:
            return await client.request(method, url, content=body, headers=headers)


class TestAzureProvider(AzureSuite):
    """What is temporary is signed with a delegation key, and what is persistent with the account's."""

    @pytest.fixture
    async def provider(self, azurite_control: Azurite) -> AsyncIterator[AzureProvider]:
        self.azurite = azurite_control
        provider = AzureProvider(azurite_control.account())
        yield provider
        await provider.aclose()

    async def test_what_is_temporary_is_signed_with_a_delegation_key(
        self, provider: AzureProvider, buckets: Buckets
    ) -> None:
        issued = await provider.issue_credentials([Grant(buckets.granted, Access.READ)], SECONDS)
        url = await provider.sign_url(buckets.granted, KEY, 60)
        for query in (parse_qs(issued.values["sas_token"]), parse_qs(urlsplit(url).query)):
            assert query["skoid"] == ["23657296-5cd5-45b0-a809-d972a7f4dfe1"]
            assert query["spr"] == ["https"]

    @pytest.mark.parametrize("grants", ["read", "read_write"])
    async def test_without_a_token_the_accounts_key_signs_the_same(
        self, provider: AzureProvider, buckets: Buckets, grants: str
    ) -> None:
        with_key = AzureProvider(self.azurite.account(with_token=False))
        issued = await with_key.issue_credentials(GRANTS[grants](buckets), SECONDS)
        assert "skoid" not in parse_qs(issued.values["sas_token"])
        session, admin = self.open(with_key, issued.values), _administrator(self.azurite)
        for cell in CELLS:
            await self._prepare(provider, admin, buckets, empty=cell.needs_empty)
            if cell.read if grants == "read" else cell.write:
                await asyncio.to_thread(cell.do, session, buckets)
            else:
                await self._refused_without_a_trace(admin, buckets, partial(cell.do, session, buckets))
        url = await with_key.sign_url(buckets.granted, KEY, 60, put=True)
        await self.store(provider, url, b"new")
        await with_key.aclose()


@pytest.fixture
async def provider(azurite_control: Azurite) -> AsyncIterator[AzureProvider]:
    provider = AzureProvider(azurite_control.account())
    for name in ("first-bucket", "second-bucket"):
        await provider.create_bucket(name)
    yield provider
    for name in (PRINCIPAL, *(f"{PRINCIPAL}-{number}" for number in range(MOST_POLICIES))):
        await provider.delete_principal(name)
    await provider.aclose()


@pytest.fixture
def admin(azurite_control: Azurite) -> Administrator:
    return _administrator(azurite_control)


async def test_a_grant_changes_and_takes_away_and_adds_nothing(
    provider: AzureProvider, azurite_control: Azurite, admin: Administrator
) -> None:
    both = [Grant("first-bucket", Access.READ), Grant("second-bucket", Access.READ_WRITE)]
    made = await provider.create_principal(PRINCIPAL, both[:1] + both[1:])
    holder = AzureData(azurite_control, {name: values["sas_token"] for name, values in made.items()})
    holder.put("second-bucket", KEY, BODY)
    with pytest.raises(Refused):
        holder.put("first-bucket", KEY, BODY)

    await provider.grant(PRINCIPAL, [Grant("first-bucket", Access.READ_WRITE), Grant("second-bucket", Access.READ)])
    holder.put("first-bucket", KEY, BODY)
    assert holder.get("second-bucket", KEY) == BODY
    with pytest.raises(Refused):
        holder.put("second-bucket", KEY, b"new")

    await provider.grant(PRINCIPAL, both[:1])
    assert holder.get("first-bucket", KEY) == BODY
    with pytest.raises(Refused):
        holder.get("second-bucket", KEY)
    assert PRINCIPAL not in admin.policies("second-bucket")

    with pytest.raises(InvalidRequest, match="second-bucket"):
        await provider.grant(PRINCIPAL, both)
    assert holder.get("first-bucket", KEY) == BODY  # nothing was changed
    for name in ("first-bucket", "second-bucket"):
        admin.delete(name, KEY)


async def test_a_bucket_takes_five_principals_and_a_sixth_leaves_nothing(
    provider: AzureProvider, admin: Administrator
) -> None:
    grants = [Grant("first-bucket", Access.READ)]
    await asyncio.gather(
        *(provider.create_principal(f"{PRINCIPAL}-{number}", grants) for number in range(MOST_POLICIES))
    )
    five = admin.policies("first-bucket")
    assert set(five) == {f"{PRINCIPAL}-{number}" for number in range(MOST_POLICIES)}

    with pytest.raises(InvalidRequest, match="first-bucket has 5 persistent credentials"):
        await provider.create_principal(PRINCIPAL, [Grant("second-bucket", Access.READ), *grants])

    assert admin.policies("first-bucket") == five
    assert PRINCIPAL not in admin.policies("second-bucket")
    with pytest.raises(NotFound):
        await provider.grant(PRINCIPAL, grants)


async def test_a_bucket_that_is_made_public_and_private_keeps_its_principals(
    provider: AzureProvider, admin: Administrator
) -> None:
    await provider.create_principal(PRINCIPAL, [Grant("first-bucket", Access.READ_WRITE)])
    policies = admin.policies("first-bucket")
    assert policies == {PRINCIPAL: "racwdl"}

    for public in (True, False):
        await provider.set_public_access("first-bucket", public)
        assert admin.policies("first-bucket") == policies
        access = admin.service.get_container_client("first-bucket").get_container_access_policy()["public_access"]
        assert access == ("container" if public else None)


async def test_a_principal_of_a_bucket_that_is_gone_is_ended_and_narrowed(provider: AzureProvider) -> None:
    await provider.create_bucket("gone-bucket")
    left = [Grant("first-bucket", Access.READ)]
    await provider.create_principal(PRINCIPAL, [*left, Grant("gone-bucket", Access.READ)])
    await provider.delete_bucket("gone-bucket")

    await provider.grant(PRINCIPAL, left)
    await provider.delete_principal(PRINCIPAL)


async def test_a_crash_leaves_no_policy_that_nobody_knows_of(
    provider: AzureProvider, admin: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The containers are written down before the first policy is made: whoever deletes the principal finds them all."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AzureProvider, "_wait_until_known", crash)
    with pytest.raises(KeyboardInterrupt):
        provider._create_principal(PRINCIPAL, {"first-bucket": "rl", "second-bucket": "rl"})
    assert PRINCIPAL in admin.policies("first-bucket")

    await provider.delete_principal(PRINCIPAL)

    assert not {PRINCIPAL} & {*admin.policies("first-bucket"), *admin.policies("second-bucket")}
    assert PRINCIPAL not in admin.list(REGISTRY)


async def test_without_the_accounts_key_there_are_no_principals_and_it_is_said_what_is_missing(
    azurite_control: Azurite,
) -> None:
    provider = AzureProvider(azurite_control.account(with_key=False))
    await provider.check()
    await provider.create_bucket("first-bucket")
    issued = await provider.issue_credentials([Grant("first-bucket", Access.READ)], SECONDS)
    assert AzureData(azurite_control, {"first-bucket": issued.values["sas_token"]}).list("first-bucket") == []
    with pytest.raises(InvalidRequest, match="the account's key"):
        await provider.create_principal(PRINCIPAL, [Grant("first-bucket", Access.READ)])
    await provider.aclose()
    with pytest.raises(ConfigError, match="needs the key"):
        AzureAccount(azurite_control.endpoint_url)


@pytest.mark.parametrize("name", ["*", "a/b", "UPPER", "ab", "a--b", "-ab", "ab-", "a.b", "a" * 64, "$root", REGISTRY])
async def test_a_name_that_is_no_containers_is_refused(provider: AzureProvider, name: str) -> None:
    await provider.create_bucket("a" + "-a" * 31)
    await provider.delete_bucket("a" + "-a" * 31)
    for call in (
        provider.create_bucket(name),
        provider.delete_bucket(name),
        provider.set_public_access(name, True),
        provider.sign_url(name, "key", 60),
        provider.issue_credentials([Grant(name, Access.READ)], SECONDS),
        provider.create_principal(PRINCIPAL, [Grant(name, Access.READ)]),
    ):
        with pytest.raises(InvalidRequest, match="not a bucket name"):
            await call


@pytest.mark.parametrize("name", ["nb-", "nb-*", "nb-a/b", "nb-a.b", "nb-" + "a" * 49, "admin", ""])
async def test_a_name_that_is_not_ours_is_no_principal(provider: AzureProvider, name: str) -> None:
    grants = [Grant("first-bucket", Access.READ)]
    for call in (
        provider.create_principal(name, grants),
        provider.grant(name, grants),
        provider.delete_principal(name),
    ):
        with pytest.raises(InvalidRequest, match="not an identity of ours"):
            await call


async def test_several_buckets_are_refused_for_temporary_credentials(provider: AzureProvider) -> None:
    grants = [Grant("first-bucket", Access.READ), Grant("second-bucket", Access.READ)]
    with pytest.raises(InvalidRequest, match="one bucket"):
        await provider.issue_credentials(grants, SECONDS)


@pytest.mark.parametrize("key", ["a\\b", "a/../b", "..", "./a", "a/.", "a.", "dir./a", "a\0", "\ud800"])
async def test_a_key_that_the_storage_would_rewrite_is_not_signed(provider: AzureProvider, key: str) -> None:
    await provider.sign_url("first-bucket", ".a/b..c", 60)
    with pytest.raises(InvalidRequest):
        await provider.sign_url("first-bucket", key, 60)


@pytest.mark.parametrize("key", ["a//b", "/a", "dir/", "//", "a..b"])
async def test_a_key_that_only_looks_odd_is_signed(
    provider: AzureProvider, admin: Administrator, azurite_control: Azurite, key: str
) -> None:
    admin.put("first-bucket", key, key.encode())
    url = await provider.sign_url("first-bucket", key, 60)
    async with httpx.AsyncClient(verify=_trusting(azurite_control)) as client:
        assert (await client.get(url)).content == key.encode()
    assert admin.list("first-bucket") == [key]
    admin.delete("first-bucket", key)


async def test_a_storage_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_account, "_RETRY_SECONDS", 0)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        key = base64.b64encode(b"hidden-secret").decode()
        provider = AzureProvider(AzureAccount(f"http://127.0.0.1:{held.getsockname()[1]}/acct1", key))
        for call in (
            provider.check(),
            provider.create_bucket("bucket"),
            provider.create_principal(PRINCIPAL, [Grant("bucket", Access.READ)]),
        ):
            with pytest.raises(ProviderUnavailable, match="does not answer") as raised:
                await call
            assert key not in str(raised.value)
        assert key not in repr(provider._account)
        await provider.aclose()


async def test_a_wrong_key_of_ours_is_the_storages_refusal_and_not_shown(azurite_control: Azurite) -> None:
    key = base64.b64encode(b"hidden-secret").decode()
    account = AzureAccount(azurite_control.endpoint_url, key, authority_file=azurite_control.authority_file)
    provider = AzureProvider(account)
    for call in (provider.check(), provider.create_bucket("refused-bucket"), provider.delete_bucket("refused-bucket")):
        with pytest.raises(ProviderUnavailable, match="refuses") as raised:
            await call
        assert key not in str(raised.value)
    await provider.aclose()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://mine.blob.core.windows.net", "mine"),
        ("https://mine.blob.core.windows.net/", "mine"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
    ],
)
def test_the_name_of_the_account_is_in_its_address(url: str, name: str) -> None:
    assert account_name(url) == name


@contextlib.contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[tuple[str, list[str]]]:
    """A storage that answers each request with a status and a code, the last ones again and again; and what it was asked."""
    asked: list[str] = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, code = left.pop(0) if len(left) > 1 else left[0]
            body = (
                f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode() if code else b""
            )
            self.send_response(status)
            headers = (
                {"x-ms-error-code": code, "Content-Type": "application/xml"} if code else {"x-ms-lease-id": "lease"}
            )
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = _answer  # noqa: N815 - so says http.server

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/acct1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_bucket_is_made_once_the_storage_has_deleted_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azurite frees a name at once; Azure answers 409 ContainerBeingDeleted for half a minute or more."""
    monkeypatch.setattr(azure, "_DELETED_PAUSE_SECONDS", 0.01)
    being_deleted = (409, "ContainerBeingDeleted")
    with answering(being_deleted, being_deleted, (201, "")) as (url, asked):
        provider = AzureProvider(AzureAccount(url, "a2V5"))
        await provider.create_bucket("first-bucket")
        await provider.aclose()
    assert asked == ["PUT /acct1/first-bucket?restype=container"] * 3

    monkeypatch.setattr(azure, "_DELETED_SECONDS", 0.1)
    with answering(being_deleted) as (url, asked):
        provider = AzureProvider(AzureAccount(url, "a2V5"))
        with pytest.raises(ProviderUnavailable, match="still deleting an earlier bucket first-bucket"):
            await provider.create_bucket("first-bucket")
        await provider.delete_bucket("first-bucket")  # it is gone, as far as that goes
        await provider.aclose()


async def test_an_account_that_allows_no_public_buckets_says_so() -> None:
    lease, acl = (201, ""), (200, "")
    with answering(lease, acl, (409, "PublicAccessNotPermitted")) as (url, _):
        provider = AzureProvider(AzureAccount(url, "a2V5"))
        with pytest.raises(InvalidRequest, match="allowBlobPublicAccess"):
            await provider.set_public_access("first-bucket", True)
        await provider.aclose()


async def test_a_container_that_somebody_else_has_leased_is_told(
    provider: AzureProvider, admin: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_policies, "_LEASE_WAIT_SECONDS", 0.2)
    lease = admin.service.get_container_client("second-bucket").acquire_lease(-1)
    for call in (provider.set_public_access("second-bucket", True), provider.delete_bucket("second-bucket")):
        with pytest.raises(ProviderUnavailable, match="lease on the container of bucket second-bucket"):
            await call
    lease.release()
    await provider.set_public_access("second-bucket", False)


async def test_whoever_may_write_holds_up_no_change_of_rights(
    provider: AzureProvider, azurite_control: Azurite
) -> None:
    """A lease of the container would: it is what those who change rights wait for."""
    for values in (
        (await provider.issue_credentials([Grant("first-bucket", Access.READ_WRITE)], SECONDS)).values,
        (await provider.create_principal(PRINCIPAL, [Grant("first-bucket", Access.READ_WRITE)]))["first-bucket"],
    ):
        session = AzureData(azurite_control, {"first-bucket": values["sas_token"]})
        session.put("first-bucket", KEY, BODY)
        session.delete("first-bucket", KEY)
        with pytest.raises(HttpResponseError) as raised:
            session._container("first-bucket").acquire_lease(-1)
        assert raised.value.status_code == 403


async def test_closing_twice_leaves_no_thread(azurite_control: Azurite) -> None:
    provider = AzureProvider(azurite_control.account())
    await provider.check()
    threads = set(provider._threads._threads)
    assert any(thread.is_alive() for thread in threads)

    await provider.aclose()
    await provider.aclose()

    assert not any(thread.is_alive() for thread in threads)


@functools.cache
def _administrator(azurite: Azurite) -> Administrator:
    return Administrator(azurite)


@functools.cache
def _trusting(azurite: Azurite) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=azurite.authority_file)


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except HttpResponseError as error:
        if error.status_code == 403 or code_of(error) == "CannotVerifyCopySource":
            raise Refused from error
        raise
