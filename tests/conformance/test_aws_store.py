"""The store suite on AWS as moto shows it, with its IAM."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from neuro_buckets.providers.aws import AwsProvider
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.s3_stores import S3StoreSuite, opened
from tests.conformance.test_aws_provider import provider_on
from tests.moto_fixture import Moto


@pytest.fixture(scope="module")
def provider(moto_iam: Moto) -> Iterator[AwsProvider]:
    provider = provider_on(moto_iam)
    yield provider
    asyncio.run(provider.aclose())


class TestAwsStore(S3StoreSuite):
    engine_name = "moto_iam"

    @pytest.fixture
    async def store(self, provider: AwsProvider) -> AsyncIterator[S3Store]:
        async for store in opened(provider):
            yield store
