"""The shapes that the released clients of both generations read: what is answered, byte for byte where they care."""

import json
import re
from datetime import datetime, timedelta
from urllib.parse import quote

import httpx
import pytest

from neuro_buckets import repository
from tests.service.support import BUCKETS, FaultyProvider, Service, create

REQUIRED_OF_CONFIG = {"auth_url", "token_url", "logout_url", "client_id", "audience", "headless_callback_url"}
REQUIRED_OF_CLUSTER = {
    "name", "registry_url", "storage_url", "users_url", "monitoring_url", "secrets_url", "disks_url", "buckets_url",
    "resource_pool_types", "resource_presets", "orgs",
}  # fmt: skip
BUCKET_FIELDS = {"id", "name", "owner", "org_name", "project_name", "provider", "created_at", "imported", "public"}


async def test_config_without_a_token_tells_how_to_log_in_and_no_clusters(nobody: httpx.AsyncClient) -> None:
    config = (await nobody.get("/api/v1/config")).json()
    assert REQUIRED_OF_CONFIG | {"authorized"} == set(config)
    assert config["authorized"] is False


async def test_config_with_a_token_has_all_that_clients_require(alice: httpx.AsyncClient) -> None:
    config = (await alice.get("/api/v1/config")).json()
    assert set(config) >= REQUIRED_OF_CONFIG
    assert config["authorized"] is True
    [cluster] = config["clusters"]
    assert set(cluster) == REQUIRED_OF_CLUSTER | {"idempotency_keys"}
    assert cluster["name"] == "default"
    assert cluster["buckets_url"] == "http://service.test/api/v1/buckets"
    assert cluster["registry_url"] == "http://service.test"
    assert (cluster["resource_pool_types"], cluster["resource_presets"], cluster["orgs"]) == ([], [], ["NO_ORG"])
    project = {"name": "alice", "cluster_name": "default", "org_name": "NO_ORG", "role": "owner"}
    assert config["projects"] == [project]


async def test_config_names_the_public_url_where_one_is_set(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuro_buckets.app import create_app
    from neuro_buckets.config import load_config

    monkeypatch.setenv("NEURO_SERVICE_PUBLIC_URL", "https://buckets.example.com/")
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=tmp_path_factory.mktemp("data")), provider)
    async with app.router.lifespan_context(app):
        service = Service(app, provider)
        async with await service.login("alice") as client:
            config = (await client.get("/api/v1/config")).json()
    assert config["clusters"][0]["buckets_url"] == "https://buckets.example.com/api/v1/buckets"


async def test_config_refuses_a_token_that_is_not_valid(service: Service) -> None:
    answer = await service.client("nonsense").get("/api/v1/config")
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/ping", "/api/v1/ping"])
async def test_ping_answers_pong(nobody: httpx.AsyncClient, path: str) -> None:
    answer = await nobody.get(path)
    assert (answer.status_code, answer.text) == (200, "Pong")


async def test_secured_ping_wants_a_token(alice: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    assert (await alice.get("/api/v1/secured-ping")).text == "Secured Pong"
    assert (await nobody.get("/api/v1/secured-ping")).status_code == 401


async def test_every_answer_says_its_version_and_request(alice: httpx.AsyncClient) -> None:
    for path in ("/ping", "/nowhere", f"{BUCKETS}/absent"):
        headers = (await alice.get(path)).headers
        assert re.fullmatch(r"platform-buckets-api/\d+\.\d+\.\d+", headers["X-Service-Version"])
        assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])


async def test_create_answers_201_with_the_whole_bucket(alice: httpx.AsyncClient) -> None:
    answer = await alice.post(BUCKETS, json={"name": "first"})
    bucket = answer.json()
    assert answer.status_code == 201
    assert set(bucket) == BUCKET_FIELDS
    assert re.fullmatch(r"bucket-[0-9a-f-]{36}", bucket["id"])
    assert datetime.fromisoformat(bucket["created_at"]).utcoffset() == timedelta(0)
    assert bucket["created_at"].endswith("+00:00")
    del bucket["id"], bucket["created_at"]
    assert bucket == {
        "name": "first", "owner": "alice", "org_name": None, "project_name": "alice", "provider": "memory",
        "imported": False, "public": False,
    }  # fmt: skip


