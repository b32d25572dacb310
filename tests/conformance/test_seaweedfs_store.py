"""The store suite on the embedded engine, with credentials that the provider issued for just this bucket."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime

import pytest

from neuro_buckets.engine import Engine
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from neuro_sdk import Bucket
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.stores import StoreSuite


@pytest.fixture(scope="module")
def provider(seaweedfs: Engine) -> Iterator[SeaweedProvider]:
    admin = seaweedfs.admin_credentials
    provider = SeaweedProvider(seaweedfs.endpoint_url, admin.access_key, admin.secret_key)
    yield provider
    asyncio.run(provider.aclose())


class TestSeaweedfsStore(StoreSuite):
    rewrites_path_like_keys = True
    keeps_marker_bodies = False

    @pytest.fixture
    async def store(self, provider: SeaweedProvider) -> AsyncIterator[S3Store]:
        name = f"store-{uuid.uuid4().hex}"
        await provider.create_bucket(name)

        async def issue() -> Mapping[str, str]:
            issued = await provider.issue_credentials([Grant(name, Access.READ_WRITE)], 3600)
            return {**issued.values, "bucket_name": name}

        http = HttpClient()
        bucket = Bucket(name, "tester", "here", None, Bucket.Provider.SEAWEEDFS, datetime.now(UTC), imported=False)
        store = S3Store(http, bucket, Credentials(issue))
        yield store
        async for page in store.list():
            await store.delete_many([blob.key for blob in page.blobs])
        await http.aclose()
        await provider.delete_bucket(name)

    async def open_uploads(self, store: BlobStore) -> int:
        assert isinstance(store, S3Store)
        answer = await store._wire.request("GET", query=[("uploads", "")])
        return answer.body.count(b"<Upload>")
