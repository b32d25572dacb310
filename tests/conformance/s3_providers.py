"""What every provider over S3 must do beside the provider suite; those that have a module of their own derive from this."""

import abc
import asyncio
import contextlib
import socket
from collections.abc import Mapping
from urllib.parse import quote

import httpx
import pytest

from neuro_buckets.errors import InvalidRequest, ProviderUnavailable
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.s3_buckets import S3Provider
from tests.conformance.providers import BODY, KEY, PRINCIPAL, SECONDS, Buckets, ProviderSuite, Refused
from tests.conformance.s3_data import S3Data


class S3ProviderSuite(ProviderSuite):
    """Derive, set `url` and `admin` in the fixture `provider`, and say how to make one that cannot work."""

    url: str
    region = "us-east-1"
    admin: S3Data

    @abc.abstractmethod
    def provider_at(self, url: str, secret_key: str) -> S3Provider:
        """A provider over whatever is at this address, with our own access key and this secret."""

    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> S3Data:
        return S3Data(values)

    def open_anonymous(self, provider: BucketProvider) -> S3Data:
        return S3Data({"endpoint_url": self.url, "region_name": self.region}, anonymous=True)

    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> S3Data:
        return self.admin

    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        async with httpx.AsyncClient() as client:
            response = await client.get(url)
        if response.status_code == 403:
            raise Refused
        assert response.status_code == 200
        return response.content

    async def store(self, provider: BucketProvider, url: str, body: bytes) -> None:
        async with httpx.AsyncClient() as client:
            response = await client.put(url, content=body)
        if response.status_code == 403:
            raise Refused
        assert response.status_code == 200

    @pytest.mark.usefixtures("no_principal")
    async def test_credentials_hold_what_clients_know_and_nothing_else(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        grants = [Grant(buckets.granted, Access.READ)]
        lasting = {"region_name", "endpoint_url", "access_key_id", "secret_access_key"}

        lasting_of = await provider.create_principal(PRINCIPAL, grants)
        assert set(lasting_of[buckets.granted]) - {"storage"} == lasting
        issued = (await provider.issue_credentials(grants, SECONDS)).values
        assert set(issued) - {"storage"} == {*lasting, "session_token", "expiration"}
        assert (issued["endpoint_url"], issued["region_name"]) == (self.url, self.region)

    async def test_what_a_principal_signed_ends_with_it(self, provider: BucketProvider, buckets: Buckets) -> None:
        made = await provider.create_principal(PRINCIPAL, [Grant(buckets.granted, Access.READ)])
        holder = S3Data(made[buckets.granted])
        await self._soon(holder.list, buckets.granted)
        url = holder.sign(buckets.granted, KEY)
        assert await self.fetch(provider, url) == BODY

        await provider.delete_principal(PRINCIPAL)

        await self._soon_refused(holder.list, buckets.granted)
        with pytest.raises(Refused):
            await self.fetch(provider, url)

    @pytest.mark.parametrize("name", ["admin", "anonymous", "nb-", "nb-*", "nb-a/../b", "nb-" + "a" * 62, "", "NB-a"])
    async def test_a_name_that_is_not_ours_is_no_principal(
        self, provider: BucketProvider, buckets: Buckets, name: str
    ) -> None:
        grants = [Grant(buckets.granted, Access.READ)]
        for call in (
            provider.create_principal(name, grants),
            provider.grant(name, grants),
            provider.delete_principal(name),
        ):
            with pytest.raises(InvalidRequest, match="not an identity of ours"):
                await call

    @pytest.mark.parametrize("name", ["*", "a*bucket", "some?thing", "a/b", "UPPER", "ab", "${aws:username}"])
    async def test_a_name_that_could_mean_other_buckets_is_refused(self, provider: BucketProvider, name: str) -> None:
        for call in (
            provider.issue_credentials([Grant(name, Access.READ)], SECONDS),
            provider.create_principal(PRINCIPAL, [Grant(name, Access.READ)]),
            provider.create_bucket(name),
            provider.delete_bucket(name),
            provider.set_public_access(name, True),
            provider.sign_url(name, "key", 60),
        ):
            with pytest.raises(InvalidRequest, match="not a bucket name"):
                await call

    async def test_a_session_lasts_as_long_as_the_storage_makes_any(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        assert isinstance(provider, S3Provider)
        grants = [Grant(buckets.granted, Access.READ)]
        shortest, longest = provider.session_seconds.start, provider.session_seconds.stop - 1
        await provider.issue_credentials(grants, longest)

        for seconds in (0, shortest - 1, longest + 1):
            with pytest.raises(InvalidRequest, match=f"{shortest} to {longest}"):
                await provider.issue_credentials(grants, seconds)

    async def test_more_buckets_than_fit_into_a_session_are_refused_by_number(self, provider: BucketProvider) -> None:
        grants = [Grant(f"nb-bucket-number-{number:03}", Access.READ) for number in range(100)]
        await provider.issue_credentials(grants[:15], SECONDS)

        with pytest.raises(InvalidRequest, match="for 100 buckets"):
            await provider.issue_credentials(grants, SECONDS)

    @pytest.mark.usefixtures("no_principal")
    async def test_more_buckets_than_fit_into_a_principal_are_refused_by_number(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        many = [Grant(f"nb-{number:032}", Access.READ_WRITE) for number in range(2000)]
        holder = await self._session(provider, "persistent", [Grant(buckets.granted, Access.READ), *many[:9]])

        for call in (provider.create_principal(PRINCIPAL, many), provider.grant(PRINCIPAL, many)):
            with pytest.raises(InvalidRequest, match="for 2000 buckets"):
                await call
        assert await asyncio.to_thread(holder.get, buckets.granted, KEY) == BODY  # nothing was changed

    @pytest.mark.parametrize("key", ["a//b", "/a", "a\\b", "a/../b", "..", "./a", "a/.", "//"])
    async def test_a_key_is_signed_as_it_is_or_not_at_all(
        self, provider: BucketProvider, buckets: Buckets, key: str
    ) -> None:
        assert isinstance(provider, S3Provider)
        if provider.path_like_keys:
            with pytest.raises(InvalidRequest):
                await provider.sign_url(buckets.granted, key, 60)
        else:
            url = await provider.sign_url(buckets.granted, key, 60)
            assert url.partition("?")[0] == f"{self.url}/{buckets.granted}/{quote(key)}"

    @pytest.mark.parametrize("key", ["\ud800", "nul\0"])
    async def test_a_key_that_is_no_text_is_not_signed(
        self, provider: BucketProvider, buckets: Buckets, key: str
    ) -> None:
        with pytest.raises(InvalidRequest):
            await provider.sign_url(buckets.granted, key, 60)

    @pytest.mark.usefixtures("provider")
    async def test_a_storage_that_does_not_answer_is_unavailable(self) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # and never listens
            provider = self.provider_at(f"http://127.0.0.1:{held.getsockname()[1]}", "hidden-secret")
            for call in (
                provider.check(),
                provider.create_bucket("bucket"),
                provider.delete_bucket("bucket"),
                provider.set_public_access("bucket", True),
                provider.issue_credentials([Grant("bucket", Access.READ)], SECONDS),
            ):
                with pytest.raises(ProviderUnavailable, match="does not answer") as raised:
                    await call
                assert "hidden-secret" not in str(raised.value)
            await provider.aclose()

    @pytest.mark.usefixtures("provider")
    async def test_wrong_keys_of_ours_are_the_storages_refusal_and_not_shown(self) -> None:
        provider = self.provider_at(self.url, "hidden-secret")
        for call in (
            provider.check(),
            provider.create_bucket("nb-refused"),
            provider.issue_credentials([Grant("nb-refused", Access.READ)], SECONDS),
        ):
            with pytest.raises(ProviderUnavailable, match="refuses") as raised:
                await call
            assert "hidden-secret" not in str(raised.value)
        await provider.aclose()

    @pytest.mark.usefixtures("provider")
    async def test_closing_twice_leaves_no_thread(self) -> None:
        provider = self.provider_at(self.url, "any")
        with contextlib.suppress(ProviderUnavailable):
            await provider.check()
        threads = set(provider._threads._threads)
        assert any(thread.is_alive() for thread in threads)

        await provider.aclose()
        await provider.aclose()

        assert not any(thread.is_alive() for thread in threads)
