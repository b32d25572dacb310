"""Persistent credentials: whose they are, what they open, and what is left of them when a bucket goes, or the provider does not answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from neuro_buckets.errors import Forbidden
from neuro_buckets.models import Caller
from neuro_buckets.providers.base import Grant
from neuro_buckets.repository import credentials
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import metadata
from neuro_buckets.services.buckets import Access, Scope
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of


async def make(client: httpx.AsyncClient, *bucket_ids: str, **fields: object) -> dict[str, Any]:
    """Credentials that must be made."""
    answer = await client.post(CREDENTIALS, json={"bucket_ids": bucket_ids, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def put(service: Service, credentials: dict[str, Any], number: int = 0) -> None:
    """Write with them, into their bucket of that number."""
    values = credentials["credentials"][number]["credentials"]
    service.provider.open(values).put(values["bucket_name"], "key", b"body")


async def test_they_have_the_shape_that_clients_read(alice: httpx.AsyncClient) -> None:
    first, second = await create(alice, "first"), await create(alice, None)
    made = await make(alice, first["id"], second["id"], name="mine")
    assert set(made) == {"id", "name", "owner", "read_only", "credentials"}
    assert (made["name"], made["owner"], made["read_only"]) == ("mine", "alice", False)
    assert [one["bucket_id"] for one in made["credentials"]] == [first["id"], second["id"]]
    for one in made["credentials"]:
        assert set(one) == {"bucket_id", "provider", "read_only", "credentials"}
        assert {"bucket_name", "access_key_id", "secret_access_key"} <= set(one["credentials"])


async def test_each_bucket_has_a_key_of_its_own_where_the_storage_has_it_so(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Azure, whose signatures are for one container each."""
    first, second = await create(alice, "first"), await create(alice, "second")

    async def keys(name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        return {grant.bucket: {"sas_token": f"for {grant.bucket}"} for grant in grants}

    monkeypatch.setattr(service.provider, "create_principal", keys)
    made = await make(alice, first["id"], second["id"], name="mine")
    values = [one["credentials"] for one in made["credentials"]]
    assert [one["sas_token"] for one in values] == [f"for {one['bucket_name']}" for one in values]
    assert len({one["sas_token"] for one in values}) == 2
    assert (await alice.get(f"{CREDENTIALS}/mine")).json() == made
    assert (await alice.get(CREDENTIALS)).json() == [made]

    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 204
    assert (await alice.get(f"{CREDENTIALS}/mine")).json()["credentials"] == made["credentials"][1:]


async def test_they_are_the_same_however_they_are_asked_for(alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    made = await make(alice, bucket["id"], name="mine")
    unnamed = await make(alice, bucket["id"])
    assert (await alice.get(f"{CREDENTIALS}/mine")).json() == made
    assert (await alice.get(f"{CREDENTIALS}/{made['id']}")).json() == made
    assert (await alice.get(CREDENTIALS)).json() == [made, unnamed]
    lines = await alice.get(CREDENTIALS, headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert len(lines.text.splitlines()) == 2


async def test_they_open_their_buckets_until_they_are_removed(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    made = await make(alice, "first", name="mine")  # a name will do, too
    assert made["credentials"][0]["bucket_id"] == bucket["id"]
    put(service, made)
    assert (await alice.delete(f"{CREDENTIALS}/mine")).status_code == 204
    with pytest.raises(Forbidden):
        put(service, made)
    assert error_of(await alice.get(f"{CREDENTIALS}/mine")) == (404, "not_found")
    assert error_of(await alice.delete(f"{CREDENTIALS}/mine")) == (404, "not_found")


async def test_read_only_ones_do_not_write(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    made = await make(alice, bucket["id"], read_only=True)
    assert made["read_only"] is True
    assert made["credentials"][0]["read_only"] is True
    with pytest.raises(Forbidden):
        put(service, made)


async def test_a_bucket_named_twice_counts_once(alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    made = await make(alice, bucket["id"], "first", bucket["id"])
    assert len(made["credentials"]) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"bucket_ids": []}, "at least one"),
        ({}, "bucket_ids: is missing"),
        ({"bucket_ids": ["first"], "name": "No"}, "'No'"),
        ({"bucket_ids": ["first"], "name": "bucket-credentials-00000000-0000-4000-8000-000000000000"}, "form of an id"),
        ({"bucket_ids": "first"}, "bucket_ids"),
        ({"bucket_ids": ["first"], "read_only": "yes"}, "read_only"),
        ({"bucket_ids": ["first"], "extra": 1}, "extra"),
    ],
)
async def test_what_cannot_be_meant_is_refused(alice: httpx.AsyncClient, body: dict[str, object], said: str) -> None:
    await create(alice, "first")
    answer = await alice.post(CREDENTIALS, json=body)
    assert error_of(answer) == (400, "invalid_request")
    assert said in answer.text
    assert (await alice.get(CREDENTIALS)).json() == []


async def test_a_name_is_taken_once_an_owner(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await create(alice, "first")
    await create(bob, "first")
    await make(alice, "first", name="mine")
    assert error_of(await alice.post(CREDENTIALS, json={"bucket_ids": ["first"], "name": "mine"})) == (409, "conflict")
    await make(bob, "first", name="mine")


async def test_a_foreign_bucket_is_as_absent(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    for bucket_id in (bucket["id"], "first", "absent"):
        assert error_of(await bob.post(CREDENTIALS, json={"bucket_ids": [bucket_id]})) == (404, "not_found")


async def test_foreign_credentials_are_as_absent(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await create(alice, "first")
    made = await make(alice, "first", name="mine")
    assert (await bob.get(CREDENTIALS)).json() == []
    for path in (made["id"], "mine"):
        assert error_of(await bob.get(f"{CREDENTIALS}/{path}")) == (404, "not_found")
        assert error_of(await bob.delete(f"{CREDENTIALS}/{path}")) == (404, "not_found")
    assert (await alice.get(CREDENTIALS)).json() == [made]


async def test_they_lose_a_bucket_that_is_deleted_and_end_with_the_last(
    service: Service, alice: httpx.AsyncClient
) -> None:
    first, second = await create(alice, "first"), await create(alice, "second")
    both = await make(alice, first["id"], second["id"], name="both")
    await make(alice, first["id"], name="only")
    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 204
    [left] = (await alice.get(CREDENTIALS)).json()
    assert left == {**both, "credentials": both["credentials"][1:]}
    put(service, both, 1)
    (await alice.delete(f"{BUCKETS}/second"))  # holds a blob
    assert len((await alice.get(CREDENTIALS)).json()) == 1


async def test_a_bucket_that_cannot_be_deleted_keeps_its_credentials(
    service: Service, alice: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    made = await make(alice, "first", name="mine")
    put(service, made)
    assert error_of(await alice.delete(f"{BUCKETS}/first")) == (409, "not_empty")
    put(service, made)
    assert (await alice.get(CREDENTIALS)).json() == [made]


async def test_in_an_outage_nothing_is_made_and_a_removal_is_kept_in_mind(
    service: Service, alice: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    made = await make(alice, "first", name="mine")
    service.provider.down = True
    assert error_of(await alice.post(CREDENTIALS, json={"bucket_ids": ["first"], "name": "other"}))[0] == 503
    assert error_of(await alice.delete(f"{CREDENTIALS}/mine"))[0] == 503
    service.provider.down = False
    await service.context.reconciler.run_once()
    assert (await alice.get(CREDENTIALS)).json() == []
    with pytest.raises(Forbidden):
        put(service, made)
    await make(alice, "first", name="other")


async def test_a_lost_reply_leaves_no_identity_behind(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    service.provider.reply_lost = True
    assert error_of(await alice.post(CREDENTIALS, json={"bucket_ids": ["first"]}))[0] == 503
    assert service.provider.principals == set()


async def test_no_secret_is_in_the_database_as_it_is(service: Service, alice: httpx.AsyncClient, database: str) -> None:
    await create(alice, "first")
    made = await make(alice, "first", name="mine")
    secret = made["credentials"][0]["credentials"]["secret_access_key"]
    opened = Database(database)
    async with opened.read() as connection:
        tables = [str((await connection.execute(select(table))).all()) for table in metadata.sorted_tables]
    await opened.aclose()
    files = [str(path.read_bytes()) for path in service.context.config.data_dir.glob("buckets.db*")]
    assert any(made["id"] in text for text in tables)
    assert not any(secret in text for text in [*tables, *files])


async def test_one_user_has_so_many_and_no_more(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MOST_CREDENTIALS", 2)
    for client in (alice, bob):
        await create(client, "first")
        await make(client, "first")
    await make(alice, "first", name="second")
    refused = await alice.post(CREDENTIALS, json={"bucket_ids": ["first"]})
    assert error_of(refused) == (409, "conflict")
    assert "2 persistent credentials" in refused.text
    await alice.delete(f"{CREDENTIALS}/second")
    await make(alice, "first")


@pytest.mark.parametrize("name", ["mine", None])
@pytest.mark.parametrize("key", [{"Idempotency-Key": "the-same"}, {}], ids=["with a key", "without"])
async def test_what_an_outage_left_is_not_in_the_way_of_another_try(
    service: Service, alice: httpx.AsyncClient, name: str | None, key: dict[str, str]
) -> None:
    body = {"bucket_ids": [(await create(alice, "first"))["id"]], "name": name}
    service.provider.down = True
    assert error_of(await alice.post(CREDENTIALS, json=body, headers=key))[0] == 503
    service.provider.down = False
    made = await alice.post(CREDENTIALS, json=body, headers=key)
    assert made.status_code == 201, made.text
    assert (await alice.get(CREDENTIALS)).json() == [made.json()]
    put(service, made.json())


async def test_a_bucket_named_a_thousand_times_is_looked_up_once(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = await create(alice, "first")
    looked_up: list[str] = []
    get = service.context.buckets.get

    async def counted(caller: Caller, id_or_name: str, scope: Scope) -> Access:
        looked_up.append(id_or_name)
        return await get(caller, id_or_name, scope)

    monkeypatch.setattr(service.context.buckets, "get", counted)
    await make(alice, *[bucket["id"]] * 1000)
    assert looked_up == [bucket["id"]]
