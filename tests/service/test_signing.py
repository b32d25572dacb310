"""Signed URLs: whose they are, with whom they end, that one user's are no other's, and what is kept of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import update

from neuro_buckets.commands.key import key as key_command
from neuro_buckets.errors import Forbidden
from neuro_buckets.models import (
    Bucket,
    PersistentCredentials,
    TokenScope,
    new_bucket_id,
    now,
    signer_name_for,
)
from neuro_buckets.repository import credentials
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import credentials as credentials_table
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of

FIRST = f"{BUCKETS}/first"
OF_ALICE = {"owner": "alice"}
ADMIN = "/api/v1/admin"


@pytest.fixture
async def bucket(service: Service, alice: httpx.AsyncClient) -> Bucket:
    """A bucket of alice's that holds `key`."""
    found = await service.context.repository.buckets.current((await create(alice, "first"))["id"])
    assert found is not None
    issued = await alice.post(f"{FIRST}/make_tmp_credentials")
    service.provider.open(issued.json()["credentials"]).put(found.provider_name, "key", b"body")
    return found


@pytest.fixture
async def reader(alice: httpx.AsyncClient, bob: httpx.AsyncClient, bucket: Bucket) -> httpx.AsyncClient:
    """Bob, who may read alice's bucket."""
    await share(alice, "reader")
    return bob


async def share(client: httpx.AsyncClient, role: str) -> None:
    (await client.put(f"{FIRST}/shares/bob", json={"role": role})).raise_for_status()


