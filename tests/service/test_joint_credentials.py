"""Temporary credentials for one bucket that read others too: who gets them, how far they go, and what the audit log says of them."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from neuro_buckets.errors import Forbidden
from neuro_buckets.models import TokenScope
from neuro_buckets.schemas import MOST_ALSO_READ
from tests.service.support import BUCKETS, Service, create, error_of
from tests.service.test_audit import entries


async def ask(client: httpx.AsyncClient, bucket: str, also_read: object) -> httpx.Response:
    return await client.post(f"{BUCKETS}/{bucket}/make_tmp_credentials", json={"also_read": also_read})


def provider_name(bucket: Mapping[str, Any]) -> str:
    return "nb-" + str(bucket["id"]).removeprefix("bucket-").replace("-", "")


async def test_they_write_their_bucket_and_read_the_others_and_nothing_else(
    service: Service, alice: httpx.AsyncClient
) -> None:
    mine, source, second, third = [await create(alice, name) for name in ("mine", "source", "second", "third")]
    alone = await alice.post(f"{BUCKETS}/{source['id']}/make_tmp_credentials")
    service.provider.open(alone.json()["credentials"]).put(provider_name(source), "key", b"body")
    answer = await ask(alice, mine["id"], [source["id"], second["id"], source["id"]])
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"bucket_id", "provider", "read_only", "credentials"}
    assert (body["bucket_id"], body["read_only"]) == (mine["id"], False)
    assert body["credentials"]["bucket_name"] == provider_name(mine)
    assert body["credentials"].keys() == alone.json()["credentials"].keys()
    session = service.provider.open(body["credentials"])
    session.put(provider_name(mine), "key", session.get(provider_name(source), "key"))
    assert session.list(provider_name(second)) == []
    for name in (source, second):
        with pytest.raises(Forbidden):
            session.put(provider_name(name), "key", b"mine")
    with pytest.raises(Forbidden):
        session.list(provider_name(third))


@pytest.mark.parametrize("sent", [{}, {"json": {}}, {"json": {"also_read": []}}, {"content": b""}])
async def test_without_others_they_are_what_they_always_were(
    service: Service, alice: httpx.AsyncClient, sent: dict[str, Any]
) -> None:
    mine, other = await create(alice, "mine"), await create(alice, "other")
    body = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials", **sent)).json()
    session = service.provider.open(body["credentials"])
    session.put(provider_name(mine), "key", b"x")
    with pytest.raises(Forbidden):
        session.list(provider_name(other))


async def test_a_bucket_that_is_named_beside_itself_is_written_all_the_same(
    service: Service, alice: httpx.AsyncClient
) -> None:
    mine = await create(alice, "mine")
    body = (await ask(alice, "mine", [mine["id"]])).json()
    service.provider.open(body["credentials"]).put(provider_name(mine), "key", b"x")


async def test_what_the_caller_may_not_see_is_not_there(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    secret, mine = await create(alice, "secret"), await create(bob, "mine")
    missing = "bucket-00000000-0000-4000-8000-000000000000"
    refusals = [(await ask(bob, mine["id"], [one])) for one in (secret["id"], missing)]
    assert [error_of(answer) for answer in refusals] == [(404, "not_found")] * 2
    assert refusals[0].text.replace(secret["id"], missing) == refusals[1].text
    assert error_of(await ask(bob, secret["id"], [mine["id"]])) == (404, "not_found")


async def test_a_reader_of_a_bucket_copies_from_it_and_never_into_it(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    shared, mine = await create(alice, "shared"), await create(bob, "mine")
    shared_with = await alice.put(f"{BUCKETS}/shared/shares/bob", json={"role": "reader"})
    assert shared_with.status_code == 200
    into_mine = (await ask(bob, mine["id"], [shared["id"]])).json()
    session = service.provider.open(into_mine["credentials"])
    assert (into_mine["read_only"], session.list(provider_name(shared))) == (False, [])
    with pytest.raises(Forbidden):
        session.put(provider_name(shared), "key", b"x")
    into_theirs = (await ask(bob, shared["id"], [mine["id"]])).json()
    session = service.provider.open(into_theirs["credentials"])
    assert (into_theirs["read_only"], session.list(provider_name(mine))) == (True, [])
    for bucket in (shared, mine):
        with pytest.raises(Forbidden):
            session.put(provider_name(bucket), "key", b"x")


async def test_a_token_that_only_reads_gets_credentials_that_only_read(
    service: Service, alice: httpx.AsyncClient
) -> None:
    mine, other = await create(alice, "mine"), await create(alice, "other")
    limited = service.client(await service.context.tokens.issue("alice", timedelta(hours=1), scope=TokenScope.READ))
    body = (await ask(limited, mine["id"], [other["id"]])).json()
    assert body["read_only"] is True
    session = service.provider.open(body["credentials"])
    for bucket in (mine, other):
        assert session.list(provider_name(bucket)) == []
        with pytest.raises(Forbidden):
            session.put(provider_name(bucket), "key", b"x")


@pytest.mark.parametrize(
    "also_read", [None, "mine", [7], {"a": "b"}, ["x"] * (MOST_ALSO_READ + 1), ["\ud800"]], ids=str
)
async def test_a_body_that_makes_no_sense_is_refused(alice: httpx.AsyncClient, also_read: object) -> None:
    await create(alice, "mine")
    answer = await alice.post(
        f"{BUCKETS}/mine/make_tmp_credentials",
        content=json.dumps({"also_read": also_read}),
        headers={"Content-Type": "application/json"},
    )
    assert error_of(answer) == (400, "invalid_request")
    unknown = await alice.post(f"{BUCKETS}/mine/make_tmp_credentials", json={"also_write": ["mine"]})
    assert error_of(unknown) == (400, "invalid_request")


async def test_the_audit_log_tells_of_every_bucket_that_was_opened(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine, one, two = [await create(alice, name) for name in ("mine", "one", "two")]
    before = len(await entries(service))
    answer = await ask(alice, "mine", [one["id"], two["id"]])
    new = (await entries(service))[before:]
    assert {(entry.action, entry.asked_for, entry.resource_id, entry.status) for entry in new} == {
        ("make_tmp_credentials", "mine", bucket["id"], 200) for bucket in (mine, one, two)
    }
    assert {entry.request_id for entry in new} == {answer.headers["X-Request-ID"]}
    theirs = await create(bob, "theirs")
    before = len(await entries(service))
    await ask(bob, theirs["id"], [one["id"]])
    [refused] = (await entries(service))[before:]
    assert (refused.resource_id, refused.status) == (theirs["id"], 404)
