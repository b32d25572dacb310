"""The provider suite on a real SeaweedFS, and what only its sessions and its faults can show."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path

import httpx
import pytest

from neuro_buckets.commands.serving import provider_over
from neuro_buckets.engine import Engine
from neuro_buckets.errors import BucketNotEmpty, InvalidRequest, NotFound, ProviderUnavailable
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.scoped_session import scoped_policy
from neuro_buckets.providers.seaweed_iam import IamEndpoint, SeaweedUsers, _text
from neuro_buckets.providers.seaweedfs import ACTIONS, SeaweedProvider
from tests.conformance.providers import BODY, KEY, PRINCIPAL, SECONDS, Buckets, Refused
from tests.conformance.s3_data import S3Data
from tests.conformance.s3_providers import S3ProviderSuite


@pytest.fixture(scope="module")
def shared_provider(seaweedfs: Engine) -> Iterator[SeaweedProvider]:
    provider = provider_over(seaweedfs)
    yield provider
    asyncio.run(provider.aclose())


class TestSeaweedProvider(S3ProviderSuite):
    engine_name = "seaweedfs"

    @pytest.fixture
    async def provider(self, seaweedfs: Engine, shared_provider: SeaweedProvider) -> BucketProvider:
        self.engine, self.url, self.admin = seaweedfs, seaweedfs.endpoint_url, _administrator(seaweedfs)
        return shared_provider

    def provider_at(self, url: str, secret_key: str) -> SeaweedProvider:
        return SeaweedProvider(url, self.engine.admin_credentials.access_key, secret_key)

    async def test_a_session_cannot_make_another_session(self, provider: BucketProvider, buckets: Buckets) -> None:
        policy = scoped_policy(
            [Grant(buckets.other, Access.READ)], ACTIONS, most_characters=SeaweedProvider.policy_characters
        )
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleSessionName": "again",
            "DurationSeconds": "900",
            "Policy": policy,
        }
        unscoped = {name: value for name, value in form.items() if name != "Policy"}
        assert _administrator(self.engine).ask("sts", form) == 200
        issued = await provider.issue_credentials([Grant(buckets.granted, Access.READ_WRITE)], SECONDS)

        assert self.open(provider, issued.values).ask("sts", form) == 403
        assert self.open(provider, issued.values).ask("sts", unscoped) == 403

    @pytest.mark.parametrize("action", ["CreateUser", "CreateAccessKey"])
    async def test_nobody_makes_users_or_keys_on_the_public_port(
        self, provider: BucketProvider, buckets: Buckets, action: str
    ) -> None:
        """There is nobody who is allowed to show it first: the engine's IAM side is read-only, for the administrator too."""
        form = {"Action": action, "Version": "2010-05-08", "UserName": "intruder"}
        listing = {"Action": "ListUsers", "Version": "2010-05-08"}
        issued = await provider.issue_credentials([Grant(buckets.granted, Access.READ_WRITE)], SECONDS)
        assert _administrator(self.engine).ask("iam", listing) == 200  # the side is there and answers

        assert self.open(provider, issued.values).ask("iam", form) == 403
        assert _administrator(self.engine).ask("iam", form) == 403

    @pytest.mark.usefixtures("no_principal")
    async def test_a_principal_makes_no_keys_users_or_sessions(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        """Else ending it would not end what it made."""
        made = await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ_WRITE)])
        values = made[buckets.granted]
        holder = S3Data(values)
        await self._soon(holder.list, buckets.granted)
        assert set(values) == {"region_name", "endpoint_url", "access_key_id", "secret_access_key"}
        assert holder.ask("sts", {"Action": "GetCallerIdentity", "Version": "2011-06-15"}) == 200  # the sides answer
        assert _administrator(self.engine).ask("iam", {"Action": "ListUsers", "Version": "2010-05-08"}) == 200

        policy = scoped_policy(
            [Grant(buckets.granted, Access.READ)], ACTIONS, most_characters=SeaweedProvider.policy_characters
        )
        session = {"Version": "2011-06-15", "DurationSeconds": "900", "RoleSessionName": "again", "Name": "again"}
        for action in ("AssumeRole", "GetFederationToken", "GetSessionToken"):
            assert holder.ask("sts", {**session, "Action": action, "Policy": policy}) == 403
            assert holder.ask("sts", {**session, "Action": action}) == 403
        for action in ("CreateAccessKey", "CreateUser", "PutUserPolicy", "AttachUserPolicy", "ListUsers"):
            form = {"Action": action, "Version": "2010-05-08", "UserName": PRINCIPAL}
            assert holder.ask("iam", form) == 403

    async def test_a_principal_that_is_deleted_leaves_nothing(self, provider: BucketProvider, buckets: Buckets) -> None:
        assert isinstance(provider, SeaweedProvider)
        users = provider._users
        assert isinstance(users, SeaweedUsers)
        await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)])

        def ask(method: str) -> None:
            with users._channel() as channel:
                users._call(channel, method, PRINCIPAL, _text(1, PRINCIPAL))

        for method in ("GetUser", "GetPolicy"):
            await asyncio.to_thread(ask, method)  # there

        await provider.delete_principal(PRINCIPAL)

        for method in ("GetUser", "GetPolicy"):
            with pytest.raises(NotFound):
                await asyncio.to_thread(ask, method)

    @pytest.mark.usefixtures("no_principal")
    async def test_a_principal_takes_hundreds_of_buckets_and_no_thousands(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        many = [Grant(f"nb-{number:032}", Access.READ_WRITE) for number in range(2000)]
        holder = await self._session(provider, "persistent", [Grant(buckets.granted, Access.READ), *many[:400]])
        assert await asyncio.to_thread(holder.get, buckets.granted, KEY) == BODY

        for call in (provider.create_principal(PRINCIPAL, many), provider.grant(PRINCIPAL, many)):
            with pytest.raises(InvalidRequest, match="for 2000 buckets"):
                await call
        assert await asyncio.to_thread(holder.get, buckets.granted, KEY) == BODY  # nothing was changed

    @pytest.mark.usefixtures("public")
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            *(("GET", f"/{{bucket}}?{what}") for what in ("policy", "acl", "uploads", "versions", "lifecycle", "cors")),
            *(("PUT", f"/{{bucket}}?{what}") for what in ("policy", "acl", "tagging", "versioning", "lifecycle")),
            ("DELETE", "/{bucket}?policy"),
            ("PUT", "/{bucket}/" + KEY + "?tagging"),
            ("PUT", "/{bucket}/" + KEY + "?acl"),
            ("GET", "/nb-health/ready"),
        ],
    )
    async def test_of_a_public_bucket_anyone_learns_and_changes_no_more_than_its_blobs(
        self, buckets: Buckets, method: str, path: str
    ) -> None:
        async with httpx.AsyncClient(base_url=self.engine.endpoint_url) as client:
            assert (await client.get(f"/{buckets.granted}/{KEY}")).status_code == 200
            assert (await client.request(method, path.format(bucket=buckets.granted))).status_code == 403

    async def test_a_session_sees_no_foreign_bucket(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials([Grant(buckets.granted, Access.READ)], SECONDS)

        assert self.open(provider, issued.values).has_bucket(buckets.granted)
        assert _administrator(self.engine).has_bucket(buckets.other)
        assert not self.open(provider, issued.values).has_bucket(buckets.other)

    @pytest.mark.parametrize("key", ["a..b", "...", "dir/", ".hidden/..x"])
    async def test_a_key_that_only_looks_odd_is_signed(
        self, provider: BucketProvider, buckets: Buckets, key: str
    ) -> None:
        await asyncio.to_thread(_administrator(self.engine).put, buckets.granted, key, b"")

        assert await self.fetch(provider, await provider.sign_url(buckets.granted, key, 60)) == b""

    async def test_a_bucket_that_keeps_versions_is_not_deleted_with_live_blobs(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        """SeaweedFS itself would: it counts only what is not versioned."""
        admin = _administrator(self.engine)
        await asyncio.to_thread(admin.keep_versions, buckets.granted)
        await asyncio.to_thread(admin.put, buckets.granted, "versioned", b"live")

        for key in await asyncio.to_thread(admin.list, buckets.granted):
            with pytest.raises(BucketNotEmpty):
                await provider.delete_bucket(buckets.granted)
            await asyncio.to_thread(admin.delete, buckets.granted, key)
        with pytest.raises(BucketNotEmpty):  # nothing is listed, and still the versions are there
            await provider.delete_bucket(buckets.granted)

        await asyncio.to_thread(admin.forget_versions, buckets.granted)
        await provider.delete_bucket(buckets.granted)
        await provider.create_bucket(buckets.granted)


async def test_a_storage_whose_iam_does_not_answer_is_unavailable(seaweedfs: Engine) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        provider = _with_iam(seaweedfs, address=f"127.0.0.1:{held.getsockname()[1]}")
        for call in _calls_of_principals(provider):
            with pytest.raises(ProviderUnavailable, match="does not answer"):
                await call
        await provider.aclose()


async def test_a_storage_whose_iam_does_not_take_our_key_refuses_and_the_key_is_not_shown(seaweedfs: Engine) -> None:
    provider = _with_iam(seaweedfs, signing_key="hidden-key-that-is-long-enough-to-sign-with")
    for call in _calls_of_principals(provider):
        with pytest.raises(ProviderUnavailable, match="refuses") as raised:
            await call
        assert "hidden-key" not in str(raised.value)
    await provider.aclose()


async def test_without_an_iam_endpoint_there_are_no_principals_and_it_is_said_what_is_missing(
    seaweedfs: Engine,
) -> None:
    admin = seaweedfs.admin_credentials
    provider = SeaweedProvider(seaweedfs.endpoint_url, admin.access_key, admin.secret_key)
    for call in _calls_of_principals(provider):
        with pytest.raises(InvalidRequest, match="IamEndpoint"):
            await call
    await provider.aclose()


async def test_principals_survive_a_killed_engine_and_a_new_one_and_so_does_their_end(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        provider = provider_over(engine)
        await provider.create_bucket("kept-bucket")
        await asyncio.to_thread(_administrator(engine).put, "kept-bucket", KEY, BODY)
        grants = [Grant("kept-bucket", Access.READ)]
        kept = S3Data((await provider.create_principal("nb-kept", grants))["kept-bucket"])
        ended = S3Data((await provider.create_principal("nb-ended", grants))["kept-bucket"])
        await provider.delete_principal("nb-ended")

        await _kill(engine)

        await asyncio.to_thread(_reads_only, kept)
        await asyncio.to_thread(_can_do_nothing, ended)
        await provider.grant("nb-kept", [Grant("kept-bucket", Access.READ)])  # and they can be changed again at once
        await provider.aclose()

    async with Engine(tmp_path) as engine:
        await asyncio.to_thread(_reads_only, kept)
        await asyncio.to_thread(_can_do_nothing, ended)


async def test_public_access_survives_a_killed_engine(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        provider = provider_over(engine)
        for name in ("public-bucket", "private-bucket"):
            await provider.create_bucket(name)
            await asyncio.to_thread(_administrator(engine).put, name, KEY, BODY)
            await provider.set_public_access(name, True)
        await provider.set_public_access("private-bucket", False)
        await provider.aclose()

        await _kill(engine)

        async with httpx.AsyncClient(base_url=engine.endpoint_url) as anyone:
            assert (await anyone.get(f"/public-bucket/{KEY}")).content == BODY
            assert (await anyone.get(f"/private-bucket/{KEY}")).status_code == 403


async def test_a_storage_that_answers_with_nonsense_is_unavailable() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<not><finished>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    provider = SeaweedProvider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "access", "secret")
    with pytest.raises(ProviderUnavailable, match="no sense"):
        await provider.issue_credentials([Grant("bucket", Access.READ)], SECONDS)
    with pytest.raises(ProviderUnavailable):
        await provider.check()
    await provider.aclose()
    server.close()
    await server.wait_closed()


async def test_many_calls_at_once_do_not_block_the_loop(seaweedfs: Engine) -> None:
    provider = provider_over(seaweedfs)
    await provider.check()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(provider.issue_credentials([Grant("any-bucket", Access.READ)], SECONDS) for _ in range(50)))
    watcher.cancel()
    await provider.aclose()

    assert longest < 0.5


async def _kill(engine: Engine) -> None:
    """Kill it, and wait until it is back."""
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while engine.pid == pid or not engine.is_ready:
            await asyncio.sleep(0.01)


def _with_iam(engine: Engine, *, address: str = "", signing_key: str = "") -> SeaweedProvider:
    """A provider with an IAM endpoint that is wrong in one point."""
    admin, iam = engine.admin_credentials, engine.iam_access
    pem = iam.certificates
    endpoint = IamEndpoint(
        address or iam.address, signing_key or iam.signing_key, pem.authority, pem.certificate, pem.key
    )
    assert not [secret for secret in (endpoint.signing_key, pem.key) if secret in repr(endpoint)]
    return SeaweedProvider(engine.endpoint_url, admin.access_key, admin.secret_key, endpoint)


def _calls_of_principals(provider: SeaweedProvider) -> Iterator[Awaitable[object]]:
    grants = [Grant("any-bucket", Access.READ)]
    yield provider.create_principal("nb-any", grants)
    yield provider.grant("nb-any", grants)
    yield provider.delete_principal("nb-any")


def _reads_only(holder: S3Data) -> None:
    assert holder.get("kept-bucket", KEY) == BODY
    with pytest.raises(Refused):
        holder.put("kept-bucket", KEY, b"new")


def _can_do_nothing(holder: S3Data) -> None:
    with pytest.raises(Refused):
        holder.get("kept-bucket", KEY)


def _administrator(engine: Engine) -> S3Data:
    admin = engine.admin_credentials
    return S3Data(
        {
            "endpoint_url": engine.endpoint_url,
            "region_name": "us-east-1",
            "access_key_id": admin.access_key,
            "secret_access_key": admin.secret_key,
        }
    )
