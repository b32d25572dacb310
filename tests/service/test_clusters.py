"""Several clusters in one service: what is in one is in that one alone, people and tokens are in all, and none holds up another."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic import command
from alembic.config import Config
from click.testing import CliRunner
from sqlalchemy import Connection, text

from neuro_buckets.app import create_app
from neuro_buckets.commands.admin import admin
from neuro_buckets.config import load_config
from neuro_buckets.errors import ConfigError
from neuro_buckets.repository.database import Database
from neuro_buckets.services import reconcile
from tests.service.serve_program import write_private
from tests.service.support import BUCKETS, CREDENTIALS, FaultyProvider, Service, create, error_of
from tests.service.test_metrics import numbers

OTHER_BUCKETS, OTHER_CREDENTIALS = f"/clusters/other{BUCKETS}", f"/clusters/other{CREDENTIALS}"


@dataclass
class Two(Service):
    """A service of the clusters `main`, its default one, and `other`."""

    @property
    def main(self) -> FaultyProvider:
        return self.provider

    @property
    def other(self) -> FaultyProvider:
        provider = self.context.providers["other"]._provider  # type: ignore[attr-defined]  # the one that is counted
        assert isinstance(provider, FaultyProvider)
        return provider


@asynccontextmanager
async def serving(directory: Path, **providers: FaultyProvider) -> AsyncIterator[Two]:
    app = create_app(load_config(data_dir=directory / "data"), providers)
    async with app.router.lifespan_context(app):
        service = Two(app, next(iter(providers.values())))
        try:
            yield service
        finally:
            for client in service.clients:
                await client.aclose()


@pytest.fixture
async def service(tmp_path: Path, database: str) -> AsyncIterator[Two]:
    async with serving(tmp_path, main=FaultyProvider(), other=FaultyProvider()) as service:
        yield service


async def create_other(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await client.post(OTHER_BUCKETS, json={"name": name})
    assert answer.status_code == 201, answer.text
    bucket: dict[str, Any] = answer.json()
    return bucket


async def on_clusters(
    directory: Path, *arguments: str, tables: Sequence[str] = ("main", "elsewhere")
) -> tuple[int, str]:
    """`neuro admin cluster`, with a configuration of these tables: its exit code, and what it says, without spaces where it is JSON."""
    table = '[clusters.{}]\nprovider = "seaweedfs"\nendpoint_url = "http://127.0.0.1:1"\naccess_key_id = "a"\nsecret_access_key = "b"\n'
    file = write_private(directory / "neuro.toml", "".join(map(table.format, tables)))
    options = ("--config", str(file), "--data", str(directory / "data"))
    done = await asyncio.to_thread(CliRunner().invoke, admin, ["cluster", *arguments, *options])
    return done.exit_code, json.dumps(
        json.loads(done.output), separators=(",", ":")
    ) if "--json" in arguments else done.output


async def test_one_name_is_one_bucket_in_each(service: Two, alice: httpx.AsyncClient) -> None:
    here, there = await create(alice, "photos"), await create_other(alice, "photos")
    assert here["id"] != there["id"]
    assert (len(service.main.names), len(service.other.names)) == (1, 1)
    assert (await alice.get(BUCKETS)).json() == [here]
    assert (await alice.get(OTHER_BUCKETS)).json() == [there]
    assert (await alice.get(f"{BUCKETS}/photos")).json() == here
    assert (await alice.get(f"{OTHER_BUCKETS}/{there['id']}")).json() == there
    assert (await alice.get(f"{OTHER_BUCKETS}/find/by_path?path=alice/photos/key")).json() == there
    assert error_of(await alice.post(OTHER_BUCKETS, json={"name": "photos"})) == (409, "conflict")
    for base, stranger in ((BUCKETS, there), (OTHER_BUCKETS, here)):
        assert error_of(await alice.get(f"{base}/{stranger['id']}")) == (404, "not_found")
        assert error_of(await alice.delete(f"{base}/{stranger['id']}")) == (404, "not_found")
        path = f"alice/{stranger['id']}"
        assert error_of(await alice.get(f"{base}/find/by_path", params={"path": path})) == (404, "not_found")
    assert (await alice.delete(f"{OTHER_BUCKETS}/photos")).status_code == 204
    assert (await alice.get(BUCKETS)).json() == [here]
    assert (len(service.main.names), service.other.names) == (1, set())


async def test_no_credentials_of_one_read_a_bucket_of_another_of_the_same_kind(
    service: Service, alice: httpx.AsyncClient
) -> None:
    here, beside, there = (
        await create(alice, "photos"),
        await create(alice, "beside"),
        await create_other(alice, "photos"),
    )
    for base, own, stranger in ((BUCKETS, here, there), (OTHER_BUCKETS, there, here)):
        path = f"{base}/{own['id']}/make_tmp_credentials"
        assert error_of(await alice.post(path, json={"also_read": [stranger["id"]]})) == (404, "not_found")
        joined = await alice.post(path, json={"also_read": ["photos"]})  # the one of that name here, which is itself
        assert joined.status_code == 200
        assert joined.json()["bucket_id"] == own["id"]
    joined = await alice.post(f"{BUCKETS}/photos/make_tmp_credentials", json={"also_read": [beside["id"]]})
    assert joined.status_code == 200


async def test_the_default_cluster_has_a_path_of_its_own_too(alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "photos")
    assert (await alice.get(f"/clusters/main{BUCKETS}/photos")).json() == bucket


@pytest.mark.parametrize(
    "path",
    [
        f"/clusters/absent{BUCKETS}",
        f"/clusters/Other{BUCKETS}",
        f"/clusters//{BUCKETS}",
        "/clusters/other",
        "/clusters/other/",
        "/clusters/other/api/v1/config",
        "/clusters/other/api/v1/admin/users",
        "/clusters/other/metrics",
        f"/clusters/other/clusters/main{BUCKETS}",
        f"{OTHER_BUCKETS}/../../../admin/users",
    ],
)
async def test_nothing_else_is_under_the_path_of_a_cluster(alice: httpx.AsyncClient, path: str) -> None:
    assert (await alice.get(OTHER_BUCKETS)).status_code == 200
    assert error_of(await alice.get(httpx.URL("http://service.test", raw_path=path.encode()))) == (404, "not_found")


async def test_nobody_without_a_token_is_let_in_by_another_path(nobody: httpx.AsyncClient) -> None:
    assert error_of(await nobody.get(OTHER_BUCKETS)) == (401, "unauthenticated")
    refused = await nobody.put(OTHER_BUCKETS)
    assert error_of(refused) == (405, "method_not_allowed")
    assert refused.headers["Allow"] == "HEAD, GET, POST"


async def test_the_configuration_has_each_with_its_address_and_all_projects_in_each(
    service: Two, alice: httpx.AsyncClient
) -> None:
    await service.context.people.add_org("acme")
    await service.context.people.add_project("acme", "web")
    admin = service.client(await service.token("root"))
    await service.context.people.put_user("root", is_admin=True)
    shared = await admin.put(
        "/api/v1/buckets/project/shares/alice?org_name=acme&project_name=web", json={"role": "reader"}
    )
    assert shared.status_code == 200
    config = (await alice.get("/api/v1/config")).json()
    assert [(one["name"], one["buckets_url"], one["orgs"]) for one in config["clusters"]] == [
        ("main", "http://service.test/api/v1/buckets", ["NO_ORG", "acme"]),
        ("other", "http://service.test/clusters/other/api/v1/buckets", ["NO_ORG", "acme"]),
    ]
    assert [(one["cluster_name"], one["name"], one["role"]) for one in config["projects"]] == [
        ("main", "alice", "owner"),
        ("main", "web", "reader"),
        ("other", "alice", "owner"),
        ("other", "web", "reader"),
    ]


async def test_credentials_open_what_is_in_their_cluster(service: Two, alice: httpx.AsyncClient) -> None:
    await create(alice, "photos")
    await create_other(alice, "photos")
    for provider, base in ((service.main, BUCKETS), (service.other, OTHER_BUCKETS)):
        issued = (await alice.post(f"{base}/photos/make_tmp_credentials")).json()["credentials"]
        provider.open(issued).put(issued["bucket_name"], "key", base.encode())
        url = (await alice.post(f"{base}/photos/sign_blob_url", json={"key": "key"})).json()["url"]
        assert provider.fetch(url) == base.encode()


async def test_persistent_credentials_are_within_one(service: Two, alice: httpx.AsyncClient) -> None:
    here, there = await create(alice, "photos"), await create_other(alice, "photos")
    made = {}
    for base, bucket in ((CREDENTIALS, here), (OTHER_CREDENTIALS, there)):
        answer = await alice.post(base, json={"name": "tool", "bucket_ids": [bucket["id"]]})
        assert answer.status_code == 201, answer.text
        made[base] = answer.json()
        assert (await alice.get(base)).json() == [made[base]]
    mixed = await alice.post(CREDENTIALS, json={"bucket_ids": [here["id"], there["id"]]})
    assert error_of(mixed) == (404, "not_found")
    assert error_of(await alice.get(f"{CREDENTIALS}/{made[OTHER_CREDENTIALS]['id']}")) == (404, "not_found")
    assert (await alice.delete(f"{OTHER_CREDENTIALS}/tool")).status_code == 204
    assert (len(service.main.principals), len(service.other.principals)) == (1, 0)
    assert (await alice.get(f"{CREDENTIALS}/tool")).json() == made[CREDENTIALS]


async def test_urls_are_taken_back_in_one_and_stay_in_the_other(service: Two, alice: httpx.AsyncClient) -> None:
    urls = {}
    for base in (BUCKETS, OTHER_BUCKETS):
        await alice.post(base, json={"name": "photos"})
        urls[base] = (await alice.post(f"{base}/photos/sign_blob_url", json={"key": "key", "method": "PUT"})).json()
    assert (await alice.delete(f"{OTHER_BUCKETS}/photos/signed_urls")).status_code == 204
    assert (len(service.main.principals), len(service.other.principals)) == (1, 0)
    service.main.store(urls[BUCKETS]["url"], b"body")


async def test_a_role_on_a_project_is_for_all_and_a_role_on_a_bucket_for_that_one(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await create(alice, "photos")
    await create_other(alice, "photos")
    project = "?project_name=alice"
    assert (await alice.put(f"{BUCKETS}/photos/shares/bob", json={"role": "reader"})).status_code == 200
    assert (await bob.get(f"{BUCKETS}/photos{project}")).status_code == 200
    assert error_of(await bob.get(f"{OTHER_BUCKETS}/photos{project}")) == (404, "not_found")
    await alice.delete(f"{BUCKETS}/photos/shares/bob")
    assert (await alice.put("/api/v1/buckets/project/shares/bob", json={"role": "reader"})).status_code == 200
    for base in (BUCKETS, OTHER_BUCKETS):
        assert (await bob.get(f"{base}/photos{project}")).status_code == 200
        assert [one["name"] for one in (await bob.get(base)).json()] == ["photos"]


async def test_a_role_that_is_taken_is_taken_in_all_and_where_one_is_down_as_soon_as_it_is_not(
    service: Two, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await alice.put("/api/v1/buckets/project/shares/bob", json={"role": "writer"})
    for base, credentials in ((BUCKETS, CREDENTIALS), (OTHER_BUCKETS, OTHER_CREDENTIALS)):
        bucket = (await alice.post(base, json={"name": "photos"})).json()
        assert (await bob.post(credentials, json={"bucket_ids": [bucket["id"]]})).status_code == 201
    service.main.down = True
    assert (await alice.delete("/api/v1/buckets/project/shares/bob")).status_code == 204
    assert (len(service.main.principals), service.other.principals) == (1, set())
    service.main.down = False
    await service.context.reconciler.run_once()
    assert service.main.principals == set()


async def test_a_user_with_a_bucket_in_any_cannot_be_removed(service: Two, alice: httpx.AsyncClient) -> None:
    await create_other(alice, "photos")
    root = await service.login("root")
    await service.context.people.put_user("root", is_admin=True)
    assert error_of(await root.delete("/api/v1/admin/users/alice")) == (409, "conflict")


async def test_a_key_that_was_sent_to_one_is_another_request_in_the_other(alice: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    made = await alice.post(OTHER_BUCKETS, json={"name": "photos"}, headers=key)
    again = await alice.post(OTHER_BUCKETS, json={"name": "photos"}, headers=key)
    assert (again.status_code, again.json()) == (201, made.json())
    assert error_of(await alice.post(BUCKETS, json={"name": "photos"}, headers=key)) == (422, "key_reused")


async def test_numbers_the_audit_log_and_health_say_which(service: Two, alice: httpx.AsyncClient) -> None:
    await create_other(alice, "photos")
    await create(alice, "photos")
    service.other.down = True
    assert error_of(await alice.post(OTHER_BUCKETS, json={"name": "more"})) == (503, "provider_unavailable")
    found = await numbers(alice)
    assert found["neuro_provider_calls_total", "create_bucket", "main"] == 1
    assert found["neuro_provider_calls_total", "create_bucket", "other"] == 2
    assert ("neuro_provider_failures_total", "create_bucket", "main") not in found or not found[
        "neuro_provider_failures_total", "create_bucket", "main"
    ]
    assert found["neuro_provider_failures_total", "create_bucket", "other"] == 1
    assert found["neuro_unsettled_rows", "main", "buckets"] == 0
    assert found["neuro_unsettled_rows", "other", "buckets"] == 1
    assert found["neuro_requests_total", "POST", BUCKETS, "201"] == 2
    health = await alice.get("/api/v1/health")
    assert (health.status_code, health.json()["status"], health.json()["provider"]) == (200, "degraded", "unavailable")
    assert health.json()["clusters"] == {"main": "ok", "other": "unavailable"}
    service.main.down = True
    assert (await alice.get("/api/v1/health")).status_code == 503
    entries = await service.context.audit.page(limit=10, user="alice")
    assert [(one.action, one.cluster, one.asked_for, one.status) for one in reversed(entries)] == [
        ("create_bucket", "other", "photos", 201),
        ("create_bucket", "main", "photos", 201),
        ("create_bucket", "other", "more", 503),
    ]


async def until_unsettled(service: Service, wanted: dict[tuple[str, str], int]) -> None:
    async with asyncio.timeout(10):
        while await service.context.repository.census.unsettled() != wanted:
            await asyncio.sleep(0.05)


async def test_one_that_is_down_holds_up_no_other(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(reconcile, "FIRST_ROUND_SECONDS", 0.2)
    monkeypatch.setattr(reconcile, "LEASE", reconcile.LEASE * 0)
    main, other = FaultyProvider(), FaultyProvider()
    async with serving(tmp_path, main=main, other=other) as service:
        alice = await service.login("alice")
        main.down = other.down = True
        for base in (BUCKETS, OTHER_BUCKETS):
            assert error_of(await alice.post(base, json={"name": "photos"})) == (503, "provider_unavailable")
    main.gate.clear()  # it answers nothing at all
    main.down = other.down = False
    async with serving(tmp_path, main=main, other=other) as service:
        alice = await service.login("alice")
        assert (await alice.get(OTHER_BUCKETS)).json() == (await alice.get(BUCKETS)).json() == []
        await until_unsettled(service, {("main", "buckets"): 1})
        await create_other(alice, "photos")
        main.gate.set()
        await until_unsettled(service, {})
        await create(alice, "photos")


async def test_one_that_is_not_configured_any_more_is_not_forgotten_by_itself(tmp_path: Path, database: str) -> None:
    main, other = FaultyProvider(), FaultyProvider()
    async with serving(tmp_path, main=main, other=other) as service:
        alice = await service.login("alice")
        bucket = await create_other(alice, "photos")
        made = await alice.post(OTHER_CREDENTIALS, json={"name": "tool", "bucket_ids": [bucket["id"]]})
        assert made.status_code == 201
        assert (await alice.put(f"{OTHER_BUCKETS}/photos/shares/root", json={"role": "reader"})).status_code == 404
        await service.login("root")
        assert (await alice.put(f"{OTHER_BUCKETS}/photos/shares/root", json={"role": "reader"})).status_code == 200
    with pytest.raises(ConfigError, match="1 buckets and 1 credentials in 'other', which is not configured") as refused:
        async with serving(tmp_path, main=main):
            pass
    assert "neuro admin cluster rename other NEW" in str(refused.value)
    assert len(other.names) == 1
    assert await on_clusters(tmp_path, "list", "--json") == (0, '[{"name":"other","buckets":"1","credentials":"1"}]')
    assert "no 'absent'" in (await on_clusters(tmp_path, "rename", "other", "absent"))[1]
    assert "in a cluster 'absent'" in (await on_clusters(tmp_path, "rename", "absent", "main"))[1]
    assert (await on_clusters(tmp_path, "rename", "other", "elsewhere"))[0] == 0
    async with serving(tmp_path, main=main, elsewhere=other) as service:
        alice = await service.login("alice")
        assert (await alice.get(f"/clusters/elsewhere{BUCKETS}")).json() == [bucket]
        assert (await alice.get(f"/clusters/elsewhere{CREDENTIALS}/tool")).json() == made.json()
    assert "remove its table" in (await on_clusters(tmp_path, "forget", "elsewhere", "--yes"))[1]
    assert (await on_clusters(tmp_path, "forget", "elsewhere", "--yes", tables=("main",)))[0] == 0
    assert await on_clusters(tmp_path, "list", "--json") == (0, "[]")
    async with serving(tmp_path, main=main) as service:
        alice = await service.login("alice")
        assert (await alice.get(BUCKETS)).json() == []
        await create(alice, "photos")


async def test_one_whose_storage_is_of_another_kind_now_is_refused(tmp_path: Path, database: str) -> None:
    async with serving(tmp_path, main=FaultyProvider()) as service:
        await create(await service.login("alice"), "photos")
    changed = FaultyProvider()
    changed.kind = "minio"
    with pytest.raises(ConfigError, match="configured as 'minio', and they were made in memory"):
        async with serving(tmp_path, main=changed):
            pass


async def test_what_was_there_before_clusters_had_names_is_in_the_default_one(tmp_path: Path, database: str) -> None:
    def as_it_was(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "neuro_buckets:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        when = "2026-01-02 03:04:05+00:00" if "postgresql" in database else "2026-01-02 03:04:05.000000"
        id_ = "bucket-00000000-0000-4000-8000-000000000000"
        connection.execute(text(f"INSERT INTO users VALUES ('alice', false, '{when}')"))
        connection.execute(
            text(
                "INSERT INTO buckets (id, name, owner, org_name, project_name, provider, provider_name, created_at, imported, public,"
                f" state, lease_until, read_only) VALUES ('{id_}', 'photos', 'alice', '', 'alice', 'memory', 'nb-0', '{when}', false,"
                f" false, 'active', '{when}', false)"
            )
        )

    old = Database(database)
    async with old.migrate() as connection:
        await connection.run_sync(as_it_was)
    await old.aclose()
    async with serving(tmp_path, main=FaultyProvider(), other=FaultyProvider()) as service:
        alice = await service.login("alice")
        [bucket] = (await alice.get(BUCKETS)).json()
        assert (bucket["name"], (await alice.get(OTHER_BUCKETS)).json()) == ("photos", [])
    async with serving(tmp_path, other=FaultyProvider(), main=FaultyProvider()) as service:
        alice = await service.login("alice")
        assert (await alice.get(BUCKETS)).json() == [], "the default one is another now"
        assert (await alice.get(f"/clusters/main{BUCKETS}")).json() == [bucket]
