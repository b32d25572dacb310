"""The store suite on Google Cloud Storage: on fake-gcs-server with the XML API's uploads in parts before it, and without these.

What the emulator cannot show, and where it is shown: that a checksum is verified, and that a condition on a read is looked at
(`tests/sdk/test_gcs_wire.py`); that a token is asked for at all (there as well).
"""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from neuro_sdk import Bucket, NotSupportedError
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from tests.conformance.stores import StoreSuite
from tests.gcs_fixture import make_bucket
from tests.gcs_xml_server import XmlServer

REFUSED = frozenset({".", "..", "tab\tnew\nline"})


async def open_store(url: str) -> AsyncIterator[GcsStore]:
    name = f"store-{uuid.uuid4().hex}"
    make_bucket(url, name)

    async def issue() -> dict[str, str]:
        return {"bucket_name": name, "project": "test", "access_token": "any", "endpoint_url": url}

    http = HttpClient()
    bucket = Bucket(name, "tester", "here", None, Bucket.Provider.GCP, datetime.now(UTC), imported=False)
    yield GcsStore(http, bucket, Credentials(issue))
    await http.aclose()


class TestGcsStore(StoreSuite):
    engine_name = "google"
    refused_keys = REFUSED

    @pytest.fixture
    async def store(self, gcs: XmlServer) -> AsyncIterator[GcsStore]:
        self.server = gcs
        async for store in open_store(gcs.url):
            yield store

    async def open_uploads(self, store: BlobStore) -> int:
        assert isinstance(store, GcsStore)
        return self.server.under_way((await store.wire.current_endpoint()).bucket)


class TestGcsStoreWithoutParts(StoreSuite):
    """On the emulator as it is, which has no uploads in parts: a large body goes up in one session, in turn."""

    engine_name = "google"

    refused_keys = REFUSED

    @pytest.fixture
    async def store(self, fake_gcs: str) -> AsyncIterator[GcsStore]:
        async for store in open_store(fake_gcs):
            yield store

    async def open_uploads(self, store: BlobStore) -> int:
        """No request tells of sessions. A cancelled one is gone, and `tests/sdk/test_gcs_resumable.py` shows that it is cancelled."""
        return 0

    async def test_parts_make_a_blob_when_completed(self, store: BlobStore) -> None:
        with pytest.raises(NotSupportedError, match="'parts'"):
            await store.begin("parts")

    async def test_an_aborted_upload_is_gone(self, store: BlobStore) -> None:
        with pytest.raises(NotSupportedError, match="no uploads in parts"):
            await store.begin("parts")

    @pytest.mark.parametrize("key", ["up", "a b/ü+%?#&=<>", "deep/er/up"])
    async def test_uploads_under_way_are_told_by_exactly_their_key(self, store: BlobStore, key: str) -> None:
        with pytest.raises(NotSupportedError):
            await store.begin(key)
