"""The provider suite on fake-gcs-server behind a front that knows who may what by Google's documentation; and what only Google can show."""

import asyncio
import base64
import http.client
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import google.auth.transport.requests
import httpx
import pytest
from google.auth.credentials import Credentials as GoogleCredentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from neuro_buckets.errors import ConfigError, Conflict, InvalidRequest, ProviderUnavailable
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.gcp import GcpProvider
from neuro_buckets.providers.gcp_api import CLOUD_SCOPE, GoogleEndpoints, GoogleProject, load_credentials
from neuro_buckets.providers.gcp_principals import account_id
from tests.conformance.providers import BODY, KEY, PRINCIPAL, SECONDS, Buckets, DataSession, ProviderSuite, Refused
from tests.gcs_control_fixture import ACCESS, OWN, PROJECT, Google


class GoogleData(DataSession):
    """Buckets through the JSON API, with the values as they were issued."""

    def __init__(self, url: str, values: Mapping[str, str], *, own_token: str = "") -> None:
        self._url = url
        self._values = values
        self._token = own_token or values.get("access_token", "")

    def get(self, bucket: str, key: str) -> bytes:
        return self._ask("GET", _object(bucket, key), alt="media").content

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._ask("POST", f"/upload/storage/v1/b/{bucket}/o", body, uploadType="media", name=key)

    def delete(self, bucket: str, key: str) -> None:
        self._ask("DELETE", _object(bucket, key))

    def list(self, bucket: str) -> list[str]:
        return [item["name"] for item in self._ask("GET", f"/storage/v1/b/{bucket}/o").json().get("items", [])]

    def head(self, bucket: str, key: str) -> int:
        return int(self._ask("GET", _object(bucket, key)).json()["size"])

    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
        to = _object(bucket, key).removeprefix("/storage/v1")
        self._ask("POST", f"{_object(source_bucket, source_key)}/rewriteTo{to}")

    def multipart(self, bucket: str, key: str, body: bytes) -> None:
        self._ask("PUT", self._begin(bucket, key), body)

    def begin(self, bucket: str, key: str) -> None:
        self._begin(bucket, key)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(bucket, key)

    def put_policy(self, bucket: str) -> None:
        policy = self._ask("GET", f"/storage/v1/b/{bucket}/iam").json()
        self._ask("PUT", f"/storage/v1/b/{bucket}/iam", json.dumps(policy).encode())

    def make_bucket(self, bucket: str) -> None:
        configuration = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        body = json.dumps({"name": bucket, "iamConfiguration": configuration}).encode()
        self._ask("POST", "/storage/v1/b", body, project=PROJECT)

    def remove_bucket(self, bucket: str) -> None:
        self._ask("DELETE", f"/storage/v1/b/{bucket}")

    def _begin(self, bucket: str, key: str) -> str:
        url = f"/upload/storage/v1/b/{bucket}/o"
        return self._ask("POST", url, b"{}", uploadType="resumable", name=key).headers["Location"]

    def _ask(self, method: str, url: str, body: bytes | None = None, **query: str) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token := self._bearer():
            headers["Authorization"] = f"Bearer {token}"
        path = url.removeprefix(self._url) + (f"?{urlencode(query)}" if query else "")
        # Not httpx: a client of it takes longer to make than all the rest.
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            response = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
        finally:
            connection.close()
        if response.status_code in (401, 403):
            raise Refused
        assert response.status_code < 300, response.text
        return response

    def _bearer(self) -> str:
        """A token by the key, for an hour, as Google's own libraries get it."""
        if not self._token and "key_data" in self._values:
            info = json.loads(base64.b64decode(self._values["key_data"]))
            credentials = service_account.Credentials.from_service_account_info(info, scopes=[CLOUD_SCOPE])
            request = google.auth.transport.requests.Request()
            try:
                credentials.refresh(request)
            except GoogleAuthError as error:
                raise Refused from error
            finally:
                request.session.close()
            self._token = credentials.token
        return self._token


