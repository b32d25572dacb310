"""What every bucket provider must do, as one suite: a provider's test module derives from it and says how its data is reached.

Credentials are proven by use, and each refusal twice: somebody who is allowed does the very same thing first.
"""

import abc
import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from neuro_buckets.errors import BucketNotEmpty, InvalidRequest, NotFound
from neuro_buckets.providers.base import Access, BucketProvider, Grant

RUN = uuid.uuid4().hex[:8]
KEY = "dir/blob"
BODY = b"what was there before"
SECONDS = 900
SOON_SECONDS = 1.0
PRINCIPAL = f"nb-suite-{RUN}"
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
KINDS = ("temporary", "persistent")


class ProviderSuite(abc.ABC):
    """Derive, give the fixture and the abstract methods, and name the engine; what it cannot show is in `exceptions`."""

    engine_name: str

    secret = "secret_access_key"
    """In the values of a principal: what proves it."""
    token = "session_token"
    """In issued credentials: what proves them."""
    expiration = "expiration"
    """In issued credentials: when they end."""
    principals_at_once = 8

    @pytest.fixture
    @abc.abstractmethod
    async def provider(self) -> BucketProvider:
        """The provider under test; it may be the same for all tests."""

    @abc.abstractmethod
    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> DataSession:
        """The storage, as the holder of issued credentials reaches it."""

    def open_principal(self, provider: BucketProvider, values: Mapping[str, Mapping[str, str]]) -> DataSession:
        """The storage, as the holder of what `create_principal` returned reaches it; here the same for all buckets."""
        first, *others = values.values()
        assert all(other == first for other in others)
        return self.open(provider, first)

    @abc.abstractmethod
    def open_anonymous(self, provider: BucketProvider) -> DataSession:
        """The storage, as somebody without any credentials reaches it."""

    @abc.abstractmethod
    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> DataSession:
        """The storage as somebody reaches it who may do whatever it offers, on all of `buckets`."""

    @abc.abstractmethod
    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        """What a stranger gets under a signed URL; raises `Refused`."""

    @abc.abstractmethod
    async def store(self, provider: BucketProvider, url: str, body: bytes) -> None:
        """What a stranger puts under a signed URL; raises `Refused`."""

    @pytest.fixture
    async def buckets(self, provider: BucketProvider) -> Buckets:
        """The same names for every test of a run: a storage may take long over the first blob of a new bucket."""
        buckets = Buckets(*(f"nb-suite-{RUN}-{role}" for role in ("granted", "second", "other", "absent")))
        await self._prepare(provider, await self.administrator(provider, buckets), buckets)
        return buckets

    @pytest.fixture
    async def no_principal(self, provider: BucketProvider) -> AsyncIterator[None]:
        """Nothing of `PRINCIPAL` is left behind."""
        yield
        await provider.delete_principal(PRINCIPAL)

    @pytest.fixture
    async def public(self, provider: BucketProvider, buckets: Buckets) -> AsyncIterator[DataSession]:
        """Anyone, while the granted bucket is public."""
        await provider.set_public_access(buckets.granted, True)
        yield self.open_anonymous(provider)
        await provider.set_public_access(buckets.granted, False)

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

    @pytest.mark.usefixtures("no_principal")
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("grants", GRANTS)
    @pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
    async def test_credentials_allow_what_was_granted_and_nothing_else(
        self, provider: BucketProvider, buckets: Buckets, cell: Cell, grants: str, kind: str
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await self._prepare(provider, admin, buckets, empty=cell.needs_empty)
        await asyncio.to_thread(cell.do, admin, buckets)  # somebody can
        await self._prepare(provider, admin, buckets, empty=cell.needs_empty)
        session = await self._session(provider, kind, GRANTS[grants](buckets))

        if cell.read if grants == "read" else cell.write:
            await asyncio.to_thread(cell.do, session, buckets)
        else:
            await self._refused_without_a_trace(admin, buckets, lambda: cell.do(session, buckets))

    @pytest.mark.usefixtures("no_principal")
    @pytest.mark.parametrize("kind", KINDS)
    async def test_two_buckets_keep_their_own_access(
        self, provider: BucketProvider, buckets: Buckets, kind: str
    ) -> None:
        session = await self._session(provider, kind, GRANTS["two_buckets"](buckets))

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

    @pytest.mark.usefixtures("no_principal")
    @pytest.mark.parametrize("kind", KINDS)
    async def test_of_two_grants_for_one_bucket_the_wider_counts(
        self, provider: BucketProvider, buckets: Buckets, kind: str
    ) -> None:
        grants = [Grant(buckets.granted, Access.READ_WRITE), Grant(buckets.granted, Access.READ)]
        session = await self._session(provider, kind, grants)

        await asyncio.to_thread(session.put, buckets.granted, KEY, b"new")

    @pytest.mark.parametrize("change", ["missing", "tampered"])
    async def test_a_missing_or_tampered_token_is_refused(
        self, provider: BucketProvider, buckets: Buckets, change: str
    ) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)
        values = dict(issued.values)
        assert await asyncio.to_thread(self.open(provider, values).get, buckets.granted, KEY) == BODY

        token = values.pop(self.token)
        if change == "tampered":
            middle = len(token) // 2
            values[self.token] = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]

        with pytest.raises(Refused):
            await asyncio.to_thread(lambda: self.open(provider, values).get(buckets.granted, KEY))

    async def test_a_wrong_secret_is_refused(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)
        values = {**issued.values, self.secret: "wrong"}

        with pytest.raises(Refused):
            await asyncio.to_thread(lambda: self.open(provider, values).get(buckets.granted, KEY))

    async def test_issued_credentials_say_when_they_end(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)

        assert issued.expires_at is not None
        assert abs(issued.expires_at - datetime.now(UTC) - timedelta(seconds=SECONDS)) < timedelta(seconds=30)
        assert datetime.fromisoformat(issued.values[self.expiration]) == issued.expires_at
        assert datetime.fromisoformat(issued.values[self.expiration]).utcoffset() is not None

    async def test_issued_credentials_do_not_show_in_a_repr(self, provider: BucketProvider, buckets: Buckets) -> None:
        issued = await provider.issue_credentials(GRANTS["read"](buckets), SECONDS)

        assert not [value for value in issued.values.values() if value in repr(issued)]

    @pytest.mark.usefixtures("no_principal")
    async def test_credentials_for_nothing_are_never_issued(self, provider: BucketProvider, buckets: Buckets) -> None:
        await provider.create_principal(PRINCIPAL, GRANTS["read"](buckets))
        for call in (
            provider.issue_credentials([], SECONDS),
            provider.create_principal(PRINCIPAL, []),
            provider.grant(PRINCIPAL, []),
        ):
            with pytest.raises(ValueError, match="at least one bucket"):
                await call

    @pytest.mark.usefixtures("no_principal")
    async def test_a_principal_has_a_key_and_no_end(self, provider: BucketProvider, buckets: Buckets) -> None:
        made = await provider.create_principal(PRINCIPAL, GRANTS["read"](buckets))

        assert set(made) == {buckets.granted}
        values = made[buckets.granted]
        assert values[self.secret]
        assert not {self.token, self.expiration, "bucket_name"} - {self.secret} & set(values)

    @pytest.mark.usefixtures("no_principal")
    async def test_a_wrong_secret_of_a_principal_is_refused(self, provider: BucketProvider, buckets: Buckets) -> None:
        values = (await provider.create_principal(PRINCIPAL, GRANTS["read"](buckets)))[buckets.granted]
        await self._soon(self.open(provider, values).get, buckets.granted, KEY)

        with pytest.raises(Refused):
            await asyncio.to_thread(
                lambda: self.open(provider, {**values, self.secret: "wrong"}).get(buckets.granted, KEY)
            )

    @pytest.mark.usefixtures("no_principal")
    async def test_a_grant_widens_narrows_and_moves_what_a_key_may_do(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        session = await self._session(provider, "persistent", GRANTS["read"](buckets))

        await provider.grant(PRINCIPAL, GRANTS["two_buckets"](buckets))
        await self._soon(session.put, buckets.granted, KEY, b"new")
        await self._soon(session.get, buckets.second, KEY)

        await provider.grant(PRINCIPAL, GRANTS["read"](buckets))
        await self._soon_refused(session.put, buckets.granted, KEY, b"newer")
        await self._soon_refused(session.get, buckets.second, KEY)
        assert await asyncio.to_thread(session.get, buckets.granted, KEY) == b"new"

        await provider.grant(PRINCIPAL, [Grant(buckets.second, Access.READ_WRITE)])
        await self._soon(session.put, buckets.second, KEY, b"new")
        await self._soon_refused(session.get, buckets.granted, KEY)

    async def test_a_principal_that_is_deleted_can_do_nothing(self, provider: BucketProvider, buckets: Buckets) -> None:
        session = await self._session(provider, "persistent", GRANTS["read_write"](buckets))

        await provider.delete_principal(PRINCIPAL)

        await self._soon_refused(session.get, buckets.granted, KEY)
        await self._soon_refused(session.put, buckets.granted, KEY, b"new")
        await provider.delete_principal(PRINCIPAL)  # gone already

    @pytest.mark.usefixtures("no_principal")
    async def test_a_principal_made_again_has_another_key_and_the_old_one_ends(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        first = await self._session(provider, "persistent", GRANTS["read_write"](buckets))

        again = await self._session(provider, "persistent", GRANTS["read"](buckets))

        await self._soon_refused(first.get, buckets.granted, KEY)
        assert await asyncio.to_thread(again.get, buckets.granted, KEY) == BODY
        await self._soon_refused(again.put, buckets.granted, KEY, b"new")  # nothing of its first grants is left

    async def test_principals_are_apart(self, provider: BucketProvider, buckets: Buckets) -> None:
        """Made and ended at the same time, too: none takes another with it."""
        names = [f"{PRINCIPAL}-{number}" for number in range(self.principals_at_once)]
        made = await asyncio.gather(*(provider.create_principal(name, GRANTS["read"](buckets)) for name in names))
        assert len({values[buckets.granted][self.secret] for values in made}) == len(names)
        sessions = [self.open_principal(provider, values) for values in made]
        for session in sessions:
            await self._soon(session.get, buckets.granted, KEY)

        await asyncio.gather(*(provider.delete_principal(name) for name in names[::2]))

        for session in sessions[::2]:
            await self._soon_refused(session.get, buckets.granted, KEY)
        for session in sessions[1::2]:
            await self._soon(session.get, buckets.granted, KEY)
        await asyncio.gather(*(provider.delete_principal(name) for name in names[1::2]))

    async def test_nothing_is_granted_to_a_principal_that_is_not_there(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        await provider.create_principal(PRINCIPAL, GRANTS["read"](buckets))
        await provider.grant(PRINCIPAL, GRANTS["read"](buckets))
        await provider.delete_principal(PRINCIPAL)

        with pytest.raises(NotFound, match=PRINCIPAL):
            await provider.grant(PRINCIPAL, GRANTS["read_write"](buckets))

    @pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
    async def test_anyone_may_read_a_public_bucket_and_nothing_else(
        self, provider: BucketProvider, buckets: Buckets, public: DataSession, cell: Cell
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await self._prepare(provider, admin, buckets, empty=cell.needs_empty)

        if cell.read:
            await self._soon(cell.do, public, buckets)
        else:
            await self._refused_without_a_trace(admin, buckets, lambda: cell.do(public, buckets))

    @pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
    async def test_nobody_without_credentials_may_do_anything_in_a_bucket_that_is_not_public(
        self, provider: BucketProvider, buckets: Buckets, cell: Cell
    ) -> None:
        admin = await self.administrator(provider, buckets)
        await self._prepare(provider, admin, buckets, empty=cell.needs_empty)
        anyone = self.open_anonymous(provider)

        await self._refused_without_a_trace(admin, buckets, lambda: cell.do(anyone, buckets))

    async def test_a_public_bucket_is_private_again_when_it_is_told_so(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        anyone = self.open_anonymous(provider)
        for _ in range(2):  # telling it twice changes nothing
            await provider.set_public_access(buckets.granted, True)
        await self._soon(anyone.get, buckets.granted, KEY)
        await self._soon(anyone.list, buckets.granted)

        for _ in range(2):
            await provider.set_public_access(buckets.granted, False)

        await self._soon_refused(anyone.get, buckets.granted, KEY)
        await self._soon_refused(anyone.list, buckets.granted)

    @pytest.mark.usefixtures("no_principal", "public")
    @pytest.mark.parametrize("kind", KINDS)
    async def test_credentials_of_a_public_bucket_keep_what_they_may(
        self, provider: BucketProvider, buckets: Buckets, kind: str
    ) -> None:
        writer = await self._session(provider, kind, GRANTS["read_write"](buckets))
        await self._soon(writer.put, buckets.granted, "more", b"more")
        await asyncio.to_thread(writer.delete, buckets.granted, "more")
        assert await asyncio.to_thread(writer.list, buckets.granted) == [KEY]

        reader = await self._session(provider, kind, GRANTS["read"](buckets))
        assert await asyncio.to_thread(reader.get, buckets.granted, KEY) == BODY
        with pytest.raises(Refused):
            await asyncio.to_thread(reader.put, buckets.granted, KEY, b"new")

    async def test_a_bucket_made_again_is_not_public(self, provider: BucketProvider, buckets: Buckets) -> None:
        admin = await self.administrator(provider, buckets)
        anyone = self.open_anonymous(provider)
        await provider.set_public_access(buckets.granted, True)
        await self._soon(anyone.get, buckets.granted, KEY)

        await asyncio.to_thread(admin.delete, buckets.granted, KEY)
        await provider.delete_bucket(buckets.granted)
        await provider.create_bucket(buckets.granted)
        await asyncio.to_thread(admin.put, buckets.granted, KEY, BODY)

        await self._soon_refused(anyone.get, buckets.granted, KEY)

    @pytest.mark.parametrize("public_", [True, False])
    async def test_a_bucket_that_is_not_there_is_not_made_public(
        self, provider: BucketProvider, buckets: Buckets, public_: bool
    ) -> None:
        with pytest.raises(NotFound, match=buckets.absent):
            await provider.set_public_access(buckets.absent, public_)

        await provider.create_bucket(buckets.absent)
        holder = await self._session(provider, "temporary", [Grant(buckets.absent, Access.READ_WRITE)])
        await asyncio.to_thread(holder.put, buckets.absent, KEY, BODY)
        with pytest.raises(Refused):
            await asyncio.to_thread(self.open_anonymous(provider).get, buckets.absent, KEY)
        await asyncio.to_thread(holder.delete, buckets.absent, KEY)

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

    async def test_a_url_signed_for_a_put_takes_its_blob_from_anyone_and_does_nothing_else(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        url = await provider.sign_url(buckets.granted, "dir/sent in", 60, put=True)
        for body in (b"", b"first", b"second"):
            await self.store(provider, url, body)
            assert await self.fetch(provider, await provider.sign_url(buckets.granted, "dir/sent in", 60)) == body
        with pytest.raises(Refused):
            await self.fetch(provider, url)
        with pytest.raises(Refused):
            await self.store(provider, await provider.sign_url(buckets.granted, KEY, 60), b"over it")
        with pytest.raises(Refused):
            await self.store(provider, url.replace(buckets.granted, buckets.other), b"elsewhere")
        admin = await self.administrator(provider, buckets)
        await asyncio.to_thread(admin.delete, buckets.granted, "dir/sent in")

    @pytest.mark.usefixtures("no_principal")
    async def test_a_url_that_a_principal_signs_does_what_both_may_and_ends_with_it(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        if not provider.signs_as_principals:
            pytest.skip("this storage does not sign with principals")
        signer = (await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)]))[buckets.granted]
        url = await provider.sign_url(buckets.granted, KEY, 60, signer=signer)
        assert await self.fetch(provider, url) == BODY, "it works at once"
        put = await provider.sign_url(buckets.granted, KEY, 60, put=True, signer=signer)
        with pytest.raises(Refused):
            await self.store(provider, put, b"new")
        with pytest.raises(Refused):
            await self.fetch(provider, await provider.sign_url(buckets.other, KEY, 60, signer=signer))
        ours = await provider.sign_url(buckets.granted, KEY, 60)

        await provider.delete_principal(PRINCIPAL)

        give_up_at = time.monotonic() + 1
        while True:
            try:
                await self.fetch(provider, url)
            except Refused:
                break
            assert time.monotonic() < give_up_at, "it still works"
            await asyncio.sleep(0.02)
        assert await self.fetch(provider, ours) == BODY

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

    async def _session(self, provider: BucketProvider, kind: str, grants: list[Grant]) -> DataSession:
        """The storage, for the holder of credentials that were just made and work."""
        if kind == "temporary":
            return self.open(provider, (await provider.issue_credentials(grants, SECONDS)).values)
        session = self.open_principal(provider, await provider.create_principal(PRINCIPAL, grants))
        await self._soon(session.list, grants[0].bucket)
        return session

    async def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        """It is allowed, within a second."""
        give_up_at = time.monotonic() + SOON_SECONDS
        while True:
            try:
                await asyncio.to_thread(call, *arguments)
            except Refused:
                assert time.monotonic() < give_up_at, "it is still refused"
            else:
                return
            await asyncio.sleep(0.01)

    async def _soon_refused(self, call: Callable[..., object], *arguments: object) -> None:
        """It is refused, within a second."""
        give_up_at = time.monotonic() + SOON_SECONDS
        while True:
            try:
                await asyncio.to_thread(call, *arguments)
            except Refused:
                return
            assert time.monotonic() < give_up_at, "it is still allowed"
            await asyncio.sleep(0.01)

    async def _refused_without_a_trace(self, admin: DataSession, buckets: Buckets, call: Callable[[], object]) -> None:
        before = await self._contents(admin, buckets)
        with pytest.raises(Refused):
            await asyncio.to_thread(call)
        assert await self._contents(admin, buckets) == before

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
