"""The store suite on MinIO's gateway over JuiceFS."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from neuro_buckets.providers.minio import MinioProvider
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.s3_stores import S3StoreSuite, opened
from tests.juicefs_fixture import Gateway


@pytest.fixture(scope="module")
def provider(juicefs: Gateway) -> Iterator[MinioProvider]:
    access_key, secret_key = juicefs.service
    provider = MinioProvider(endpoint_url=juicefs.url, access_key=access_key, secret_key=secret_key)
    yield provider
    asyncio.run(provider.aclose())


class TestMinioStore(S3StoreSuite):
    engine_name = "juicefs"
    rewrites_path_like_keys = True
    keeps_marker_bodies = False

    @pytest.fixture
    async def store(self, provider: MinioProvider) -> AsyncIterator[S3Store]:
        async for store in opened(provider):
            yield store
