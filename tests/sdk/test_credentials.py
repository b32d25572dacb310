"""Credentials are fetched once for all who wait, renewed before they end, and kept as long as they are good."""

import asyncio
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from neuro_sdk import AuthorizationError, BadGateway, ServerNotAvailable
from neuro_sdk._stores.azure_wire import AzureEndpoint
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs_wire import Endpoint as GcsEndpoint
from neuro_sdk._stores.s3_kin import Endpoint as S3Endpoint

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


class Issuer:
    """Issues numbered credentials that are good for an hour; waits for `gate`, and fails with `failure` while there is one."""

    def __init__(self, lifetime: timedelta | None = timedelta(hours=1), field: str = "expiration") -> None:
        self.lifetime, self.field = lifetime, field
        self.calls = 0
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Mapping[str, str]:
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        values = {"access_key_id": f"key-{number}"}
        if self.lifetime is not None:
            values[self.field] = (datetime.now(UTC) + self.lifetime).isoformat()
        return values


async def key_of(credentials: Credentials) -> str:
    return (await credentials.get())["access_key_id"]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nothing_is_asked_before_it_is_needed_and_then_once() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    await settled()
    assert issuer.calls == 0
    first = await credentials.get()
    assert await credentials.get() is first
    assert issuer.calls == 1


async def test_one_request_serves_all_who_wait() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    issuer.gate.clear()
    waiters = [asyncio.create_task(credentials.get()) for _ in range(50)]
    await settled()
    issuer.gate.set()
    assert {id(values) for values in await asyncio.gather(*waiters)} == {id(await credentials.get())}
    assert issuer.calls == 1


async def test_one_waiter_that_gives_up_does_not_take_the_others_with_it() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    issuer.gate.clear()
    first, second = asyncio.create_task(key_of(credentials)), asyncio.create_task(key_of(credentials))
    await settled()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    issuer.gate.set()
    assert await second == "key-1"
    assert issuer.calls == 1


async def test_when_all_give_up_a_later_failure_is_no_complaint() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    issuer.gate.clear()
    waiter = asyncio.create_task(credentials.get())
    await settled()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    issuer.failure = ServerNotAvailable("down")
    issuer.gate.set()
    await settled()
    issuer.failure = None
    assert await key_of(credentials) == "key-2"


@pytest.mark.parametrize("field", ["expiration", "expiry", "expire_time"])
async def test_they_are_renewed_before_they_end_and_nobody_waits_for_it(field: str) -> None:
    issuer = Issuer(field=field)
    credentials = Credentials(issuer)
    with time_machine.travel(NOON, tick=False) as clock:
        await credentials.get()
        clock.shift(timedelta(minutes=54))
        assert await key_of(credentials) == "key-1"
        await settled()
        assert issuer.calls == 1
        clock.shift(timedelta(minutes=2))
        issuer.gate.clear()
        assert [await key_of(credentials) for _ in range(3)] == ["key-1"] * 3
        issuer.gate.set()
        await settled()
        assert await key_of(credentials) == "key-2"
        assert issuer.calls == 2


async def test_short_lived_ones_are_renewed_after_four_fifths() -> None:
    issuer = Issuer(timedelta(seconds=100))
    credentials = Credentials(issuer)
    with time_machine.travel(NOON, tick=False) as clock:
        for shift, key in ((0, "key-1"), (79, "key-1"), (2, "key-1"), (0, "key-2")):
            clock.shift(shift)
            assert await key_of(credentials) == key
            await settled()


async def test_ones_that_have_ended_are_never_handed_out() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    with time_machine.travel(NOON, tick=False) as clock:
        await credentials.get()
        clock.shift(timedelta(hours=1))
        assert await key_of(credentials) == "key-2"


