"""Importing containers of Azure and buckets of Google Cloud: looked at once with what the caller gave, and where it may be looked."""

import base64
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient, generate_container_sas

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers.endpoint_guard import EndpointGuard
from neuro_buckets.providers.external import ExternalBucket
from tests.azurite_control_fixture import ACCOUNT, Azurite
from tests.gcs_control_fixture import PROJECT, Google
from tests.service.support import BUCKETS, FaultyProvider, Service, error_of

IMPORT = f"{BUCKETS}/import/external"
HERE = EndpointGuard("127.0.0.0/8")


@pytest.fixture
async def service(tmp_path: Path, trusting: None) -> AsyncIterator[Service]:
    """A service that may import from this machine."""
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=tmp_path / "data", import_networks="127.0.0.0/8"), provider)
    async with app.router.lifespan_context(app):
        service = Service(app, provider)
        yield service
        for client in service.clients:
            await client.aclose()


@pytest.fixture
def trusting(azurite_control: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate of Azurite is one of the usual ones."""
    monkeypatch.setenv("SSL_CERT_FILE", azurite_control.authority_file)


@pytest.fixture
def container(azurite_control: Azurite) -> Iterator[tuple[str, BlobServiceClient]]:
    """Somebody's container with a blob in it."""
    client = BlobServiceClient(
        azurite_control.endpoint_url,
        credential={"account_name": ACCOUNT, "account_key": azurite_control.account_key},
        connection_verify=azurite_control.authority_file,
    )
    name = f"theirs-{uuid.uuid4().hex[:12]}"
    client.create_container(name).upload_blob("kept", b"theirs")
    yield name, client
    client.delete_container(name)
    client.close()


def given(azurite: Azurite, **fields: str) -> dict[str, str]:
    return {"storage_endpoint": azurite.endpoint_url, "credential": azurite.account_key, **fields}


def sas_of(azurite: Azurite, name: str, permission: str, **more: Any) -> str:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    return generate_container_sas(
        ACCOUNT, name, azurite.account_key, permission=permission, expiry=more.pop("expiry", ends), **more
    )


def body(provider: str, name: str, credentials: dict[str, str]) -> dict[str, object]:
    return {"name": "mine", "provider": provider, "provider_bucket_name": name, "credentials": credentials}


def everything_in(client: BlobServiceClient, name: str) -> list[str]:
    """Blobs, and what was staged and never committed."""
    return [blob.name for blob in client.get_container_client(name).list_blobs(include=["uncommittedblobs"])]


async def test_a_container_is_imported_with_its_accounts_key_and_nothing_is_left_in_it(
    alice: httpx.AsyncClient, azurite_control: Azurite, container: tuple[str, BlobServiceClient]
) -> None:
    name, client = container
    answer = await alice.post(IMPORT, json=body("azure", name, given(azurite_control)))
    assert answer.status_code == 201, answer.text
    assert answer.json()["provider"] == "azure"
    assert azurite_control.account_key not in answer.text
    assert everything_in(client, name) == ["kept"]
    issued = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()
    assert issued["credentials"] == {**given(azurite_control), "bucket_name": name}
    assert issued["read_only"] is False

    signing = f"{BUCKETS}/mine/sign_blob_url"
    anybody = httpx.AsyncClient(verify=ssl.create_default_context(cafile=azurite_control.authority_file))
    odd = "a b/ü+%?#&=.txt"
    url = (await alice.post(signing, json={"key": odd, "method": "PUT"})).json()["url"]
    assert (await anybody.put(url, content=b"odd", headers={"x-ms-blob-type": "BlockBlob"})).status_code == 201
    for key, content in (("kept", b"theirs"), (odd, b"odd")):
        url = (await alice.post(signing, json={"key": key})).json()["url"]
        assert (await anybody.get(url)).content == content
    await anybody.aclose()


@pytest.mark.parametrize(("permission", "writes"), [("racwdl", True), ("rcwl", True), ("rl", False)])
async def test_a_container_is_imported_with_a_sas_and_it_is_known_whether_it_writes(
    alice: httpx.AsyncClient,
    azurite_control: Azurite,
    container: tuple[str, BlobServiceClient],
    permission: str,
    writes: bool,
) -> None:
    name, client = container
    sas = sas_of(azurite_control, name, permission)
    credentials = {"storage_endpoint": azurite_control.endpoint_url, "sas_token": "?" + sas}
    assert (await alice.post(IMPORT, json=body("azure", name, credentials))).status_code == 201
    assert everything_in(client, name) == ["kept"]
    issued = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()
    assert issued["read_only"] is not writes
    assert issued["credentials"]["sas_token"] == sas
    ends = datetime.fromisoformat(issued["credentials"]["expiry"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
    refused = await alice.post(f"{BUCKETS}/mine/sign_blob_url", json={"key": "kept"})
    assert error_of(refused) == (400, "invalid_request")
    assert "signs nothing" in refused.json()["error"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"credential": base64.b64encode(b"wrong").decode()}, "do not open bucket"),
        ({"credential": "not base64!"}, "credential"),
        ({"credential": ""}, "'credential', or a 'sas_token'"),
        ({"sas_token": "sig=x"}, "not both"),
        ({"credential": "", "sas_token": "nothing"}, "not a shared access signature"),
        ({"credential": "", "sas_token": "se=soon&sig=x"}, "when it ends"),
        ({"storage_endpoint": ""}, "'storage_endpoint' missing"),
        ({"storage_endpoint": "ftp://127.0.0.1:2/a"}, "storage_endpoint"),
        ({"storage_endpoint": "https://me:secret@127.0.0.1:2/a"}, "storage_endpoint"),
        ({"storage_endpoint": "http://127.0.0.1:1/a"}, "storage_endpoint: http://127.0.0.1:1 does not answer"),
        ({"storage_endpoint": "http://169.254.169.254/a"}, "storage_endpoint: '169.254.169.254' is an address inside"),
        ({"storage_endpoint": "http://no-such-host.invalid"}, "no server"),
        ({"access_key_id": "a"}, "'access_key_id' not known"),
    ],
)
async def test_what_does_not_open_the_container_is_told_and_not_kept(
    alice: httpx.AsyncClient,
    azurite_control: Azurite,
    container: tuple[str, BlobServiceClient],
    change: dict[str, str],
    said: str,
) -> None:
    credentials = given(azurite_control, **change)
    answer = await alice.post(IMPORT, json=body("azure", container[0], credentials))
    assert error_of(answer) == (400, "invalid_request")
    assert said in answer.json()["error"]
    assert azurite_control.account_key not in answer.text
    assert (await alice.get(BUCKETS)).json() == []


