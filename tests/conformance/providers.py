"""What every bucket provider must do, as one suite: a provider's test module derives from it and says how its data is reached.

Credentials are proven by use, and each refusal twice: somebody who is allowed does the very same thing first.
"""

import abc
import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from neuro_buckets.errors import BucketNotEmpty, InvalidRequest
from neuro_buckets.providers.base import Access, BucketProvider, Grant

RUN = uuid.uuid4().hex[:8]
KEY = "dir/blob"
BODY = b"what was there before"
SECONDS = 900
# Legal, and easy to get wrong in a URL.
ODD_KEYS = (
    "with space",
    "plus+plus",
    "percent%2Fsign%20",
    "question?mark=1&more",
    "hash#fragment",
    "[brackets]{braces}",
    "ünïcödé/日本語/😀",
    "quote\"'<tag>;,:@!$()*~|^`",
    "trailing space ",
    "k" * 1024,
)


class Refused(Exception):
    """The storage said that this is not allowed."""


class DataSession(abc.ABC):
    """A storage as the holder of some credentials reaches it. What is not allowed raises `Refused`; calls block."""

    @abc.abstractmethod
    def get(self, bucket: str, key: str) -> bytes: ...
    @abc.abstractmethod
    def put(self, bucket: str, key: str, body: bytes) -> None: ...
    @abc.abstractmethod
    def delete(self, bucket: str, key: str) -> None: ...
    @abc.abstractmethod
    def list(self, bucket: str) -> list[str]: ...
    @abc.abstractmethod
    def head(self, bucket: str, key: str) -> int: ...
    @abc.abstractmethod
    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None: ...
    @abc.abstractmethod
    def multipart(self, bucket: str, key: str, body: bytes) -> None: ...
    @abc.abstractmethod
    def begin(self, bucket: str, key: str) -> None: ...
    @abc.abstractmethod
    def delete_many(self, bucket: str, keys: Sequence[str]) -> None: ...
    @abc.abstractmethod
    def put_policy(self, bucket: str) -> None: ...
    @abc.abstractmethod
    def make_bucket(self, bucket: str) -> None: ...
    @abc.abstractmethod
    def remove_bucket(self, bucket: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Buckets:
    """Three buckets that hold one blob each, and the name of one that is not there."""

    granted: str
    second: str
    other: str
    absent: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the permission matrix: something to do, and with which access it is allowed."""

    name: str
    do: Callable[[DataSession, Buckets], object]
    read: bool
    write: bool
    needs_empty: bool = False


CELLS = (
    Cell("get", lambda s, b: s.get(b.granted, KEY), True, True),
    Cell("put", lambda s, b: s.put(b.granted, KEY, b"new"), False, True),
    Cell("delete", lambda s, b: s.delete(b.granted, KEY), False, True),
    Cell("list", lambda s, b: s.list(b.granted), True, True),
    Cell("head", lambda s, b: s.head(b.granted, KEY), True, True),
    Cell("copy", lambda s, b: s.copy(b.granted, KEY, b.granted, "copied"), False, True),
    Cell("multipart", lambda s, b: s.multipart(b.granted, KEY, b"new"), False, True),
    Cell("delete_many", lambda s, b: s.delete_many(b.granted, [KEY]), False, True),
    Cell("put_policy", lambda s, b: s.put_policy(b.granted), False, False),
    Cell("make_bucket", lambda s, b: s.make_bucket(b.absent), False, False),
    Cell("remove_bucket", lambda s, b: s.remove_bucket(b.granted), False, False, needs_empty=True),
    Cell("get_other", lambda s, b: s.get(b.other, KEY), False, False),
    Cell("put_other", lambda s, b: s.put(b.other, KEY, b"new"), False, False),
    Cell("delete_other", lambda s, b: s.delete(b.other, KEY), False, False),
    Cell("list_other", lambda s, b: s.list(b.other), False, False),
    Cell("head_other", lambda s, b: s.head(b.other, KEY), False, False),
    Cell("copy_from_other", lambda s, b: s.copy(b.other, KEY, b.granted, "copied"), False, False),
)
GRANTS: Mapping[str, Callable[[Buckets], list[Grant]]] = {
    "read": lambda b: [Grant(b.granted, Access.READ)],
    "read_write": lambda b: [Grant(b.granted, Access.READ_WRITE)],
    "two_buckets": lambda b: [Grant(b.second, Access.READ), Grant(b.granted, Access.READ_WRITE)],
}


class ProviderSuite(abc.ABC):
    """Derive, give the fixture and the abstract methods, and name in `missing` what the storage does not have at all."""

    missing: Mapping[str, str] = {}
    """Cells and checks that cannot be made on this storage, each with the reason; every one is skipped by name."""

    @pytest.fixture
    @abc.abstractmethod
    async def provider(self) -> BucketProvider:
        """The provider under test; it may be the same for all tests."""

    @abc.abstractmethod
    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> DataSession:
        """The storage, as the holder of issued credentials reaches it."""

    @abc.abstractmethod
    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> DataSession:
        """The storage as somebody reaches it who may do whatever it offers, on all of `buckets`."""

    @abc.abstractmethod
    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        """What a stranger gets under a signed URL; raises `Refused`."""

    @pytest.fixture
    async def buckets(self, provider: BucketProvider) -> Buckets:
        """The same names for every test of a run: a storage may take long over the first blob of a new bucket."""
        buckets = Buckets(*(f"suite-{RUN}-{role}" for role in ("granted", "second", "other", "absent")))
        await self._prepare(provider, await self.administrator(provider, buckets), buckets)
        return buckets

    async def test_creating_twice_is_success_and_keeps_the_blobs(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        await provider.create_bucket(buckets.granted)

        admin = await self.administrator(provider, buckets)
        assert await asyncio.to_thread(admin.get, buckets.granted, KEY) == BODY

    async def test_deleting_twice_is_success(self, provider: BucketProvider, buckets: Buckets) -> None:
        await provider.create_bucket(buckets.absent)

        await provider.delete_bucket(buckets.absent)
        await provider.delete_bucket(buckets.absent)

        await provider.create_bucket(buckets.absent)

    async def test_a_bucket_with_blobs_is_not_deleted_and_loses_none(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await asyncio.to_thread(admin.begin, buckets.granted, "unfinished")

        with pytest.raises(BucketNotEmpty, match=buckets.granted):
            await provider.delete_bucket(buckets.granted)

        assert await asyncio.to_thread(admin.list, buckets.granted) == [KEY]
        assert await asyncio.to_thread(admin.get, buckets.granted, KEY) == BODY

    async def test_a_bucket_with_only_an_unfinished_upload_is_deleted(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await asyncio.to_thread(admin.begin, buckets.granted, "unfinished")
        await asyncio.to_thread(admin.delete, buckets.granted, KEY)

        await provider.delete_bucket(buckets.granted)

        await provider.create_bucket(buckets.granted)
        assert await asyncio.to_thread(admin.list, buckets.granted) == []

    @pytest.mark.parametrize("grants", GRANTS)
    @pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
    async def test_credentials_allow_what_was_granted_and_nothing_else(
        self, provider: BucketProvider, buckets: Buckets, cell: Cell, grants: str
    ) -> None:
        self._skip_if_missing(cell.name)
        admin = await self.administrator(provider, buckets)
        await self._prepare(provider, admin, buckets, empty=cell.needs_empty)
        await asyncio.to_thread(cell.do, admin, buckets)  # somebody can
        await self._prepare(provider, admin, buckets, empty=cell.needs_empty)
        issued = await provider.issue_credentials(GRANTS[grants](buckets), SECONDS)
        session = self.open(provider, issued.values)

        if cell.read if grants == "read" else cell.write:
            await asyncio.to_thread(cell.do, session, buckets)
        else:
            before = await self._contents(admin, buckets)
            with pytest.raises(Refused):
                await asyncio.to_thread(cell.do, session, buckets)
            assert await self._contents(admin, buckets) == before

    async def test_two_buckets_keep_their_own_access(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["two_buckets"](buckets), SECONDS)
        session = self.open(provider, issued.values)

        await asyncio.to_thread(session.copy, buckets.second, KEY, buckets.granted, "copied")

        assert await asyncio.to_thread(session.get, buckets.granted, "copied") == BODY
        for write in (
            lambda: session.put(buckets.second, KEY, b"new"),
            lambda: session.delete(buckets.second, KEY),
            lambda: session.copy(buckets.granted, KEY, buckets.second, "copied"),
        ):
            with pytest.raises(Refused):
                await asyncio.to_thread(write)
        assert await asyncio.to_thread(session.list, buckets.second) == [KEY]

    async def test_of_two_grants_for_one_bucket_the_wider_counts(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        grants = [Grant(buckets.granted, Access.READ_WRITE), Grant(buckets.granted, Access.READ)]
        issued = await provider.issue_credentials(grants, SECONDS)

        await asyncio.to_thread(self.open(provider, issued.values).put, buckets.granted, KEY, b"new")

    @pytest.mark.parametrize("change", ["missing", "tampered"])
    async def test_a_missing_or_tampered_token_is_refused(
        self, provider: BucketProvider, buckets: Buckets, change: str
    ) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)
        values = dict(issued.values)
        assert await asyncio.to_thread(self.open(provider, values).get, buckets.granted, KEY) == BODY

        token = values.pop("session_token")
        if change == "tampered":
            middle = len(token) // 2
            values["session_token"] = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]

        with pytest.raises(Refused):
            await asyncio.to_thread(lambda: self.open(provider, values).get(buckets.granted, KEY))

    async def test_a_wrong_secret_is_refused(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)
        values = {**issued.values, "secret_access_key": "wrong"}

        with pytest.raises(Refused):
            await asyncio.to_thread(lambda: self.open(provider, values).get(buckets.granted, KEY))

    async def test_issued_credentials_say_when_they_end(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)

        assert issued.expires_at is not None
        assert abs(issued.expires_at - datetime.now(UTC) - timedelta(seconds=SECONDS)) < timedelta(seconds=30)
        assert datetime.fromisoformat(issued.values["expiration"]) == issued.expires_at
        assert datetime.fromisoformat(issued.values["expiration"]).utcoffset() is not None

    async def test_issued_credentials_do_not_show_in_a_repr(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)

        assert not [value for value in issued.values.values() if value in repr(issued)]

    async def test_credentials_for_nothing_are_never_issued(self, provider: BucketProvider) -> None:
        with pytest.raises(ValueError, match="at least one bucket"):
            await provider.issue_credentials([], SECONDS)

    async def test_a_signed_url_gives_its_blob_to_anyone(self, provider: BucketProvider, buckets: Buckets) -> None:
        url = await provider.sign_url(buckets.granted, KEY, 60)

        assert await self.fetch(provider, url) == BODY

    @pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: ascii(key)[:20])
    async def test_a_signed_url_gives_exactly_the_blob_of_an_odd_key(
        self, provider: BucketProvider, buckets: Buckets, key: str
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await asyncio.to_thread(admin.put, buckets.granted, key, key.encode())

        url = await provider.sign_url(buckets.granted, key, 60)

        assert await self.fetch(provider, url) == key.encode()
        assert sorted(await asyncio.to_thread(admin.list, buckets.granted)) == sorted([KEY, key])

    async def test_a_signed_url_for_another_key_or_bucket_is_refused(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await asyncio.to_thread(admin.put, buckets.granted, "dir/secret", b"secret")
        url = await provider.sign_url(buckets.granted, KEY, 60)

        for tampered in (url.replace(KEY, "dir/secret"), url.replace(buckets.granted, buckets.other), url[:-1] + "0z"):
            assert tampered != url
            with pytest.raises(Refused):
                await self.fetch(provider, tampered)

    async def test_a_signed_url_ends(self, provider: BucketProvider, buckets: Buckets) -> None:
        url = await provider.sign_url(buckets.granted, KEY, 2)
        assert await self.fetch(provider, url) == BODY

        await asyncio.sleep(3)

        with pytest.raises(Refused):
            await self.fetch(provider, url)

    @pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
    async def test_a_signed_url_lasts_a_second_to_seven_days(
        self, provider: BucketProvider, buckets: Buckets, seconds: int
    ) -> None:
        await provider.sign_url(buckets.granted, KEY, 1)
        await provider.sign_url(buckets.granted, KEY, 7 * 24 * 3600)

        with pytest.raises(InvalidRequest, match="604800"):
            await provider.sign_url(buckets.granted, KEY, seconds)

    @pytest.mark.parametrize("key", ["", "k" * 1025, "ü" * 513])
    async def test_a_key_that_no_storage_takes_is_not_signed(
        self, provider: BucketProvider, buckets: Buckets, key: str
    ) -> None:
        with pytest.raises(InvalidRequest):
            await provider.sign_url(buckets.granted, key, 60)

    async def test_check_is_well(self, provider: BucketProvider) -> None:
        await provider.check()

    def _skip_if_missing(self, name: str) -> None:
        if name in self.missing:
            pytest.skip(f"{name}: {self.missing[name]}")

    async def _prepare(
        self, provider: BucketProvider, admin: DataSession, buckets: Buckets, *, empty: bool = False
    ) -> None:
        """The state that every cell starts from."""
        for name in (buckets.granted, buckets.second, buckets.other):
            await provider.create_bucket(name)
        await provider.delete_bucket(buckets.absent)
        await self._empty(admin, buckets)
        for name in (buckets.granted, buckets.second, buckets.other):
            if not (empty and name == buckets.granted):
                await asyncio.to_thread(admin.put, name, KEY, BODY)

    async def _empty(self, admin: DataSession, buckets: Buckets) -> None:
        for name in (buckets.granted, buckets.second, buckets.other):
            for key in await asyncio.to_thread(admin.list, name):
                await asyncio.to_thread(admin.delete, name, key)

    async def _contents(self, admin: DataSession, buckets: Buckets) -> dict[str, dict[str, bytes]]:
        """Every blob of every bucket. A bucket that is gone makes this fail, which is what is wanted."""
        return {
            name: {
                key: await asyncio.to_thread(admin.get, name, key) for key in await asyncio.to_thread(admin.list, name)
            }
            for name in (buckets.granted, buckets.second, buckets.other)
        }
