"""The store suite on the embedded engine, with credentials that the provider issued for just this bucket."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neuro_buckets.engine import Engine
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from neuro_sdk import BlobNotFound, Bucket
from neuro_sdk._http import HttpClient, Stretch
from neuro_sdk._stores import s3_copy
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.stores import StoreSuite

MIB = 2**20


@pytest.fixture(scope="module")
def provider(seaweedfs: Engine) -> Iterator[SeaweedProvider]:
    admin = seaweedfs.admin_credentials
    provider = SeaweedProvider(seaweedfs.endpoint_url, admin.access_key, admin.secret_key)
    yield provider
    asyncio.run(provider.aclose())


@asynccontextmanager
async def a_bucket(provider: SeaweedProvider, *also: Grant) -> AsyncIterator[S3Store]:
    """An empty bucket, opened with credentials for it, and for what else is said."""
    name = f"store-{uuid.uuid4().hex}"
    await provider.create_bucket(name)

    async def issue() -> Mapping[str, str]:
        issued = await provider.issue_credentials([Grant(name, Access.READ_WRITE), *also], 3600)
        return {**issued.values, "bucket_name": name}

    http = HttpClient()
    bucket = Bucket(name, "tester", "here", None, Bucket.Provider.SEAWEEDFS, datetime.now(UTC), imported=False)
    store = S3Store(http, bucket, Credentials(issue))
    yield store
    async for page in store.list():
        await store.delete_many([blob.key for blob in page.blobs])
    await http.aclose()
    await provider.delete_bucket(name)


class TestSeaweedfsStore(StoreSuite):
    engine_name = "seaweedfs"
    rewrites_path_like_keys = True
    keeps_marker_bodies = False

    @pytest.fixture
    async def store(self, provider: SeaweedProvider) -> AsyncIterator[S3Store]:
        async with a_bucket(provider) as store:
            yield store

    def copy_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3_copy, "WHOLE_BYTES", 8 * MIB)
        monkeypatch.setattr(s3_copy, "PART_BYTES", 5 * MIB)

    async def test_a_blob_is_copied_from_another_bucket(
        self, store: S3Store, provider: SeaweedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.copy_in_parts(monkeypatch)
        mine = (await store._wire.current_endpoint()).bucket
        async with a_bucket(provider, Grant(mine, Access.READ)) as other:
            for size in (5, 12 * MIB):
                body = os.urandom(size)
                await store.put("a b/+%ü", body)
                assert await other.copy(store, await store.head("a b/+%ü"), "to")
                async with other.get("to") as reader:
                    assert b"".join([chunk async for chunk in reader]) == body

    async def test_credentials_that_do_not_open_both_buckets_leave_the_copy_to_the_caller(
        self, store: S3Store, provider: SeaweedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.copy_in_parts(monkeypatch)
        async with a_bucket(provider) as other:
            for size in (5, 12 * MIB):
                await store.put("from", bytes(size))
                assert await other.copy(store, await store.head("from"), "to") is False
            with pytest.raises(BlobNotFound):
                await other.head("to")
            assert await self.open_uploads(other) == 0

    async def test_a_copy_keeps_what_other_tools_say_of_the_content(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.copy_in_parts(monkeypatch)
        said = {"content-type": "text/x-odd", "cache-control": "no-store", "x-amz-meta-from": "elsewhere"}
        for size in (5, 12 * MIB):
            await store._wire.request("PUT", "from", headers=[*said.items()], body=bytes(size))
            assert await store.copy(store, await store.head("from"), "to")
            headers = (await store._wire.request("HEAD", "to")).headers
            assert {name: headers.get(name) for name in said} == said

    async def test_large_bodies_are_hauled_both_ways(self, store: S3Store, tmp_path: Path) -> None:
        body = os.urandom(MIB) * 11 + b"the end"
        with (tmp_path / "file").open("w+b") as file, (tmp_path / "copy").open("w+b") as copy:
            file.write(body)
            file.flush()
            async with store.haul() as haul:
                assert await haul.put("whole", Stretch(file.fileno(), 0, len(body)), lambda: None)
                upload_id, at = await store.begin("parts"), 6 * MIB
                parts = [
                    await haul.put_part("parts", upload_id, 1, Stretch(file.fileno(), 0, at)),
                    await haul.put_part("parts", upload_id, 2, memoryview(body)[at:]),
                ]
                await store.complete("parts", upload_id, [part for part in parts if part is not None])
                for key in ("whole", "parts"):
                    info = await store.head(key)
                    for start, stop in ((0, len(body)), (5, at)):
                        os.ftruncate(copy.fileno(), 0)
                        assert await haul.get(info, start, stop, copy.fileno(), lambda _: None) == stop - start
                        assert os.pread(copy.fileno(), stop - start, start) == body[start:stop]

    async def open_uploads(self, store: BlobStore) -> int:
        assert isinstance(store, S3Store)
        answer = await store._wire.request("GET", query=[("uploads", "")])
        return answer.body.count(b"<Upload>")