@pytest.mark.parametrize("org", [None, "", "NO_ORG"])
@pytest.mark.parametrize("project", [None, "", "alice"])
async def test_every_way_to_say_no_org_and_own_project_is_taken(
    alice: httpx.AsyncClient, org: str | None, project: str | None
) -> None:
    bucket = await create(alice, "first", org_name=org, project_name=project)
    assert bucket["project_name"] == "alice"
    scope = {"org_name": org or "", "project_name": project or ""}
    assert (await alice.get(f"{BUCKETS}/first", params=scope)).json() == bucket


async def test_who_says_no_org_by_name_hears_it_by_name(alice: httpx.AsyncClient) -> None:
    """The released clients compare the org of an answer with their own, as text."""
    bucket = await create(alice, "first", org_name="NO_ORG", project_name="alice")
    scope = {"org_name": "NO_ORG", "project_name": "alice"}
    path = {"path": "NO_ORG/alice/first/key"}
    answers = [
        bucket,
        (await alice.get(f"{BUCKETS}/{bucket['id']}", params=scope)).json(),
        (await alice.get(BUCKETS, params=scope)).json()[0],
        (await alice.get(f"{BUCKETS}/find/by_path", params=path)).json(),
    ]
    assert [answer["org_name"] for answer in answers] == ["NO_ORG"] * 4


