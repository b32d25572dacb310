"""A request with an `Idempotency-Key` is done once, however often it is sent, and answered the same, whatever happens meanwhile."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import time_machine

from neuro_buckets.models import TokenScope, now
from neuro_buckets.repository import RepositoryError
from tests.service.changes import CHANGES
from tests.service.crashing_service import at_provider, running
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of

KEY = {"Idempotency-Key": "4b7ee5a8-0d0e-4a3c-9f5e-2f7d7c2a1b00"}
REPLAYED = "Idempotency-Replayed"
OF_THE_KEY = [f"idempotency.{step}.{when}" for step in ("reserve", "answer") for when in ("before", "after")]


async def test_a_bucket_is_made_once_and_answered_the_same(service: Service, alice: httpx.AsyncClient) -> None:
    first, second = [await alice.post(BUCKETS, json={"name": "first"}, headers=KEY) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert (REPLAYED in first.headers, REPLAYED in second.headers) == (False, True)
    assert len((await alice.get(BUCKETS)).json()) == len(service.provider.names) == 1


async def test_a_bucket_without_a_name_is_made_once_too(service: Service, alice: httpx.AsyncClient) -> None:
    ids = {(await alice.post(BUCKETS, json={}, headers=KEY)).json()["id"] for _ in range(3)}
    assert len(ids) == len(service.provider.names) == 1


async def test_credentials_are_made_once_and_their_secret_is_the_same(
    service: Service, alice: httpx.AsyncClient
) -> None:
    body = {"name": "mine", "bucket_ids": [(await create(alice, "first"))["id"]]}
    first, second = [await alice.post(CREDENTIALS, json=body, headers=KEY) for _ in range(2)]
    assert first.status_code == 201
    assert second.content == first.content
    assert len(service.provider.principals) == 1


async def test_without_a_key_a_second_request_is_another(alice: httpx.AsyncClient) -> None:
    assert (await alice.post(BUCKETS, json={"name": "first"})).status_code == 201
    assert error_of(await alice.post(BUCKETS, json={"name": "first"})) == (409, "conflict")


async def test_a_key_stands_for_one_request(alice: httpx.AsyncClient) -> None:
    bucket = (await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)).json()
    assert error_of(await alice.post(BUCKETS, json={"name": "second"}, headers=KEY)) == (422, "key_reused")
    body = {"bucket_ids": [bucket["id"]]}
    assert error_of(await alice.post(CREDENTIALS, json=body, headers=KEY)) == (422, "key_reused")


async def test_every_user_has_their_own_keys(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    of_alice, of_bob = [(await user.post(BUCKETS, json={"name": "first"}, headers=KEY)).json() for user in (alice, bob)]
    assert (of_alice["owner"], of_bob["owner"]) == ("alice", "bob")


async def test_what_was_refused_gives_the_key_back(service: Service, alice: httpx.AsyncClient) -> None:
    taken = await create(alice, "first")
    assert error_of(await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)) == (409, "conflict")
    assert error_of(await alice.post(BUCKETS, json={"name": 1}, headers=KEY)) == (400, "invalid_request")
    await alice.delete(f"{BUCKETS}/{taken['id']}")
    made = await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)
    assert made.status_code == 201
    assert REPLAYED not in made.headers


async def test_what_the_provider_failed_can_be_tried_again_at_once(service: Service, alice: httpx.AsyncClient) -> None:
    service.provider.down = True
    assert (await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)).status_code == 503
    service.provider.down = False
    await service.context.reconciler.run_once(ignore_leases=True)
    assert (await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)).status_code == 201
    assert len(service.provider.names) == 1


async def test_a_fault_of_ours_can_be_tried_again_at_once(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.context.buckets, "create", break_down)
    assert (await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)).status_code == 500
    monkeypatch.undo()
    assert (await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)).status_code == 201


async def test_while_the_first_runs_the_second_is_told_to_come_again(
    service: Service, alice: httpx.AsyncClient
) -> None:
    service.provider.gate.clear()
    first = asyncio.create_task(alice.post(BUCKETS, json={"name": "first"}, headers=KEY))
    await service.provider.entered.wait()
    second = await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)
    assert error_of(second) == (409, "under_way")
    assert int(second.headers["Retry-After"]) > 0
    service.provider.gate.set()
    made = await first
    assert made.status_code == 201
    assert (await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)).content == made.content


async def test_of_many_at_once_one_makes_it(service: Service, alice: httpx.AsyncClient) -> None:
    async def until_answered() -> httpx.Response:
        while True:
            answer = await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)
            if answer.status_code != 409:
                return answer
            assert error_of(answer) == (409, "under_way")
            await asyncio.sleep(0.02)

    answers = await asyncio.gather(*(until_answered() for _ in range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == len(service.provider.names) == 1


async def test_an_answer_that_could_not_be_kept_is_given_and_its_bucket_is_found_again(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RepositoryError("the database does not answer")

    monkeypatch.setattr(service.context.repository.idempotency, "answer", fail)
    made = await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)
    assert made.status_code == 201
    monkeypatch.undo()
    with time_machine.travel(now() + timedelta(minutes=2), tick=True):  # its lease has ended
        again = await alice.post(BUCKETS, json={"name": "first"}, headers=KEY)
    assert (again.status_code, again.json()) == (201, made.json())
    assert len(service.provider.names) == 1


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a b", "ä"])
async def test_what_cannot_be_a_key_is_refused(alice: httpx.AsyncClient, key: str) -> None:
    answer = await alice.post(BUCKETS, json={"name": "first"}, headers={b"Idempotency-Key": key.encode()})
    assert error_of(answer) == (400, "invalid_request")
    assert (await alice.get(BUCKETS)).json() == []


async def test_after_a_day_a_key_is_forgotten_and_can_be_used_again(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await alice.post(BUCKETS, json={}, headers=KEY)
    token = await service.context.tokens.issue("alice", timedelta(days=9))
    with time_machine.travel(now() + timedelta(hours=23), tick=True):
        later = service.client(token)
        assert (await later.post(BUCKETS, json={}, headers=KEY)).content == first.content
    with time_machine.travel(now() + timedelta(hours=25), tick=True):
        later = service.client(token)
        assert (await later.post(BUCKETS, json={}, headers=KEY)).json()["id"] != first.json()["id"]
    assert len(service.provider.names) == 2


async def test_old_answers_are_removed(service: Service, alice: httpx.AsyncClient, database: str) -> None:
    await alice.post(BUCKETS, json={}, headers=KEY)
    assert sum((await service.context.repository.sealed.count_by_key()).values()) == 1
    with time_machine.travel(now() + timedelta(hours=25), tick=True):
        await service.context.idempotency.forget_old()
    assert await service.context.repository.sealed.count_by_key() == {}


@pytest.mark.parametrize("scope", [scope for scope in TokenScope if scope is not TokenScope.ALL])
async def test_a_narrower_token_does_not_hear_the_answer_of_a_wider_one(
    service: Service, alice: httpx.AsyncClient, scope: TokenScope
) -> None:
    body = {"bucket_ids": [(await create(alice, "first"))["id"]]}
    assert (await alice.post(CREDENTIALS, json=body, headers=KEY)).status_code == 201
    narrower = service.client(await service.context.tokens.issue("alice", timedelta(hours=1), scope=scope))
    assert error_of(await narrower.post(CREDENTIALS, json=body, headers=KEY)) == (422, "key_reused")


async def test_a_try_that_comes_too_late_leaves_what_the_next_one_has_made(
    service: Service, alice: httpx.AsyncClient
) -> None:
    bucket_ids = [(await create(alice, "other"))["id"]]
    for path, body in ((BUCKETS, {"name": "first"}), (CREDENTIALS, {"bucket_ids": bucket_ids})):
        headers = {"Idempotency-Key": path}
        held = service.provider.hold_next()
        slow = asyncio.create_task(alice.post(path, json=body, headers=headers))
        await service.provider.entered.wait()
        with time_machine.travel(now() + timedelta(minutes=2), tick=True):  # its leases have ended
            assert (await alice.post(path, json=body, headers=headers)).status_code == 201
        held.set()
        assert error_of(await slow) == (503, "provider_unavailable")
    assert len(service.provider.names) == 2
    assert len(service.provider.principals) == 1


def rows(directory: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(directory / "buckets.db")) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("failpoint", [*CHANGES["create"].points, *OF_THE_KEY])
@pytest.mark.parametrize("name", ["first", None])
def test_a_bucket_that_a_kill_cut_off_is_there_once_when_it_is_asked_for_again(
    tmp_path: Path, failpoint: str, name: str | None
) -> None:
    with running(tmp_path, failpoint) as (process, client):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(BUCKETS, json={"name": name}, headers=KEY)
        assert process.killed_itself()
    before = at_provider(tmp_path)
    with running(tmp_path) as (process, client):
        if failpoint != "idempotency.reserve.before":  # then nobody knows of the key
            assert client.post(BUCKETS, json={"name": "other"}, headers=KEY).status_code == 422
        again = client.post(BUCKETS, json={"name": name}, headers=KEY)
        assert again.status_code == 201, again.text
        assert client.post(BUCKETS, json={"name": name}, headers=KEY).content == again.content
        assert client.get(BUCKETS).json() == [again.json()]
    if failpoint.startswith(("create.confirm.after", "idempotency.answer")):
        assert at_provider(tmp_path) == before, "what was made is what is answered"
    assert len(at_provider(tmp_path)) == 1


@pytest.mark.parametrize("failpoint", [*CHANGES["create credentials"].points, *OF_THE_KEY])
def test_credentials_that_a_kill_cut_off_are_there_once_when_they_are_asked_for_again(
    tmp_path: Path, failpoint: str
) -> None:
    with running(tmp_path, failpoint) as (process, client):
        bucket = client.post(BUCKETS, json={"name": "first"}).json()
        body = {"name": "mine", "bucket_ids": [bucket["id"]]}
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(CREDENTIALS, json=body, headers=KEY)
        assert process.killed_itself()
    with running(tmp_path) as (process, client):
        again = client.post(CREDENTIALS, json=body, headers=KEY)
        assert again.status_code == 201, again.text
        assert client.get(CREDENTIALS).json() == [again.json()]
    assert len(at_provider(tmp_path, "principals")) == 1


def test_what_is_kept_for_a_second_request_is_sealed(tmp_path: Path) -> None:
    with running(tmp_path) as (_, client):
        bucket = client.post(BUCKETS, json={"name": "first"}).json()
        made = client.post(CREDENTIALS, json={"name": "mine", "bucket_ids": [bucket["id"]]}, headers=KEY).json()
    secret = made["credentials"][0]["credentials"]["secret_access_key"]
    [(sealed,)] = rows(tmp_path, "SELECT sealed_answer FROM idempotency_keys")
    assert isinstance(sealed, str)
    assert secret not in sealed
    assert secret.encode() not in (tmp_path / "buckets.db").read_bytes()