class OwnCredentials(GoogleCredentials):
    """Ours, as the machine that we run on has them: a token, and no key."""

    def __init__(self, state: Google) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._state = state

    def refresh(self, request: Any) -> None:
        self.token = self._state.token_of(OWN, 3600)


class UnknownCredentials(OwnCredentials):
    """Some that Google does not know."""

    def refresh(self, request: Any) -> None:
        self.token = "hidden-token"


@pytest.fixture
async def provider(google_cloud: Google) -> AsyncIterator[GcpProvider]:
    provider = GcpProvider(project_at(google_cloud))
    yield provider
    await provider.aclose()


class TestGcpProvider(ProviderSuite):
    engine_name = "google"
    secret, token, expiration = "key_data", "access_token", "expire_time"

    @pytest.fixture(autouse=True)
    def _google(self, google_cloud: Google) -> None:
        self.google = google_cloud

    @pytest.fixture
    async def provider(self, google_cloud: Google) -> AsyncIterator[BucketProvider]:
        provider = GcpProvider(project_at(google_cloud))
        yield provider
        await provider.aclose()

    def open(self, provider: BucketProvider, values: Mapping[str, str]) -> GoogleData:
        assert values["project"] == PROJECT
        return GoogleData(values["endpoint_url"], values)

    def open_anonymous(self, provider: BucketProvider) -> GoogleData:
        return GoogleData(self.google.url, {})

    async def administrator(self, provider: BucketProvider, buckets: Buckets) -> GoogleData:
        return _administrator(self.google)

    async def fetch(self, provider: BucketProvider, url: str) -> bytes:
        return (await _ask("GET", url)).content

    async def store(self, provider: BucketProvider, url: str, body: bytes) -> None:
        await _ask("PUT", url, body)


def project_at(state: Google, credentials: Any = None) -> GoogleProject:
    endpoints = GoogleEndpoints(state.url, state.url, state.url, state.url)
    return GoogleProject(PROJECT, credentials or OwnCredentials(state), ACCESS, "EU", endpoints)


def _administrator(state: Google) -> GoogleData:
    return GoogleData(state.url, {}, own_token=state.token_of(OWN, 3600))


def _object(bucket: str, key: str) -> str:
    return f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}"


async def _ask(method: str, url: str, body: bytes = b"") -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:
        response = await client.request(method, url, content=body)
    if response.status_code in (401, 403):
        raise Refused
    assert response.status_code == 200, response.text
    return response


@pytest.fixture
async def made(provider: GcpProvider, google_cloud: Google) -> AsyncIterator[GoogleData]:
    """Two buckets with a blob in each; and whoever owns them."""
    admin = _administrator(google_cloud)
    for name in ("first-bucket", "second-bucket"):
        await provider.create_bucket(name)
        await asyncio.to_thread(admin.put, name, KEY, BODY)
    yield admin
    await provider.delete_principal(PRINCIPAL)
    for name in ("first-bucket", "second-bucket"):
        google_cloud.policies[name]["bindings"] = []


async def test_a_token_is_traded_for_one_that_does_exactly_what_was_granted(
    provider: GcpProvider, google_cloud: Google
) -> None:
    """The words of the exchange, as Google documents them: one rule a bucket, a role in each, and no condition."""
    google_cloud.asked.clear()
    grants = [Grant("first-bucket", Access.READ), Grant("second-bucket", Access.READ_WRITE)]
    issued = await provider.issue_credentials(grants, SECONDS)

    (_, generate, lifetime), (method, path, form) = google_cloud.asked
    assert generate == f"/v1/projects/-/serviceAccounts/{ACCESS}:generateAccessToken"
    assert lifetime == {"scope": [CLOUD_SCOPE], "lifetime": "900s"}
    assert (method, path) == ("POST", "/v1/token")
    token_type = ["urn:ietf:params:oauth:token-type:access_token"]
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:token-exchange"]
    assert form["subject_token_type"] == form["requested_token_type"] == token_type
    assert json.loads(unquote(form["options"][0])) == {
        "accessBoundary": {
            "accessBoundaryRules": [
                {
                    "availableResource": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
                    "availablePermissions": [f"inRole:roles/storage.{role}"],
                }
                for bucket, role in (("first-bucket", "objectViewer"), ("second-bucket", "objectUser"))
            ]
        }
    }
    assert set(issued.values) == {"project", "endpoint_url", "access_token", "expire_time"}


