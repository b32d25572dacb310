"""Both suites on Ceph, set up by the commands of docs/providers/ceph.md and with no more rights."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import cache

import pytest

from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.ceph import ACTIONS, CephProvider, _closed
from neuro_buckets.providers.scoped_session import scoped_policy
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.providers import BODY, KEY, PRINCIPAL, SECONDS, Buckets
from tests.conformance.s3_data import S3Data
from tests.conformance.s3_providers import S3ProviderSuite
from tests.conformance.s3_stores import S3StoreSuite, opened
from tests.engines_apt.ceph import Ceph

ROLE = "arn:aws:iam:::role/neuro-buckets-data"


@pytest.fixture(scope="module")
def shared_provider(ceph: Ceph) -> Iterator[CephProvider]:
    provider = CephProvider(
        endpoint_url=ceph.url, access_key=ceph.access_key, secret_key=ceph.secret_key, role_arn=ROLE
    )
    yield provider
    asyncio.run(provider.aclose())


class TestCephProvider(S3ProviderSuite):
    engine_name = "ceph"

    @pytest.fixture
    async def provider(self, ceph: Ceph, shared_provider: CephProvider) -> BucketProvider:
        self.ceph, self.url, self.admin = ceph, ceph.url, administrator_of(ceph)
        return shared_provider

    def provider_at(self, url: str, secret_key: str) -> CephProvider:
        return CephProvider(endpoint_url=url, access_key=self.ceph.access_key, secret_key=secret_key, role_arn=ROLE)

    @pytest.mark.usefixtures("no_principal")
    async def test_what_one_holder_writes_all_others_read(self, provider: BucketProvider, buckets: Buckets) -> None:
        """A blob belongs to the user who wrote it, and a bucket to the service: here that must not count."""
        grants = [Grant(buckets.granted, Access.READ_WRITE)]
        lasting = await self._session(provider, "persistent", grants)
        session = S3Data((await provider.issue_credentials(grants, SECONDS)).values)
        for key, writer in (("of-user", lasting), ("of-session", session), ("of-service", self.admin)):
            await asyncio.to_thread(writer.put, buckets.granted, key, BODY)
            assert await self.fetch(provider, await provider.sign_url(buckets.granted, key, 60)) == BODY
            for reader in (lasting, session, self.admin):
                assert await asyncio.to_thread(reader.get, buckets.granted, key) == BODY
            for other in (session, lasting):
                await asyncio.to_thread(other.put, buckets.granted, key, b"new")
        await provider.delete_principal(PRINCIPAL)
        assert await asyncio.to_thread(session.get, buckets.granted, "of-user") == b"new"

    async def test_credentials_say_which_storage_it_is(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials([Grant(buckets.granted, Access.READ)], SECONDS)
        assert (provider.kind, issued.values["storage"]) == ("aws", "ceph")
        assert await asyncio.to_thread(S3Data(issued.values).get, buckets.granted, KEY) == BODY


class TestCephStore(S3StoreSuite):
    engine_name = "ceph"

    @pytest.fixture
    async def store(self, shared_provider: CephProvider) -> AsyncIterator[S3Store]:
        async for store in opened(shared_provider):
            yield store


def test_the_policy_of_a_principal_denies_all_that_it_does_not_allow() -> None:
    policy = scoped_policy([Grant("nb-first", Access.READ)], ACTIONS, most_characters=2048)
    objects, bucket = ["arn:aws:s3:::nb-first/*"], ["arn:aws:s3:::nb-first"]
    reading, listing = ["s3:GetObject"], ["s3:ListBucket", "s3:GetBucketLocation"]

    assert json.loads(_closed(policy))["Statement"] == [
        {"Effect": "Allow", "Action": reading, "Resource": objects},
        {"Effect": "Allow", "Action": listing, "Resource": bucket},
        {"Effect": "Deny", "Action": ["s3:*"], "NotResource": objects + bucket},
        {"Effect": "Deny", "NotAction": reading, "Resource": objects},
        {"Effect": "Deny", "NotAction": listing, "Resource": bucket},
    ]


@cache
def administrator_of(ceph: Ceph) -> S3Data:
    return S3Data(
        {
            "endpoint_url": ceph.url,
            "region_name": "us-east-1",
            "access_key_id": ceph.access_key,
            "secret_access_key": ceph.secret_key,
        }
    )