async def sign(client: httpx.AsyncClient, method: str = "GET", seconds: int = 3600) -> str:
    """A URL for `key` of alice's bucket that must be signed."""
    body = {"key": "key", "expires_in_sec": seconds, "method": method}
    answer = await client.post(f"{FIRST}/sign_blob_url", params=OF_ALICE, json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


async def revoke(client: httpx.AsyncClient) -> httpx.Response:
    return await client.delete(f"{FIRST}/signed_urls", params=OF_ALICE)


def works(service: Service, url: str, method: str = "GET") -> bool:
    try:
        if method == "PUT":
            service.provider.store(url, b"body")
        else:
            service.provider.fetch(url)
    except Forbidden:
        return False
    return True


async def signer_of(service: Service, user: str, bucket: Bucket, *, read_only: bool = True) -> PersistentCredentials:
    found = await service.context.repository.credentials.signer(user, signer_name_for(bucket.id, read_only=read_only))
    assert found is not None
    return found


async def test_each_user_signs_with_an_identity_for_each_bucket_and_kind_of_url(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient, bucket: Bucket
) -> None:
    for _ in range(2):
        assert works(service, await sign(alice))
        assert works(service, await sign(alice, "PUT"), "PUT")
        assert works(service, await sign(reader))
    assert len(service.provider.principals) == 3
    assert (await signer_of(service, "alice", bucket, read_only=False)).read_only is False
    await create(alice, "second")
    await alice.post(f"{BUCKETS}/second/sign_blob_url", json={"key": "key"})
    assert len(service.provider.principals) == 4


async def test_what_signs_is_shown_to_nobody(service: Service, alice: httpx.AsyncClient, bucket: Bucket) -> None:
    await sign(alice)
    signer = await signer_of(service, "alice", bucket)
    assert (await alice.get(CREDENTIALS)).json() == []
    for name in (signer.id, signer.name or ""):
        assert error_of(await alice.get(f"{CREDENTIALS}/{name}")) == (404, "not_found")
        assert error_of(await alice.delete(f"{CREDENTIALS}/{name}")) == (404, "not_found")
    assert error_of(await alice.post(CREDENTIALS, json={"name": signer.name, "bucket_ids": [bucket.id]}))[0] == 400


async def test_only_the_first_url_asks_the_storage(service: Service, alice: httpx.AsyncClient, bucket: Bucket) -> None:
    await sign(alice)
    seen = await signer_of(service, "alice", bucket)
    service.provider.down = True
    assert works(service, await sign(alice))
    assert await signer_of(service, "alice", bucket) == seen, "nothing had to be written either"
    answer = await alice.post(f"{FIRST}/sign_blob_url", json={"key": "key", "method": "PUT"})
    assert error_of(answer)[0] == 503
    service.provider.down = False
    assert works(service, await sign(alice, "PUT"), "PUT")


async def test_whoever_revokes_ends_their_own_urls_and_no_others(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    read, write, theirs = await sign(alice), await sign(alice, "PUT"), await sign(reader)
    assert (await revoke(alice)).status_code == 204
    assert (works(service, read), works(service, write, "PUT"), works(service, theirs)) == (False, False, True)
    again = await sign(alice)
    assert (works(service, again), works(service, read)) == (True, False)
    assert (await revoke(reader)).status_code == 204
    assert (works(service, again), works(service, theirs)) == (True, False)
    assert (await revoke(reader)).status_code == 204, "nothing to end is no error"


async def test_a_token_that_only_reads_signs_and_revokes_nothing(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    token = await service.context.tokens.issue("alice", timedelta(hours=1), scope=TokenScope.READ)
    limited = service.client(token)
    url = await sign(limited)
    assert error_of(await revoke(limited)) == (403, "forbidden")
    assert works(service, url)


async def test_a_reader_signs_no_put_and_makes_nothing_that_writes(service: Service, reader: httpx.AsyncClient) -> None:
    answer = await reader.post(f"{FIRST}/sign_blob_url", params=OF_ALICE, json={"key": "key", "method": "PUT"})
    assert error_of(answer) == (403, "forbidden")
    assert service.provider.principals == set()


async def test_urls_end_with_the_role_and_others_live_on(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    await share(alice, "writer")
    mine, read, write = await sign(alice), await sign(reader), await sign(reader, "PUT")
    await share(alice, "reader")
    assert (works(service, read), works(service, write, "PUT")) == (True, False)
    await alice.delete(f"{FIRST}/shares/bob")
    assert (works(service, read), works(service, mine)) == (False, True)
    await share(alice, "writer")
    assert works(service, await sign(reader))
    assert not works(service, read), "a role that comes back brings no URL back"


async def test_urls_end_with_the_role_on_a_project(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, bucket: Bucket
) -> None:
    shares = "/api/v1/buckets/project/shares/bob"
    (await alice.put(shares, json={"role": "writer"})).raise_for_status()
    url = await sign(bob)
    assert works(service, url)
    (await alice.delete(shares)).raise_for_status()
    assert not works(service, url)


async def test_urls_end_with_the_bucket(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    await sign(alice)
    await sign(alice, "PUT")
    (await alice.delete(FIRST)).raise_for_status()
    assert service.provider.principals == set()


async def test_a_bucket_that_is_not_empty_keeps_its_urls(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    url = await sign(alice)
    assert error_of(await alice.delete(FIRST)) == (409, "not_empty")
    assert works(service, url)


async def test_urls_end_with_the_user_and_whoever_gets_the_name_inherits_none(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    root = await service.login("root")
    await service.context.people.put_user("root", is_admin=True)
    url, mine = await sign(reader), await sign(alice)
    assert (await root.delete(f"{ADMIN}/users/bob")).status_code == 204
    assert (works(service, url), works(service, mine)) == (False, True)
    assert len(service.provider.principals) == 1


async def test_urls_of_a_user_who_comes_back_during_an_outage_end_all_the_same(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    url = await sign(reader)
    service.provider.down = True
    await service.context.people.remove_user("bob")
    await service.context.people.put_user("bob", is_admin=False)
    await share(alice, "reader")
    service.provider.down = False
    await service.context.reconciler.run_once()
    assert not works(service, url)
    assert works(service, await sign(await service.login("bob")))


async def test_a_revocation_in_an_outage_is_kept_in_mind(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    url = await sign(alice)
    service.provider.down = True
    refused = await revoke(alice)
    assert error_of(refused)[0] == 503
    assert "end as soon as it does" in refused.text
    assert error_of(await alice.post(f"{FIRST}/sign_blob_url", json={"key": "key"}))[0] == 503, "not with that one"
    service.provider.down = False
    await service.context.reconciler.run_once()
    assert (works(service, url), works(service, await sign(alice))) == (False, True)


async def test_what_an_outage_left_is_not_in_the_way_of_another_url(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    service.provider.down = True
    assert error_of(await alice.post(f"{FIRST}/sign_blob_url", json={"key": "key"}))[0] == 503
    service.provider.down = False
    assert works(service, await sign(alice))
    service.provider.reply_lost = True
    assert error_of(await alice.post(f"{FIRST}/sign_blob_url", json={"key": "key", "method": "PUT"}))[0] == 503
    assert len(service.provider.principals) == 1


async def test_many_who_sign_first_at_once_make_one_identity(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    held = service.provider.hold_next()
    signing = [asyncio.create_task(sign(alice)) for _ in range(20)]
    await service.provider.entered.wait()
    await asyncio.sleep(0.05)
    held.set()
    assert all(works(service, url) for url in await asyncio.gather(*signing))
    assert len(service.provider.principals) == 1


async def test_what_is_revoked_or_taken_while_it_is_being_made_signs_nothing(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient
) -> None:
    for end in (revoke(reader), alice.delete(f"{FIRST}/shares/bob")):
        held = service.provider.hold_next()
        body = {"key": "key"}
        signing = asyncio.create_task(reader.post(f"{FIRST}/sign_blob_url", params=OF_ALICE, json=body))
        await service.provider.entered.wait()
        assert (await end).status_code == 204
        held.set()
        assert error_of(await signing)[0] == 503
        assert service.provider.principals == set()


async def test_what_signs_ends_when_none_of_its_urls_can_hold_any_more(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient, bucket: Bucket, database: str
) -> None:
    await sign(alice, seconds=60)
    url = await sign(reader, seconds=60)
    await let_pass(database, "alice")
    await service.context.reconciler.run_once()
    assert len(service.provider.principals) == 1
    assert works(service, url)
    assert works(service, await sign(alice))


async def test_what_signs_stays_for_the_longest_of_its_urls(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    for seconds in (60, 7 * 24 * 3600, 60):
        await sign(alice, seconds=seconds)
    seen = await signer_of(service, "alice", bucket)
    assert seen.signs_until is not None
    assert timedelta(days=7) < seen.signs_until - now() < timedelta(days=7, hours=2)
    body = {"key": "key", "expires_in_sec": 7 * 24 * 3600 + 1}
    assert error_of(await alice.post(f"{FIRST}/sign_blob_url", json=body)) == (400, "invalid_request")


async def test_what_signs_again_just_before_it_is_ended_is_not_ended(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket, database: str
) -> None:
    await sign(alice, seconds=60)
    await let_pass(database, "alice")
    [idle] = await service.context.repository.credentials.idle_signers()
    url = await sign(alice, seconds=60)
    assert not await service.context.reconciler.settle_credentials(idle), "as it was seen, it is no more"
    assert works(service, url)


async def test_one_user_signs_for_so_many_buckets_at_once_and_no_more(
    service: Service, alice: httpx.AsyncClient, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MOST_SIGNERS", 1)
    monkeypatch.setattr(credentials, "MOST_CREDENTIALS", 1)
    await sign(alice)
    refused = await alice.post(f"{FIRST}/sign_blob_url", json={"key": "key", "method": "PUT"})
    assert error_of(refused) == (409, "conflict")
    assert "revoke-urls" in refused.text
    assert (
        await alice.post(CREDENTIALS, json={"bucket_ids": [(await alice.get(FIRST)).json()["id"]]})
    ).status_code == 201
    await sign(reader)
    await revoke(alice)
    await sign(alice, "PUT")


async def test_what_signs_is_sealed_again_with_a_new_key(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    url = await sign(alice)
    before = (await signer_of(service, "alice", bucket)).sealed_values
    data = service.context.config.data_dir
    rotated = await asyncio.to_thread(CliRunner().invoke, key_command, ["rotate", "--data", str(data)])
    assert rotated.exit_code == 0, rotated.output
    after = await signer_of(service, "alice", bucket)
    assert after.sealed_values != before
    service.provider.down = True
    assert works(service, await sign(alice))
    assert works(service, url)


async def test_urls_of_an_import_are_not_ours_to_end(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket
) -> None:
    id_ = new_bucket_id()
    external = replace(bucket, id=id_, name="theirs", provider="minio", provider_name=f"nb-{id_}", imported=True)
    await service.context.repository.buckets.add(external)
    refused = await alice.delete(f"{BUCKETS}/theirs/signed_urls")
    assert error_of(refused) == (400, "invalid_request")
    assert "end that key" in refused.text


async def test_a_storage_without_identities_signs_with_its_own_key_and_says_so(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.context.provider, "signs_as_principals", False)
    assert works(service, await sign(alice))
    assert service.provider.principals == set()
    assert error_of(await revoke(alice)) == (400, "invalid_request")


@pytest.mark.parametrize("key", ["", "k" * 1025])
async def test_what_cannot_be_signed_for_makes_nothing(
    service: Service, alice: httpx.AsyncClient, bucket: Bucket, key: str
) -> None:
    assert error_of(await alice.post(f"{FIRST}/sign_blob_url", json={"key": key})) == (400, "invalid_request")
    assert service.provider.principals == set()


async def let_pass(database: str, user: str) -> None:
    """As if all that this user has signed were over."""
    opened = Database(database)
    async with opened.write() as connection:
        of_user = credentials_table.c.owner == user
        await connection.execute(
            update(credentials_table).where(of_user).values(signs_until=now() - timedelta(seconds=1))
        )
    await opened.aclose()
