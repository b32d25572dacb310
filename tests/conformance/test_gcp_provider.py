"""The provider suite on fake-gcs-server behind a front that knows who may what by Google's documentation; and what only Google can show."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import google.auth.transport.requests
import httpx
import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth.credentials import Credentials as GoogleCredentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from neuro_buckets.errors import Conflict, InvalidRequest, NotFound, ProviderUnavailable
from neuro_buckets.providers import gcp_api
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.gcp import GcpProvider, signature_of
from neuro_buckets.providers.gcp_api import CLOUD_SCOPE, GoogleEndpoints, GoogleProject
from neuro_buckets.providers.gcp_principals import account_id
from neuro_buckets.providers.gcp_signing import signed_url
from tests.conformance.providers import BODY, KEY, PRINCIPAL, SECONDS, Buckets, DataSession, ProviderSuite, Refused
from tests.gcs_control_fixture import ACCESS, OWN, PROJECT, Google

EXCEPTIONS: Mapping[str, str] = {
    "test_a_wrong_secret_is_refused": "a token is all that issued credentials are; shown by a tampered one",
    "test_a_wrong_secret_of_a_principal_is_refused": (
        "a key is a whole file; shown instead by test_a_key_that_is_not_the_accounts_is_refused"
    ),
    "test_a_url_that_a_principal_signs_does_what_both_may_and_ends_with_it": (
        "a project has a hundred service accounts, too few to sign everybody's URLs with; what can be signed with one is shown by"
        " test_a_url_that_a_key_signs_ends_with_it"
    ),
}
"""What the suite asks and Google cannot, by the name of the test."""


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
        with httpx.Client(base_url=self._url, timeout=30, verify=False) as client:
            response = client.request(method, url, content=body, params=query or None, headers=headers)
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
        super().__init__()
        self._state = state

    def refresh(self, request: Any) -> None:
        self.token = self._state.token_of(OWN, 3600)


@pytest.fixture
async def provider(google_cloud: Google) -> AsyncIterator[GcpProvider]:
    provider = GcpProvider(_project(google_cloud))
    yield provider
    await provider.aclose()


class TestGcpProvider(ProviderSuite):
    secret, token, expiration = "key_data", "access_token", "expire_time"

    @pytest.fixture(autouse=True)
    def _excepted(self, request: pytest.FixtureRequest, google_cloud: Google) -> None:
        self.google = google_cloud
        if reason := EXCEPTIONS.get(request.node.originalname):
            pytest.skip(f"{request.node.name}: {reason}")

    @pytest.fixture
    async def provider(self, google_cloud: Google) -> AsyncIterator[BucketProvider]:
        provider = GcpProvider(_project(google_cloud))
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


def _project(state: Google, credentials: Any = None) -> GoogleProject:
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
