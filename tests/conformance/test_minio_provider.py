"""The provider suite on MinIO's gateway over JuiceFS, with the least rights that the service needs, and what is MinIO's alone."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import httpx
import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.providers.minio import MinioProvider
from tests.conformance.providers import Buckets, ProviderSuite, Refused
from tests.conformance.s3_data import S3Data
from tests.juicefs_fixture import Gateway

REGION = "us-east-1"
PAGE = Path(__file__).parents[2] / "docs/providers/minio.md"
SERVICE = ("neuro-buckets", "secret-of-the-tests")


@pytest.fixture(scope="module")
def service(juicefs: Gateway) -> tuple[str, str]:
    """The key of a user who may do what docs/providers/minio.md says, and nothing else."""
    admin = admin_of(juicefs.url, juicefs.root_key, juicefs.root_secret)
    [policy] = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    admin.policy_add("neuro-buckets", policy=json.loads(policy))
    admin.user_add(*SERVICE)
    admin.policy_set("neuro-buckets", user=SERVICE[0])
    return SERVICE


def admin_of(url: str, access_key: str, secret_key: str) -> MinioAdmin:
    address = url.removeprefix("http://")
    return MinioAdmin(endpoint=address, credentials=StaticProvider(access_key, secret_key), secure=False)


@pytest.fixture(scope="module")
def shared_provider(juicefs: Gateway, service: tuple[str, str]) -> Iterator[MinioProvider]:
    provider = MinioProvider(endpoint_url=juicefs.url, access_key=service[0], secret_key=service[1])
    yield provider
    asyncio.run(provider.aclose())


class TestMinioProvider(ProviderSuite):
    engine_name = "juicefs"

    @pytest.fixture
    async def provider(self, juicefs: Gateway, shared_provider: MinioProvider) -> BucketProvider:
        self.gateway = juicefs
        return shared_provider

    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> S3Data:
        return S3Data(values)

    def open_anonymous(self, provider: BucketProvider) -> S3Data:
        return S3Data({"endpoint_url": self.gateway.url, "region_name": REGION}, anonymous=True)

    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> S3Data:
        return administrator_of(self.gateway)

    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        async with httpx.AsyncClient() as client:
            response = await client.get(url)
        if response.status_code == 403:
            raise Refused
        assert response.status_code == 200
        return response.content

    async def store(self, provider: BucketProvider, url: str, body: bytes) -> None:
        async with httpx.AsyncClient() as client:
            response = await client.put(url, content=body)
        if response.status_code == 403:
            raise Refused
        assert response.status_code == 200


@cache
def administrator_of(gateway: Gateway) -> S3Data:
    return S3Data(
        {
            "endpoint_url": gateway.url,
            "region_name": REGION,
            "access_key_id": gateway.root_key,
            "secret_access_key": gateway.root_secret,
        }
    )
