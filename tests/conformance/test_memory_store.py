"""The store suite on memory."""

import pytest

from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.memory import MemoryStore
from tests.conformance.stores import StoreSuite


class TestMemoryStore(StoreSuite):
    engine_name = "memory"

    @pytest.fixture
    def store(self, request: pytest.FixtureRequest) -> MemoryStore:
        return MemoryStore(f"{request.node.nodeid}")

    async def open_uploads(self, store: BlobStore) -> int:
        assert isinstance(store, MemoryStore)
        return len(store._bucket.uploads)
