"""The provider suite on MinIO's gateway over JuiceFS, with the least rights that the service needs, and what is MinIO's alone."""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping
from functools import cache

import pytest
from minio.error import MinioAdminException

from neuro_buckets.errors import ProviderUnavailable
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.minio import ACTIONS, MinioProvider, _closed
from neuro_buckets.providers.scoped_session import Endpoint, assume_scoped_role, scoped_policy
from tests.conformance.providers import KEY, PRINCIPAL, SECONDS, Buckets, Refused
from tests.conformance.s3_data import S3Data
from tests.conformance.s3_providers import S3ProviderSuite
from tests.juicefs_fixture import Gateway, admin_of

REGION = "us-east-1"


@pytest.fixture(scope="module")
def shared_provider(juicefs: Gateway) -> Iterator[MinioProvider]:
    provider = MinioProvider(endpoint_url=juicefs.url, access_key=juicefs.service[0], secret_key=juicefs.service[1])
    yield provider
    asyncio.run(provider.aclose())


class TestMinioProvider(S3ProviderSuite):
    engine_name = "juicefs"

    @pytest.fixture
    async def provider(self, juicefs: Gateway, shared_provider: MinioProvider) -> BucketProvider:
        self.gateway, self.url, self.admin = juicefs, juicefs.url, administrator_of(juicefs)
        return shared_provider

    def provider_at(self, url: str, secret_key: str) -> MinioProvider:
        return MinioProvider(endpoint_url=url, access_key=self.gateway.service[0], secret_key=secret_key)

    async def test_what_a_principal_made_for_itself_ends_with_it(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        """MinIO lets every user have sessions, and before 2022 and here access keys too, whatever its policy says."""
        values = (await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)]))[buckets.granted]
        made = [
            self._session_of(values),
            _values(self.url, *await asyncio.to_thread(_own_key, self.url, values)),
        ]
        for session in map(S3Data, made):
            await self._soon(session.get, buckets.granted, KEY)
            with pytest.raises(Refused):
                await asyncio.to_thread(session.put, buckets.granted, KEY, b"new")
            with pytest.raises(Refused):
                await asyncio.to_thread(session.get, buckets.other, KEY)

        await provider.delete_principal(PRINCIPAL)

        for session in map(S3Data, made):
            await self._soon_refused(session.get, buckets.granted, KEY)

    @pytest.mark.usefixtures("no_principal")
    async def test_a_principal_may_change_nothing_in_iam(self, provider: BucketProvider, buckets: Buckets) -> None:
        values = (await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ_WRITE)]))[
            buckets.granted
        ]
        root = admin_of(self.url, *self.gateway.root)
        own = admin_of(self.url, values["access_key_id"], values["secret_access_key"])
        everything = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}],
        }
        root.policy_add("nb-intruder", policy=everything)  # somebody can

        for call in (
            lambda: own.policy_add(PRINCIPAL, policy=everything),
            lambda: own.policy_set("nb-intruder", user=PRINCIPAL),
            lambda: own.user_add("nb-intruder", "secret-of-an-intruder"),
            lambda: own.user_remove(self.gateway.service[0]),
            own.user_list,
        ):
            with pytest.raises(MinioAdminException, match="AccessDenied"):
                await asyncio.to_thread(call)
        root.policy_remove("nb-intruder")

    async def test_a_principal_that_is_deleted_leaves_nothing(self, provider: BucketProvider, buckets: Buckets) -> None:
        root = admin_of(self.url, *self.gateway.root)
        await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)])
        assert PRINCIPAL in root.user_list()
        assert PRINCIPAL in root.policy_list()

        await provider.delete_principal(PRINCIPAL)

        assert PRINCIPAL not in root.user_list()
        assert PRINCIPAL not in root.policy_list()

    async def test_sessions_of_others_go_on_while_a_principal_is_made_and_made_again(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        """The gateway refuses them for a while when a policy is removed, even one that is not there."""
        issued = await provider.issue_credentials([Grant(buckets.granted, Access.READ)], SECONDS)
        session = S3Data(issued.values)
        for _ in range(2):
            await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)])
            for _ in range(5):
                await asyncio.to_thread(session.get, buckets.granted, KEY)

    async def test_the_root_of_this_gateway_gets_no_sessions_and_it_is_said(self, buckets: Buckets) -> None:
        root = MinioProvider(endpoint_url=self.url, access_key=self.gateway.root[0], secret_key=self.gateway.root[1])
        await root.check()
        with pytest.raises(ProviderUnavailable, match="AccessDenied"):
            await root.issue_credentials([Grant(buckets.granted, Access.READ)], SECONDS)
        await root.aclose()

    async def test_an_admin_side_that_refuses_or_does_not_answer_is_unavailable(self, buckets: Buckets) -> None:
        wrong = self.provider_at(self.url, "hidden-secret")
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # and never listens
            silent = self.provider_at(f"http://127.0.0.1:{held.getsockname()[1]}", "hidden-secret")
            for provider, message in ((wrong, "refuses"), (silent, "does not answer")):
                for call in (
                    provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)]),
                    provider.grant(PRINCIPAL, [Grant(buckets.granted, Access.READ)]),
                    provider.delete_principal(PRINCIPAL),
                ):
                    with pytest.raises(ProviderUnavailable, match=message) as raised:
                        await call
                    assert "hidden-secret" not in str(raised.value)
                await provider.aclose()

    def _session_of(self, values: Mapping[str, str]) -> Mapping[str, str]:
        at = Endpoint(self.url, REGION, values["access_key_id"], values["secret_access_key"])
        everything = (
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}'
        )
        session = assume_scoped_role(at, everything, SECONDS)
        return {**_values(self.url, session.access_key, session.secret_key), "session_token": session.token}


def test_the_policy_of_a_principal_is_the_granted_one_and_denies_keys_of_its_own() -> None:
    policy = scoped_policy([Grant("nb-first", Access.READ)], ACTIONS, most_characters=2048)

    assert _closed(policy) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::nb-first/*"]},
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": ["arn:aws:s3:::nb-first"],
            },
            {"Effect": "Deny", "Action": ["admin:CreateServiceAccount"]},
        ],
    }


def _own_key(url: str, values: Mapping[str, str]) -> tuple[str, str]:
    own = admin_of(url, values["access_key_id"], values["secret_access_key"])
    made = json.loads(own.add_service_account())["credentials"]
    return made["accessKey"], made["secretKey"]


def _values(url: str, access_key: str, secret_key: str) -> dict[str, str]:
    return {
        "endpoint_url": url,
        "region_name": REGION,
        "access_key_id": access_key,
        "secret_access_key": secret_key,
    }


@cache
def administrator_of(gateway: Gateway) -> S3Data:
    return S3Data(_values(gateway.url, *gateway.root))
