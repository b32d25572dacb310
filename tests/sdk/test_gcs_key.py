"""A service-account key is exchanged for tokens, at a server of tokens that verifies what was signed as Google says it is verified."""

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from neuro_sdk import AuthenticationError, BadGateway, ConfigError, IllegalArgumentError
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from tests.sdk.gcs_helpers import BUCKET, Asked, blob, refused, script, told
from tests.sdk.http_servers import serving

EMAIL = "bucket-writer@project.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def key_data(key: RSAPrivateKey, token_uri: str, **changed: str) -> str:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    row = {
        "type": "service_account",
        "private_key_id": "kid",
        "private_key": pem,
        "client_email": EMAIL,
        "token_uri": token_uri,
    }
    return base64.b64encode(json.dumps({**row, **changed}).encode()).decode()


class Google:
    """Storage and server of tokens in one; tokens are numbered."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.public = key.public_key()
        self.seen: list[Asked] = []
        self.exchanges: list[Mapping[str, object]] = []
        self.taken = {"token-1"}
        self.lifetime_seconds = 3600
        self.now = time.time
        self.answers: list[bytes] = []

    def answer(self, asked: Asked) -> bytes:
        if asked.path != "/oauth/token":
            good = asked.headers["authorization"].removeprefix("Bearer ") in self.taken
            return told(blob()) if good else refused(401, "authError", "Invalid Credentials")
        if self.answers:
            return self.answers.pop(0)
        form = parse_qs(asked.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        signed, _, signature = form["assertion"][0].rpartition(".")
        self.public.verify(unpadded(signature), signed.encode(), PKCS1v15(), SHA256())
        header, claims = (json.loads(unpadded(part)) for part in signed.split("."))
        assert header == {"alg": "RS256", "typ": "JWT", "kid": "kid"}
        self.exchanges.append(claims)
        date = f"Date: {format_datetime(datetime.fromtimestamp(self.now(), UTC), usegmt=True)}"
        if not claims["iat"] - 300 < self.now() < claims["exp"] or claims["exp"] - claims["iat"] > 3600:
            return told({"error": "invalid_grant", "error_description": "short-lived"}, date, status="400 Bad Request")
        token = {"access_token": f"token-{len(self.exchanges)}", "expires_in": self.lifetime_seconds}
        return told({**token, "token_type": "Bearer"}, date)


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@asynccontextmanager
async def opened(google: Google, key: RSAPrivateKey, **changed: str) -> AsyncIterator[GcsStore]:
    async with serving(script(google.answer, google.seen)) as server:
        data = key_data(key, f"{server.origin}/oauth/token", **changed)

        async def issue() -> Mapping[str, str]:
            return {"bucket_name": "b", "project": "p", "key_data": data, "endpoint_url": str(server.origin)}

        http = HttpClient()
        try:
            yield GcsStore(http, BUCKET, Credentials(issue))
        finally:
            await http.aclose()


async def test_a_key_is_exchanged_once_for_what_it_signs(key: RSAPrivateKey) -> None:
    google = Google(key)
    async with opened(google, key) as store:
        await store.head("key")
        await store.head("key")
    [claims] = google.exchanges
    assert (claims["iss"], claims["scope"]) == (EMAIL, "https://www.googleapis.com/auth/devstorage.read_write")
    assert str(claims["aud"]).endswith("/oauth/token")


async def test_a_token_that_is_refused_is_exchanged_for_anew(key: RSAPrivateKey) -> None:
    google = Google(key)
    google.taken = {"token-2"}
    async with opened(google, key) as store:
        assert (await store.head("key")).size == 5
    assert len(google.exchanges) == 2


async def test_a_token_that_is_about_to_end_is_renewed_without_a_failed_call(key: RSAPrivateKey) -> None:
    google = Google(key)
    google.taken, google.lifetime_seconds = {"token-1", "token-2"}, 0
    async with opened(google, key) as store:
        await store.head("key")
        tokens = store.wire._tokens._exchanged
        assert tokens is not None
        tokens._ends_at = 0.0
        await store.head("key")
    assert len(google.exchanges) == 2
    assert all(asked.path == "/oauth/token" or asked.headers["authorization"] for asked in google.seen)


async def test_a_key_that_is_not_taken_is_an_error_that_names_its_account_and_shows_nothing(key: RSAPrivateKey) -> None:
    google = Google(key)
    google.answers = [told({"error": "invalid_grant", "error_description": "gone"}, status="400 Bad Request")]
    async with opened(google, key) as store:
        with pytest.raises(AuthenticationError, match=f"{EMAIL}.*invalid_grant") as caught:
            await store.head("key")
    assert "PRIVATE" not in str(caught.value)


async def test_a_server_of_tokens_that_is_busy_is_asked_again(key: RSAPrivateKey) -> None:
    google = Google(key)
    google.answers = [told({}, status="503 Busy"), told({}, status="429 Busy")]
    async with opened(google, key) as store:
        assert (await store.head("key")).size == 5


async def test_a_clock_that_is_wrong_is_set_by_the_servers(key: RSAPrivateKey) -> None:
    google = Google(key)
    google.now = lambda: time.time() + 7200
    google.taken = {"token-2"}
    async with opened(google, key) as store:
        assert (await store.head("key")).size == 5
    assert len(google.exchanges) == 2


@pytest.mark.parametrize("answer", [told({}), told([]), told({"access_token": "t", "expires_in": None})])
async def test_an_answer_without_a_token_is_told(key: RSAPrivateKey, answer: bytes) -> None:
    google = Google(key)
    google.answers = [answer]
    async with opened(google, key) as store:
        with pytest.raises(BadGateway, match="no access token"):
            await store.head("key")


async def test_a_key_that_is_none_is_told_and_not_shown(key: RSAPrivateKey) -> None:
    async with opened(Google(key), key, private_key="-----BEGIN NOTHING-----") as store:
        with pytest.raises(IllegalArgumentError, match="no RSA key") as caught:
            await store.head("key")
    assert "NOTHING" not in str(caught.value)


@pytest.mark.parametrize(
    "data", ["", "not base64!", base64.b64encode(b"{}").decode(), base64.b64encode(b"\xff").decode()]
)
async def test_a_key_data_that_is_none_is_told_and_not_shown(data: str) -> None:
    async def issue() -> Mapping[str, str]:
        return {"bucket_name": "b", "project": "p", "key_data": data}

    http = HttpClient()
    with pytest.raises(BadGateway, match="control plane") as caught:
        await GcsStore(http, BUCKET, Credentials(issue)).head("key")
    await http.aclose()
    assert not data or data not in str(caught.value)


async def test_without_the_extra_the_error_says_what_to_install(
    key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.asymmetric.padding", None)
    async with opened(Google(key), key) as store:
        with pytest.raises(ConfigError, match=r"pip install 'neuro-buckets\[gcs\]'"):
            await store.head("key")