async def test_a_bucket_is_made_for_one_set_of_rights_and_for_nobody_else(
    provider: GcpProvider, google_cloud: Google
) -> None:
    google_cloud.asked.clear()
    await provider.create_bucket("third-bucket")
    assert google_cloud.asked == [
        (
            "POST",
            "/storage/v1/b",
            {
                "name": "third-bucket",
                "location": "EU",
                "iamConfiguration": {
                    "uniformBucketLevelAccess": {"enabled": True},
                    "publicAccessPrevention": "enforced",
                },
            },
        )
    ]
    await provider.delete_bucket("third-bucket")


async def test_a_bucket_of_somebody_elses_project_is_a_conflict(
    provider: GcpProvider, google_cloud: Google, made: GoogleData
) -> None:
    """Names are everybody's. The engine knows one project, so the front forgets that this one is in it."""
    kept = google_cloud.policies.pop("first-bucket")
    try:
        with pytest.raises(Conflict, match="first-bucket belongs to somebody else"):
            await provider.create_bucket("first-bucket")
    finally:
        google_cloud.policies["first-bucket"] = kept


@pytest.mark.usefixtures("made")
async def test_a_principal_is_an_account_with_a_role_on_exactly_its_buckets(
    provider: GcpProvider, google_cloud: Google
) -> None:
    email = f"{account_id(PRINCIPAL)}@{PROJECT}.iam.gserviceaccount.com"
    assert len(account_id(PRINCIPAL)) == 30
    google_cloud.policies["first-bucket"]["bindings"] = [
        {"role": "roles/storage.objectViewer", "members": ["deleted:serviceAccount:nb-gone@x?uid=1", "user:else@x"]}
    ]
    google_cloud.not_known_for = 2  # a new account is not known everywhere at once
    grants = [Grant("first-bucket", Access.READ), Grant("second-bucket", Access.READ_WRITE)]
    await provider.create_principal(PRINCIPAL, grants)
    assert google_cloud.accounts[email]["displayName"] == PRINCIPAL
    assert google_cloud.accounts[email]["description"] == "first-bucket second-bucket"
    assert _bindings(google_cloud, "first-bucket") == {
        "roles/storage.objectViewer": ["user:else@x", f"serviceAccount:{email}"]
    }, "what is left of those who are gone is swept away, and others stay"
    assert _bindings(google_cloud, "second-bucket") == {"roles/storage.objectUser": [f"serviceAccount:{email}"]}

    await provider.grant(PRINCIPAL, [Grant("second-bucket", Access.READ)])
    assert google_cloud.accounts[email]["description"] == "second-bucket"
    assert _bindings(google_cloud, "first-bucket") == {"roles/storage.objectViewer": ["user:else@x"]}
    assert _bindings(google_cloud, "second-bucket") == {"roles/storage.objectViewer": [f"serviceAccount:{email}"]}

    await provider.delete_principal(PRINCIPAL)
    assert email not in google_cloud.accounts
    assert _bindings(google_cloud, "second-bucket") == {}


@pytest.mark.usefixtures("made")
async def test_more_buckets_than_fit_are_refused_and_nothing_is_begun(
    provider: GcpProvider, google_cloud: Google
) -> None:
    ours = [Grant(f"nb-{number:032}", Access.READ) for number in range(11)]
    before = len(google_cloud.accounts)
    with pytest.raises(InvalidRequest, match="for 8 buckets"):
        await provider.create_principal(PRINCIPAL, ours[:8])
    assert len(google_cloud.accounts) == before
    with pytest.raises(InvalidRequest, match="11 buckets is more than the 10"):
        await provider.issue_credentials(ours, SECONDS)
    await provider.issue_credentials(ours[:10], SECONDS)

    await provider.create_principal(PRINCIPAL, [Grant("first-bucket", Access.READ)])
    with pytest.raises(InvalidRequest, match="buckets is more"):
        await provider.grant(PRINCIPAL, ours[:8])
    assert len(_bindings(google_cloud, "first-bucket")) == 1