@pytest.mark.parametrize("failure", [ServerNotAvailable("down"), AuthorizationError("no longer yours")])
async def test_good_ones_are_kept_when_they_cannot_be_renewed_until_they_end(failure: Exception) -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    with time_machine.travel(NOON, tick=False) as clock:
        await credentials.get()
        issuer.failure = failure
        clock.shift(timedelta(minutes=56))
        for _ in range(5):  # a control plane that is down is not asked on every request
            assert await key_of(credentials) == "key-1"
            await settled()
        assert issuer.calls == 2
        clock.shift(timedelta(seconds=16))
        assert await key_of(credentials) == "key-1"
        await settled()
        assert issuer.calls == 3
        clock.shift(timedelta(minutes=4))
        with pytest.raises(type(failure)):
            await credentials.get()
        issuer.failure = None
        assert await key_of(credentials) == "key-5"


async def test_a_failure_reaches_all_who_wait_and_the_next_one_tries_again() -> None:
    issuer = Issuer()
    issuer.failure = ServerNotAvailable("down")
    credentials = Credentials(issuer)
    outcomes = await asyncio.gather(*(credentials.get() for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ServerNotAvailable] * 3
    assert issuer.calls == 1
    issuer.failure = None
    assert await key_of(credentials) == "key-2"


async def test_refused_ones_are_replaced_once_for_many() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    refused = await credentials.get()
    replaced = await asyncio.gather(*(credentials.replace(refused) for _ in range(20)))
    assert {values["access_key_id"] for values in replaced} == {"key-2"}
    assert await credentials.replace(refused) is replaced[0]  # one who comes late
    assert issuer.calls == 2


async def test_a_replacement_that_cannot_be_had_is_an_error() -> None:
    issuer = Issuer()
    credentials = Credentials(issuer)
    refused = await credentials.get()
    issuer.failure = ServerNotAvailable("down")
    with pytest.raises(ServerNotAvailable):
        await credentials.replace(refused)


async def test_without_an_end_they_are_never_renewed() -> None:
    issuer = Issuer(lifetime=None)
    credentials = Credentials(issuer)
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(3):
            assert await key_of(credentials) == "key-1"
            clock.shift(timedelta(days=3650))
    assert issuer.calls == 1


@pytest.mark.parametrize("text", ["tomorrow", "1700000000", "2026-13-01T00:00:00Z"])
async def test_an_end_that_cannot_be_read_is_a_bad_gateway(text: str) -> None:
    async def issue() -> Mapping[str, str]:
        return {"secret_access_key": "hunter2", "expiration": text}

    with pytest.raises(BadGateway, match=text) as caught:
        await Credentials(issue).get()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["2026-03-04T13:00:00Z", "2026-03-04T13:00:00", "2026-03-04T14:00:00.000+01:00"])
async def test_an_end_without_a_zone_is_utc(text: str) -> None:
    calls = 0

    async def issue() -> Mapping[str, str]:
        nonlocal calls
        calls += 1
        return {"expiration": text}

    credentials = Credentials(issue)
    with time_machine.travel(NOON, tick=False) as clock:
        await credentials.get()
        clock.shift(timedelta(minutes=54))
        await credentials.get()
        await settled()
        assert calls == 1
        clock.shift(timedelta(minutes=2))
        await credentials.get()
        await settled()
        assert calls == 2


async def test_a_clock_that_is_ahead_does_not_ask_for_new_ones_on_every_request() -> None:
    issuer = Issuer(lifetime=-timedelta(hours=3))
    credentials = Credentials(issuer)
    for _ in range(5):
        await credentials.get()
    assert issuer.calls == 1


@pytest.mark.parametrize("parse", [S3Endpoint.parse, AzureEndpoint.parse, GcsEndpoint.parse])
@pytest.mark.parametrize(
    "url",
    ["https://h.example/a?sig=hunter2", "https://me:hunter2@h.example", "h.example/hunter2@", "https://[h.example"],
)
def test_an_endpoint_that_cannot_be_used_is_the_control_planes_fault_and_shows_no_secret(
    parse: Callable[[Mapping[str, str]], object], url: str
) -> None:
    keys = {"access_key_id": "id", "secret_access_key": "hunter2", "sas_token": "hunter2", "access_token": "hunter2"}
    with pytest.raises(BadGateway, match="endpoint cannot be used") as caught:
        parse({"bucket_name": "b", "endpoint_url": url, "storage_endpoint": url, **keys})
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
