"""V4 signatures of Google Cloud Storage, against what Google has published, and against Google's own library."""

import base64
import json
import warnings
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account

from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers.gcp import signature_of
from neuro_buckets.providers.gcp_signing import check_signing, signed_url
from tests.conformance.providers import ODD_KEYS

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ImportWarning)  # it would like to have gRPC's status codes, too
    from google.cloud import storage  # type: ignore[import-untyped]

# googleapis/conformance-tests, storage/v1/v4_signatures.json (Apache-2.0), at 041480c: all GETs and PUTs of a blob without more headers
# and parameters. The key that signed them is public, too; here is the half of it that verifies, for RSA signs the same always the same.
EMAIL = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com"
MODULUS = int(
    "ac3f3322ac8a2db5f436af28d098f5a871211e1a8edfed0e3fb4c4171e55c5ce8f77006814dadf9c9448fd2f99683612d5abebe4faa9a7c83cf9434e32f23556"
    "c8c633cc634dac6456ff2698aa7aa52990b2d4eddb9a736357b1036c2fe313564b058d14dc76921df9fa4bd343f0c5dd803d3fba54535b0ababd4f3fc3a8b9b5"
    "8b14ee7d8b2e54139757d0eff7a63bd9d87021497b31d955ad0799e5ac747c16b28934b24c10610348ccfdc917d0694798094f680d81ee8aa290deb0978ba0bc"
    "da5fb7149c39fe0809e72ee2c3c304ac2152b257184116c1573e9960a5a411c261b3c046dffd7a6df6aa36eb0d943209f7d23b0e68a9527805fc712e95885fad",
    16,
)
VECTORS = [
    (
        "GET", "test-bucket", "test-object", 10, "2019-02-01T09:00:00Z",
        "95e6a13d43a1d1962e667f17397f2b80ac9bdd1669210d5e08e0135df9dff4e56113485dbe429ca2266487b9d1796ebdee2d7cf682a6ef3bb9fbb4c351686fba"
        "90d7b621cf1c4eb1fdf126460dd25fa0837dfdde0a9fd98662ce60844c458448fb2b352c203d9969cb74efa4bdb742287744a4f2308afa4af0e0773f55e32e92"
        "973619249214b97283b2daa14195244444e33f938138d1e5f561088ce8011f4986dda33a556412594db7c12fc40e1ff3f1bedeb7a42f5bcda0b9567f17f65855"
        "f65071fabb88ea12371877f3f77f10e1466fff6ff6973b74a933322ff0949ce357e20abe96c3dd5cfab42c9c83e740a4d32b9e11e146f0eb3404d2e975896f74",
    ),
    (
        "PUT", "test-bucket", "test-object", 10, "2019-02-01T09:00:00Z",
        "8adff1d4285739e31aa68e73767a46bc5511fde377497dbe08481bf5ceb34e29cc9a59921748d8ec3dd4085b7e9b7772a952afedfcdaecb3ae8352275b8b7c86"
        "7f204e3db85076220a3127a8a9589302fc1181eae13b9b7fe41109ec8cdc93c1e8bac2d7a0cc32a109ca02d06957211326563ab3d3e678a0ba296e298b5fc5e1"
        "4593c99d444c94724cc4be97015dbff1dca377b508fa0cb7169195de98d0e4ac96c42b918d28c8d92d33e1bd125ce0fb3cd7ad2c45dae65c22628378f6584971"
        "b8bf3945b26f2611eb651e9b6a8648970c1ecf386bb71327b082e7296c4e1ee2fc0bdd8983da80af375c817fb1ad491d0bc22c0f51dba0d66e2cffbc90803e47",
    ),
    (
        "GET", "test-bucket", "test-object", 20, "2019-03-01T09:00:00Z",
        "9669ed5b10664dc594c758296580662912cf4bcc5a4ba0b6bf055bcbf6f34eed7bdad664f534962174a924741a0c273a4f67bc1847cef20192a6beab44223bd9"
        "d4fbbd749c407b79997598c30f82ddc269ff47ec09fa3afe74e00616d438df0d96a7d8ad0adacfad1dc3286f864d924fe919fb0dce45d3d975c5afe8e13af2db"
        "9cc37ba77835f92f7669b61e94c6d562196c1274529e76cfff1564cc2cad7d5387dc8e12f7a5dfd925685fe92c30b43709eee29fa2f66067472cee5423d1a3a4"
        "182fe8cea75c9329d181dc6acad7c393cd04f8bf5bc0515127d8ebd65d80c08e19ad03316053ea60033fd1b1fd85a69c576415da3bf0a3718d9ea6d03e0d66f0",
    ),
    (
        "GET", "test-bucket2", "test-object2", 10, "2019-02-01T09:00:00Z",
        "36e3d58dfd3ec1d2dd2f24b5ee372a71e811ffaa2162a2b871d26728d0354270bc116face87127532969c4a3967ed05b7309af741e19c7202f3167aa8c2ac420"
        "b61417d6451442bb91d7c822cd17be8783f01e05372769c88913561d27e6660dd8259f0081a71f831be6c50283626cbf04494ac10c394b29bb3bce74ab91548f"
        "58a37118a452693cf0483d77561fc9cac8f1765d2c724994cca46a83517a10157ee0347a233a2aaeae6e6ab5e204ff8fc5f54f90a3efdb8301d9fff5475d58cd"
        "05b181affd657f48203f4fb133c3a3d355b8eefbd10d5a0a5fd70d06e9515460ad74e22334b2cba4b29cae4f6f285cdb92d8f3126d7a1479ca3bdb69c207d860",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("method", "bucket", "key", "seconds", "at", "signature"), VECTORS)
def test_what_google_has_published_is_what_we_sign(
    method: str, bucket: str, key: str, seconds: int, at: str, signature: str
) -> None:
    public = rsa.RSAPublicNumbers(65537, MODULUS).public_key()

    def sign(message: bytes) -> bytes:
        """The published signature, if it is one of this message; else InvalidSignature."""
        public.verify(bytes.fromhex(signature), message, padding.PKCS1v15(), hashes.SHA256())
        return bytes.fromhex(signature)

    with time_machine.travel(datetime.fromisoformat(at), tick=False):
        url = signed_url(
            "https://storage.googleapis.com", bucket, key, seconds, put=method == "PUT", email=EMAIL, sign=sign
        )
    stamp = at.replace("-", "").replace(":", "")
    assert url == (
        f"https://storage.googleapis.com/{bucket}/{key}?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential="
        f"test-iam-credentials%40dummy-project-id.iam.gserviceaccount.com%2F{stamp[:8]}%2Fauto%2Fstorage%2Fgoog4_request"
        f"&X-Goog-Date={stamp}&X-Goog-Expires={seconds}&X-Goog-SignedHeaders=host&X-Goog-Signature={signature}"
    )


@pytest.fixture(scope="module")
def info() -> dict[str, str]:
    """The key of a service account that is nowhere."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token_uri = "https://oauth2.googleapis.com/token"
    return {"type": "service_account", "private_key": pem.decode(), "client_email": EMAIL, "token_uri": token_uri}


@pytest.mark.parametrize("put", [False, True])
@pytest.mark.parametrize("key", [*ODD_KEYS, "a//b", "/a", "dir/", "back\\slash"], ids=lambda key: ascii(key)[:20])
def test_googles_own_library_signs_the_same(info: dict[str, str], key: str, put: bool) -> None:
    email, sign = signature_of(base64.b64encode(json.dumps(info).encode()).decode())
    theirs = service_account.Credentials.from_service_account_info(info)
    client = storage.Client(project="a-project", credentials=AnonymousCredentials())
    with time_machine.travel(datetime(2026, 2, 1, 9, tzinfo=UTC), tick=False):
        ours = signed_url("https://storage.googleapis.com", "a-bucket", key, 60, put=put, email=email, sign=sign)
        expected = (
            client.bucket("a-bucket")
            .blob(key)
            .generate_signed_url(
                version="v4", expiration=timedelta(seconds=60), method="PUT" if put else "GET", credentials=theirs
            )
        )
    client.close()
    assert ours == expected
    assert unquote(ours.partition("?")[0]) == f"https://storage.googleapis.com/a-bucket/{key}"


@pytest.mark.parametrize(
    "key",
    ["", "k" * 1025, "ü" * 513, ".", "..", "a/../b", "a/.", "a\nb", "a\0", "\ud800", ".well-known/acme-challenge/x"],
)
def test_a_key_that_the_storage_does_not_take_is_not_signed(key: str) -> None:
    check_signing(".a/b..", 60)
    with pytest.raises(InvalidRequest):
        check_signing(key, 60)