@pytest.mark.usefixtures("made")
async def test_a_key_that_is_not_the_accounts_is_refused(provider: GcpProvider, google_cloud: Google) -> None:
    values = (await provider.create_principal(PRINCIPAL, [Grant("first-bucket", Access.READ)]))["first-bucket"]
    assert GoogleData(google_cloud.url, values).get("first-bucket", KEY) == BODY
    info = json.loads(base64.b64decode(values["key_data"]))
    info["private_key"] = json.loads(google_cloud.key_of(OWN).json(""))["private_key"]
    wrong = {**values, "key_data": base64.b64encode(json.dumps(info).encode()).decode()}
    with pytest.raises(Refused):
        GoogleData(google_cloud.url, wrong).get("first-bucket", KEY)


@pytest.mark.usefixtures("made")
async def test_a_url_that_a_key_signs_ends_with_it(provider: GcpProvider) -> None:
    signer = (await provider.create_principal(PRINCIPAL, [Grant("first-bucket", Access.READ)]))["first-bucket"]
    url = await provider.sign_url("first-bucket", KEY, 60, signer=signer)
    assert (await _ask("GET", url)).content == BODY
    with pytest.raises(Refused):
        await _ask("PUT", await provider.sign_url("first-bucket", KEY, 60, put=True, signer=signer), b"new")
    with pytest.raises(Refused):
        await _ask("GET", await provider.sign_url("second-bucket", KEY, 60, signer=signer))

    await provider.delete_principal(PRINCIPAL)

    with pytest.raises(Refused):
        await _ask("GET", url)


@pytest.mark.usefixtures("made")
async def test_our_own_key_signs_without_asking_and_without_one_the_access_account_does(
    provider: GcpProvider, google_cloud: Google
) -> None:
    google_cloud.asked.clear()
    assert (await _ask("GET", await provider.sign_url("first-bucket", KEY, 60))).content == BODY
    assert [path for _, path, _ in google_cloud.asked] == [f"/v1/projects/-/serviceAccounts/{ACCESS}:signBlob"]

    info = json.loads(google_cloud.key_of(OWN).json(f"{google_cloud.url}/token"))
    ours = service_account.Credentials.from_service_account_info(info, scopes=[CLOUD_SCOPE])
    with_key = GcpProvider(project_at(google_cloud, ours))
    google_cloud.asked.clear()
    url = await with_key.sign_url("first-bucket", KEY, 60)
    assert google_cloud.asked == []
    assert (await _ask("GET", url)).content == BODY
    await with_key.check()
    await with_key.aclose()


