"""The provider suite on moto without its IAM, which shows little that moto with it does not: signed URLs, and what is public."""

import asyncio
from collections.abc import Iterator

import pytest

from neuro_buckets.providers.aws import AwsProvider
from neuro_buckets.providers.base import BucketProvider
from tests.conformance.test_aws_provider import AwsSuite, provider_on
from tests.moto_fixture import Moto


@pytest.fixture(scope="module")
def on_moto(moto: Moto) -> Iterator[AwsProvider]:
    provider = provider_on(moto)
    yield provider
    asyncio.run(provider.aclose())


class TestAwsProvider(AwsSuite):
    engine_name = "moto"

    @pytest.fixture
    async def provider(self, moto: Moto, on_moto: AwsProvider) -> BucketProvider:
        self._reach(moto)
        return on_moto
