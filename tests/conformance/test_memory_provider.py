"""The provider suite on memory, and what only memory can show: time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
import time_machine

from neuro_buckets.errors import Forbidden, NotFound
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.memory import MemoryProvider
from neuro_buckets.providers.memory_session import MemorySession
from tests.conformance.providers import SECONDS, Buckets, DataSession, ProviderSuite, Refused

T = TypeVar("T")


class MemoryData(DataSession):
    def __init__(self, session: MemorySession) -> None:
        self._session = session

    def get(self, bucket: str, key: str) -> bytes:
        return _refused(lambda: self._session.get(bucket, key))

    def put(self, bucket: str, key: str, body: bytes) -> None:
        _refused(lambda: self._session.put(bucket, key, body))

    def delete(self, bucket: str, key: str) -> None:
        _refused(lambda: self._session.delete(bucket, key))

    def list(self, bucket: str) -> list[str]:
        return _refused(lambda: self._session.list(bucket))

    def head(self, bucket: str, key: str) -> int:
        return _refused(lambda: self._session.head(bucket, key))

    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
        _refused(lambda: self._session.copy(source_bucket, source_key, bucket, key))

    def multipart(self, bucket: str, key: str, body: bytes) -> None:
        upload_id = _refused(lambda: self._session.begin(bucket, key))
        _refused(lambda: self._session.put_part(bucket, upload_id, 1, body))
        _refused(lambda: self._session.complete(bucket, upload_id))

    def begin(self, bucket: str, key: str) -> None:
        _refused(lambda: self._session.begin(bucket, key))

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        _refused(lambda: self._session.delete_many(bucket, keys))

    def put_policy(self, bucket: str) -> None:
        raise NotImplementedError

    def make_bucket(self, bucket: str) -> None:
        raise NotImplementedError

    def remove_bucket(self, bucket: str) -> None:
        raise NotImplementedError


class TestMemoryProvider(ProviderSuite):
    engine_name = "memory"

    @pytest.fixture
    async def provider(self) -> BucketProvider:
        return MemoryProvider()

    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> DataSession:
        assert isinstance(provider, MemoryProvider)
        return MemoryData(_refused(lambda: provider.open(values)))

    def open_anonymous(self, provider: BucketProvider) -> DataSession:
        assert isinstance(provider, MemoryProvider)
        return MemoryData(provider.open_anonymous())

    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> DataSession:
        names = (buckets.granted, buckets.second, buckets.other)
        issued = await provider.issue_credentials([Grant(name, Access.READ_WRITE) for name in names], SECONDS)
        return self.open(provider, issued.values)

    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        assert isinstance(provider, MemoryProvider)
        return _refused(lambda: provider.fetch(url))

    async def store(self, provider: BucketProvider, url: str, body: bytes) -> None:
        assert isinstance(provider, MemoryProvider)
        _refused(lambda: provider.store(url, body))


async def test_closing_twice_is_well() -> None:
    provider = MemoryProvider()
    await provider.aclose()
    await provider.aclose()


async def test_a_session_ends_by_itself() -> None:
    provider = MemoryProvider()
    await provider.create_bucket("first")
    issued = await provider.issue_credentials([Grant("first", Access.READ)], SECONDS)
    session = provider.open(issued.values)
    assert session.list("first") == []

    with (
        time_machine.travel(datetime.now(UTC) + timedelta(seconds=SECONDS + 1)),
        pytest.raises(Forbidden, match="over"),
    ):
        session.list("first")


async def test_a_bucket_that_is_gone_is_told_only_to_those_who_could_read_it() -> None:
    provider = MemoryProvider()
    issued = await provider.issue_credentials([Grant("gone", Access.READ)], SECONDS)
    session = provider.open(issued.values)

    with pytest.raises(NotFound):
        session.list("gone")
    with pytest.raises(Forbidden):
        session.list("foreign")


def _refused(call: Callable[[], T]) -> T:
    try:
        return call()
    except Forbidden as error:
        raise Refused from error