async def test_our_key_is_read_from_a_file(
    google_cloud: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.json"
    file.write_text(google_cloud.key_of(OWN).json(f"{google_cloud.url}/token"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    for credentials in (load_credentials(str(file)), load_credentials()):
        provider = GcpProvider(project_at(google_cloud, credentials))
        await provider.check()
        await provider.aclose()
    for content in ("", "{}", '{"type": "service_account", "private_key": "hidden"}'):
        file.write_text(content)
        with pytest.raises(ConfigError, match=str(file)) as raised:
            load_credentials(str(file))
        assert "hidden" not in str(raised.value)


async def test_public_access_is_prevented_as_such_while_it_is_off(
    provider: GcpProvider, google_cloud: Google, made: GoogleData
) -> None:
    for public in (True, False):
        await provider.set_public_access("first-bucket", public)
        prevention = google_cloud.configurations["first-bucket"]["publicAccessPrevention"]
        assert prevention == ("inherited" if public else "enforced")
        everybody = {"roles/storage.objectViewer": ["allUsers"]} if public else {}
        assert _bindings(google_cloud, "first-bucket") == everybody

    google_cloud.org_prevents_public = True
    try:
        with pytest.raises(InvalidRequest, match="first-bucket cannot be public"):
            await provider.set_public_access("first-bucket", True)
    finally:
        google_cloud.org_prevents_public = False
        await provider.set_public_access("first-bucket", False)


async def test_rights_that_others_change_meanwhile_are_kept(
    provider: GcpProvider, google_cloud: Google, made: GoogleData
) -> None:
    names = [f"{PRINCIPAL}-{number}" for number in range(4)]
    await asyncio.gather(*(provider.create_principal(name, [Grant("first-bucket", Access.READ)]) for name in names))
    assert len(_bindings(google_cloud, "first-bucket")["roles/storage.objectViewer"]) == len(names)
    await asyncio.gather(*(provider.delete_principal(name) for name in names))
    assert _bindings(google_cloud, "first-bucket") == {}


@pytest.mark.parametrize("name", ["*", "a/b", "UPPER", "ab", "a.b", "-ab", "ab-", "a" * 64, "a?b"])
async def test_a_name_that_is_no_buckets_is_refused(provider: GcpProvider, name: str) -> None:
    for call in (
        provider.create_bucket(name),
        provider.delete_bucket(name),
        provider.set_public_access(name, True),
        provider.sign_url(name, "key", 60),
        provider.issue_credentials([Grant(name, Access.READ)], SECONDS),
        provider.create_principal(PRINCIPAL, [Grant(name, Access.READ)]),
    ):
        with pytest.raises(InvalidRequest, match="not a bucket name"):
            await call


@pytest.mark.parametrize("seconds", [0, 59, 3601])
async def test_a_token_lasts_a_minute_to_an_hour(provider: GcpProvider, seconds: int) -> None:
    await provider.issue_credentials([Grant("first-bucket", Access.READ)], 3600)
    with pytest.raises(InvalidRequest, match="60 to 3600"):
        await provider.issue_credentials([Grant("first-bucket", Access.READ)], seconds)


async def test_an_access_account_that_is_not_there_is_told(google_cloud: Google) -> None:
    project = replace(project_at(google_cloud), access_account="nobody@a-project.iam.gserviceaccount.com")
    provider = GcpProvider(project)
    with pytest.raises(ProviderUnavailable, match="no service account nobody@"):
        await provider.issue_credentials([Grant("first-bucket", Access.READ)], SECONDS)
    await provider.aclose()


async def test_credentials_of_ours_that_are_refused_are_told_and_not_shown(google_cloud: Google) -> None:
    provider = GcpProvider(project_at(google_cloud, UnknownCredentials(google_cloud)))
    for call in (
        provider.check(),
        provider.create_bucket("refused-bucket"),
        provider.issue_credentials([Grant("refused-bucket", Access.READ)], SECONDS),
        provider.create_principal(PRINCIPAL, [Grant("refused-bucket", Access.READ)]),
    ):
        with pytest.raises(ProviderUnavailable, match="refuse") as raised:
            await call
        assert "hidden-token" not in str(raised.value)
    await provider.aclose()


async def test_a_storage_that_does_not_answer_is_unavailable(google_cloud: Google) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        nowhere = f"http://127.0.0.1:{held.getsockname()[1]}"
        endpoints = GoogleEndpoints(nowhere, nowhere, nowhere, nowhere)
        provider = GcpProvider(replace(project_at(google_cloud), endpoints=endpoints))
        for call in (
            provider.check(),
            provider.create_bucket("any-bucket"),
            provider.delete_bucket("any-bucket"),
            provider.issue_credentials([Grant("any-bucket", Access.READ)], SECONDS),
        ):
            with pytest.raises(ProviderUnavailable, match="does not answer"):
                await call
        await provider.aclose()


async def test_closing_twice_leaves_no_thread(google_cloud: Google) -> None:
    provider = GcpProvider(project_at(google_cloud))
    await provider.check()
    threads = set(provider._threads._threads)
    await provider.aclose()
    await provider.aclose()
    assert threads
    assert not any(thread.is_alive() for thread in threads)


def _bindings(state: Google, bucket: str) -> dict[str, list[str]]:
    return {one["role"]: one["members"] for one in state.policies[bucket]["bindings"]}