@pytest.mark.usefixtures("trusting")
def test_an_expired_sas_and_a_container_that_is_not_there_are_told_apart(
    azurite_control: Azurite, container: tuple[str, BlobServiceClient]
) -> None:
    name, _ = container
    old = sas_of(azurite_control, name, "rl", expiry=datetime.now(UTC) - timedelta(minutes=1))
    expired = {"storage_endpoint": azurite_control.endpoint_url, "sas_token": old}
    with pytest.raises(InvalidRequest, match="do not open bucket"):
        ExternalBucket.parse("azure", name, expired).probe(HERE)
    with pytest.raises(InvalidRequest, match="there is no bucket"):
        ExternalBucket.parse("azure", "not-there-at-all", given(azurite_control)).probe(HERE)
    for wrong in ("a--b", "a.b", "Abc"):
        with pytest.raises(InvalidRequest, match="not the name of a container"):
            ExternalBucket.parse("azure", wrong, given(azurite_control))


@pytest.fixture
def theirs(google_cloud: Google) -> tuple[str, str, str]:
    """Somebody's bucket with a blob in it, the address of an account that may write it, and its key."""
    name, account = f"theirs-{uuid.uuid4().hex[:12]}", f"their-{uuid.uuid4().hex[:8]}"
    email = f"{account}@{PROJECT}.iam.gserviceaccount.com"
    google_cloud.add_account(email)
    configuration = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    owner = {"Authorization": f"Bearer {google_cloud.token_of_own()}"}
    with httpx.Client(base_url=google_cloud.url, headers=owner) as client:
        made = {"name": name, "iamConfiguration": configuration}
        client.post("/storage/v1/b", params={"project": PROJECT}, json=made).raise_for_status()
        query = {"uploadType": "media", "name": "kept"}
        client.post(f"/upload/storage/v1/b/{name}/o", params=query, content=b"theirs").raise_for_status()
    let(google_cloud, name, email, "roles/storage.objectUser")
    return name, email, key_data(google_cloud, email)


def let(state: Google, bucket: str, email: str, role: str) -> None:
    state.policies[bucket]["bindings"] = [{"role": role, "members": [f"serviceAccount:{email}"]}]


