"""The SDK's store over a bucket that a provider made, with the credentials that it issued for just this bucket."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_sdk import Bucket
from neuro_sdk._http import HttpClient
from neuro_sdk._stores import open_store
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.stores import StoreSuite


class S3StoreSuite(StoreSuite):
    """Derive, and let the fixture `store` yield from `opened`."""

    async def open_uploads(self, store: BlobStore) -> int:
        assert isinstance(store, S3Store)
        answer = await store._wire.request("GET", query=[("uploads", "")])
        return answer.body.count(b"<Upload>")


async def opened(provider: BucketProvider) -> AsyncIterator[S3Store]:
    """A store over a new bucket, which is deleted in the end."""
    name = f"nb-store-{uuid.uuid4().hex}"
    await provider.create_bucket(name)

    async def issue() -> Mapping[str, str]:
        issued = await provider.issue_credentials([Grant(name, Access.READ_WRITE)], 3600)
        return {**issued.values, "bucket_name": name}

    http = HttpClient()
    bucket = Bucket(name, "tester", "here", None, Bucket.Provider(provider.kind), datetime.now(UTC), imported=False)
    store = await open_store(bucket, Credentials(issue), http)
    assert isinstance(store, S3Store)
    try:
        yield store
    finally:
        async for page in store.list():
            await asyncio.gather(*(store.delete(blob.key) for blob in page.blobs))
        await http.aclose()
        await provider.delete_bucket(name)
