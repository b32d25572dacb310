"""The provider suite on AWS as moto shows it, with its IAM and without, and what is AWS's alone."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import cache

import httpx
import pytest

from neuro_buckets.providers.aws import AwsProvider
from neuro_buckets.providers.base import BucketProvider
from tests.conformance.providers import Buckets, ProviderSuite, Refused
from tests.conformance.s3_data import S3Data
from tests.moto_fixture import REGION, Moto


def provider_on(moto: Moto) -> AwsProvider:
    return AwsProvider(
        region=REGION,
        access_key=moto.service[0],
        secret_key=moto.service[1],
        role_arn=moto.role_arn,
        endpoint_url=moto.url,
        sts_url=moto.url,
        iam_url=moto.url,
    )


class _AwsSuite(ProviderSuite):
    moto: Moto

    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> S3Data:
        return S3Data(values)

    def open_anonymous(self, provider: BucketProvider) -> S3Data:
        return S3Data({"endpoint_url": self.moto.url, "region_name": REGION}, anonymous=True)

    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> S3Data:
        return administrator_of(self.moto)

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


@pytest.fixture(scope="module")
def on_moto_iam(moto_iam: Moto) -> Iterator[AwsProvider]:
    provider = provider_on(moto_iam)
    yield provider
    asyncio.run(provider.aclose())


@pytest.fixture(scope="module")
def on_moto(moto: Moto) -> Iterator[AwsProvider]:
    provider = provider_on(moto)
    yield provider
    asyncio.run(provider.aclose())


class TestAwsProviderWithIam(_AwsSuite):
    engine_name = "moto_iam"

    @pytest.fixture
    async def provider(self, moto_iam: Moto, on_moto_iam: AwsProvider) -> BucketProvider:
        self.moto = moto_iam
        return on_moto_iam


class TestAwsProvider(_AwsSuite):
    engine_name = "moto"

    @pytest.fixture
    async def provider(self, moto: Moto, on_moto: AwsProvider) -> BucketProvider:
        self.moto = moto
        return on_moto


@cache
def administrator_of(moto: Moto) -> S3Data:
    access_key, secret_key = moto.administrator
    return S3Data(
        {
            "endpoint_url": moto.url,
            "region_name": REGION,
            "access_key_id": access_key,
            "secret_access_key": secret_key,
        }
    )