def key_data(state: Google, email: str, **changes: str) -> str:
    info = {**json.loads(state.key_of(email).json(f"{state.url}/token")), **changes}
    return base64.b64encode(json.dumps(info).encode()).decode()


async def test_a_bucket_of_google_is_imported_with_a_key_and_nothing_is_left_in_it(
    alice: httpx.AsyncClient, google_cloud: Google, theirs: tuple[str, str, str]
) -> None:
    name, _, key = theirs
    credentials = {"key_data": key, "endpoint_url": google_cloud.url}
    answer = await alice.post(IMPORT, json=body("gcp", name, credentials))
    assert answer.status_code == 201, answer.text
    assert key not in answer.text
    issued = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()
    assert issued["credentials"] == {**credentials, "project": PROJECT, "bucket_name": name}
    assert issued["read_only"] is False
    signing = f"{BUCKETS}/mine/sign_blob_url"
    async with httpx.AsyncClient() as anybody:
        odd = "a b/ü+%?#&=.txt"
        url = (await alice.post(signing, json={"key": odd, "method": "PUT"})).json()["url"]
        assert (await anybody.put(url, content=b"odd")).status_code == 200
        for blob, content in (("kept", b"theirs"), (odd, b"odd")):
            url = (await alice.post(signing, json={"key": blob})).json()["url"]
            assert (await anybody.get(url)).content == content


async def test_a_key_that_only_reads_is_known_as_such(
    alice: httpx.AsyncClient, google_cloud: Google, theirs: tuple[str, str, str]
) -> None:
    name, email, key = theirs
    let(google_cloud, name, email, "roles/storage.objectViewer")
    credentials = {"key_data": key, "endpoint_url": google_cloud.url}
    assert (await alice.post(IMPORT, json=body("gcp", name, credentials))).status_code == 201
    assert (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()["read_only"] is True


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token_uri": "http://169.254.169.254/computeMetadata"}, "key_data: token_uri: '169.254.169.254' is an address inside"),
        ({"token_uri": "http://127.0.0.1:1/token"}, "key_data: token_uri: http://127.0.0.1:1 does not answer"),
        ({"token_uri": "file:///etc/passwd"}, "key_data: token_uri: give the address"),
        ({"type": "authorized_user"}, "not the key of a service account"),
        ({"private_key": "none"}, "not the key of a service account"),
    ],
)  # fmt: skip
async def test_a_key_chooses_no_address_inside_and_must_be_one(
    alice: httpx.AsyncClient,
    google_cloud: Google,
    theirs: tuple[str, str, str],
    changes: dict[str, str],
    said: str,
) -> None:
    name, email, _ = theirs
    asked = len(google_cloud.asked)
    key = key_data(google_cloud, email, **changes)
    refused = await alice.post(IMPORT, json=body("gcp", name, {"key_data": key, "endpoint_url": google_cloud.url}))
    assert error_of(refused) == (400, "invalid_request")
    assert said in refused.json()["error"]
    assert key not in refused.text
    assert len(google_cloud.asked) == asked  # the storage was not asked with nothing


async def test_what_does_not_open_the_bucket_is_told_and_not_kept(
    alice: httpx.AsyncClient, google_cloud: Google, theirs: tuple[str, str, str]
) -> None:
    name, email, key = theirs
    wrong = "x" + key
    for credentials, bucket, said in (
        ({"key_data": key}, "not-there-at-all", "bucket 'not-there-at-all'"),
        ({"key_data": wrong}, name, "not the key of a service account"),
        ({"key_data": ""}, name, "'key_data' missing"),
        ({"key_data": key, "project": "x"}, name, "'project' not known"),
    ):
        values = {**credentials, "endpoint_url": google_cloud.url}
        refused = await alice.post(IMPORT, json=body("gcp", bucket, values))
        assert error_of(refused) == (400, "invalid_request")
        assert said in refused.json()["error"]
    del google_cloud.accounts[email]
    refused = await alice.post(IMPORT, json=body("gcp", name, {"key_data": key, "endpoint_url": google_cloud.url}))
    assert "gives no token for this key" in refused.json()["error"]
    assert (await alice.get(BUCKETS)).json() == []


async def test_a_key_is_not_sent_to_where_the_service_may_not_connect(theirs: tuple[str, str, str]) -> None:
    name, _, key = theirs
    with pytest.raises(InvalidRequest, match="private network"):
        ExternalBucket.parse("gcp", name, {"key_data": key}).probe(EndpointGuard())