@pytest.fixture
def seaweedfs_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service made after this says that its buckets are on SeaweedFS."""
    monkeypatch.setattr(FaultyProvider, "kind", "seaweedfs")


@pytest.mark.parametrize(
    ("user_agent", "told"),
    [
        ("NeuroCLI/23.2.0 (linux)", "minio"),
        ("ApoloCLI/25.5.0 (linux)", "minio"),
        ("ApoloCLI/26.7.2 (linux)", "minio"),
        ("ApoloCLI/26.8.0 (linux)", "seaweedfs"),
        ("ApoloCLI/26.10.0 (linux)", "seaweedfs"),
        ("ApoloCLI/27.1.0 (linux)", "seaweedfs"),
        ("neuro-sdk/0.1.0", "seaweedfs"),
        ("", "seaweedfs"),
    ],
)
@pytest.mark.usefixtures("seaweedfs_kind")
async def test_clients_that_never_heard_of_seaweedfs_hear_minio(
    alice: httpx.AsyncClient, user_agent: str, told: str
) -> None:
    alice.headers["User-Agent"] = user_agent
    bucket = await create(alice, "first")
    ndjson = (await alice.get(BUCKETS, headers={"Accept": "application/x-ndjson"})).text
    answers = [
        bucket,
        (await alice.get(f"{BUCKETS}/first")).json(),
        (await alice.get(f"{BUCKETS}/find/by_path", params={"path": "alice/first"})).json(),
        (await alice.get(BUCKETS)).json()[0],
        json.loads(ndjson),
        (await alice.post(f"{BUCKETS}/first/make_tmp_credentials")).json(),
    ]
    assert [answer["provider"] for answer in answers] == [told] * 6


async def test_get_looks_up_the_id_first_and_then_the_name(alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    assert (await alice.get(f"{BUCKETS}/{bucket['id']}")).json() == bucket
    assert (await alice.get(f"{BUCKETS}/first")).json() == bucket
    assert (await alice.get(f"{BUCKETS}/first", params={"owner": "alice"})).json() == bucket


async def test_get_by_id_needs_no_scope_and_ignores_a_wrong_one(alice: httpx.AsyncClient) -> None:
    bucket = await create(alice)
    scope = {"org_name": "elsewhere", "project_name": "other"}
    assert (await alice.get(f"{BUCKETS}/{bucket['id']}", params=scope)).json()["id"] == bucket["id"]


async def test_unnamed_buckets_are_found_by_their_id(alice: httpx.AsyncClient) -> None:
    one, two = await create(alice), await create(alice)
    assert one["name"] is None
    assert one["id"] != two["id"]
    path = {"path": f"alice/{one['id']}/some/key"}
    assert (await alice.get(f"{BUCKETS}/find/by_path", params=path)).json() == one


async def test_list_is_a_json_array_oldest_first(alice: httpx.AsyncClient) -> None:
    made = [await create(alice, f"bucket{number}") for number in range(3)]
    answer = await alice.get(BUCKETS)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == made


async def test_list_with_a_scope_shows_what_lies_in_it(alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    for scope, found in (
        ({"org_name": "NO_ORG", "project_name": "alice"}, 1),
        ({"owner": "alice"}, 1),
        ({"org_name": "", "project_name": ""}, 1),
        ({"project_name": "other"}, 0),
        ({"org_name": "elsewhere"}, 0),
    ):
        assert len((await alice.get(BUCKETS, params=scope)).json()) == found, scope


async def test_list_as_ndjson_has_one_bucket_a_line(alice: httpx.AsyncClient) -> None:
    made = [await create(alice, f"bucket{number}") for number in range(3)]
    answer = await alice.get(BUCKETS, headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == made


async def test_ndjson_is_streamed_page_by_page_and_ends_with_the_error(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository.buckets, "PAGE_ROWS", 2)
    made = [await create(alice, f"bucket{number}") for number in range(5)]
    pages = service.context.buckets.pages
    asked = 0

    async def failing_pages(*arguments: object) -> object:
        nonlocal asked
        async for page in pages(*arguments):  # type: ignore[arg-type]  # passed on as they came
            asked += 1
            if asked == 3:
                raise repository.RepositoryError("the database does not answer")
            yield page

    monkeypatch.setattr(service.context.buckets, "pages", failing_pages)
    answer = await alice.get(BUCKETS, headers={"Accept": "application/x-ndjson"})
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == made[:4]
    assert last == {"error": "the database does not answer", "code": "database_unavailable"}


async def test_a_list_of_many_pages_has_every_bucket_once(
    alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository.buckets, "PAGE_ROWS", 3)
    made = [await create(alice) for _ in range(9)]
    assert (await alice.get(BUCKETS)).json() == made


@pytest.mark.parametrize("key", ["", "/", "/key", "/a//b", "//lead", "/dir/", "/%2F?#[]", "/..", "/ключ"])
@pytest.mark.parametrize("head", ["alice", "NO_ORG/alice"])
async def test_find_by_path_takes_any_key(alice: httpx.AsyncClient, head: str, key: str) -> None:
    bucket = await create(alice, "first")
    answer = await alice.get(f"{BUCKETS}/find/by_path?path={quote(f'{head}/first{key}')}")
    assert answer.json()["id"] == bucket["id"]


async def test_find_by_path_of_a_key_that_looks_like_a_bucket_finds_the_bucket(alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "alice")
    await create(alice, "first")
    answer = await alice.get(f"{BUCKETS}/find/by_path", params={"path": "alice/alice/first"})
    assert answer.json() == bucket


async def test_delete_answers_204_and_frees_the_name(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    answer = await alice.delete(f"{BUCKETS}/{bucket['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await alice.get(f"{BUCKETS}/first")).status_code == 404
    assert service.provider.names == set()
    await create(alice, "first")


@pytest.mark.parametrize("scope", [{}, {"owner": "alice"}, {"org_name": "NO_ORG", "project_name": "alice"}])
async def test_temporary_credentials_open_exactly_this_bucket(
    service: Service, alice: httpx.AsyncClient, scope: dict[str, str]
) -> None:
    bucket = await create(alice, "first")
    answer = await alice.post(f"{BUCKETS}/first/make_tmp_credentials", params=scope)
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"bucket_id", "provider", "read_only", "credentials"}
    assert (body["bucket_id"], body["provider"], body["read_only"]) == (bucket["id"], "memory", False)
    provider_name = "nb-" + bucket["id"].removeprefix("bucket-").replace("-", "")
    assert body["credentials"]["bucket_name"] == provider_name
    session = service.provider.open(body["credentials"])
    session.put(provider_name, "key", b"body")


async def test_a_signed_url_opens_the_blob_for_anyone(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    credentials = (await alice.post(f"{BUCKETS}/first/make_tmp_credentials")).json()["credentials"]
    service.provider.open(credentials).put(credentials["bucket_name"], "a key", b"body")
    answer = await alice.post(
        f"{BUCKETS}/{bucket['id']}/sign_blob_url",
        params={"owner": "alice"},
        json={"key": "a key", "expires_in_sec": 604800},
    )
    assert (answer.status_code, set(answer.json())) == (200, {"url"})
    assert service.provider.fetch(answer.json()["url"]) == b"body"


async def test_health_says_what_is_not_well(service: Service, nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get("/api/v1/health")
    well = {"status": "ok", "database": "ok", "provider": "ok", "clusters": {"default": "ok"}}
    assert (answer.status_code, answer.json()) == (200, well)
    service.provider.down = True
    answer = await nobody.get("/api/v1/health")
    assert answer.status_code == 503
    unwell = {"provider": "unavailable", "clusters": {"default": "unavailable"}}
    assert answer.json() == {"status": "unavailable", "database": "ok", **unwell}
