"""Signed URLs on the real engine: they work at once for anyone, and are refused within a second of what ends them."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from neuro_buckets.models import now, signer_name_for
from tests.service.support import BUCKETS
from tests.stack_fixture import Stack

ADMIN = "/api/v1/admin"
ENDED_SECONDS = 1.0


@dataclass
class Two:
    """A bucket of one user, who shares it with another as its writer; everything in it is signed for by both."""

    owner: httpx.Client
    other: httpx.Client
    admin: httpx.Client
    other_name: str
    path: str
    bucket_id: str

    def sign(self, client: httpx.Client, key: str = "dir/a key", **body: object) -> str:
        answer = client.post(f"{self.path}/sign_blob_url", json={"key": key, **body})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])


@pytest.fixture
def two(stack: Stack) -> Iterator[Two]:
    suffix = uuid.uuid4().hex[:8]
    base = stack.url.removesuffix("/api/v1")

    def client(user: str) -> httpx.Client:
        token = stack.token(user)
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    with client(f"owner-{suffix}") as owner, client(f"other-{suffix}") as other, client(f"admin-{suffix}") as admin:
        stack.run(stack.context.people.put_user(f"admin-{suffix}", is_admin=True))
        bucket_id = owner.post(BUCKETS, json={"name": "first"}).json()["id"]
        two = Two(owner, other, admin, f"other-{suffix}", f"{BUCKETS}/{bucket_id}", bucket_id)
        share(two, "writer")
        yield two


def share(two: Two, role: str) -> None:
    two.owner.put(f"{two.path}/shares/{two.other_name}", json={"role": role}).raise_for_status()


def get(url: str) -> int:
    return httpx.get(url, trust_env=False).status_code


def put(url: str, body: bytes = b"body") -> int:
    return httpx.put(url, content=body, trust_env=False).status_code


def refused_soon(*urls: str) -> None:
    """Each is answered 403, and stays so, within a second from now."""
    give_up_at = time.monotonic() + ENDED_SECONDS
    while any(get(url) != 403 for url in urls):
        assert time.monotonic() < give_up_at, "a URL still works"
        time.sleep(0.01)
    assert [get(url) for url in urls] == [403] * len(urls)


def test_a_signed_get_and_put_work_as_soon_as_they_are_made(two: Two) -> None:
    write = two.sign(two.owner, method="PUT")
    assert put(write) == 200
    read = two.sign(two.other)
    assert httpx.get(read, trust_env=False).content == b"body"
    assert [get(write), put(read)] == [403, 403], "each does one thing"


def test_a_url_is_signed_with_a_key_that_nobody_is_shown_and_never_with_the_services_own(
    two: Two, stack: Stack
) -> None:
    keys = {
        parse_qs(urlsplit(two.sign(client, method=method)).query)["X-Amz-Credential"][0].partition("/")[0]
        for client in (two.owner, two.other)
        for method in ("GET", "PUT")
        for _ in range(2)
    }
    assert len(keys) == 4
    assert stack.context.provider._provider._sts.access_key not in keys  # type: ignore[attr-defined]  # the real one's
    assert two.owner.get("/api/v1/buckets/persistent_credentials").json() == []


def test_what_is_changed_in_a_url_is_refused(two: Two) -> None:
    assert put(two.sign(two.owner, "mine", method="PUT")) == 200
    assert put(two.sign(two.owner, "secret", method="PUT")) == 200
    url = two.sign(two.owner, "mine", expires_in_sec=60)
    assert get(url) == 200
    for changed in (
        url.replace("/mine?", "/secret?"),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        url[:-4] + ("0000" if not url.endswith("0000") else "1111"),
    ):
        assert changed != url
        assert get(changed) == 403


def test_a_url_ends_by_itself(two: Two) -> None:
    assert put(two.sign(two.owner, method="PUT")) == 200
    url = two.sign(two.owner, expires_in_sec=2)
    assert get(url) == 200
    time.sleep(2.5)
    assert get(url) == 403


def test_a_revocation_ends_what_its_user_has_signed_and_nothing_else(two: Two) -> None:
    write = two.sign(two.owner, method="PUT")
    assert put(write) == 200
    read, other, theirs = two.sign(two.owner), two.sign(two.owner, "other"), two.sign(two.other)
    assert two.owner.delete(f"{two.path}/signed_urls").status_code == 204
    refused_soon(read, other)
    assert put(write) == 403
    assert get(theirs) == 200
    assert get(two.sign(two.owner)) == 200


def test_a_role_that_is_lowered_and_taken_ends_what_went_with_it(two: Two) -> None:
    write = two.sign(two.other, method="PUT")
    assert put(write) == 200
    read, owners = two.sign(two.other), two.sign(two.owner)
    share(two, "reader")
    give_up_at = time.monotonic() + ENDED_SECONDS
    while put(write) != 403:
        assert time.monotonic() < give_up_at
    assert get(read) == 200
    assert two.other.post(f"{two.path}/sign_blob_url", json={"key": "k", "method": "PUT"}).status_code == 403
    two.owner.delete(f"{two.path}/shares/{two.other_name}").raise_for_status()
    refused_soon(read)
    assert get(owners) == 200


def test_a_user_who_is_removed_leaves_no_url(two: Two) -> None:
    assert put(two.sign(two.owner, method="PUT")) == 200
    read, owners = two.sign(two.other), two.sign(two.owner)
    assert get(read) == 200
    assert two.admin.delete(f"{ADMIN}/users/{two.other_name}").status_code == 204
    refused_soon(read)
    assert get(owners) == 200


def test_a_bucket_that_is_deleted_leaves_no_url(two: Two) -> None:
    assert put(two.sign(two.owner, method="PUT")) == 200
    urls = [two.sign(two.owner), two.sign(two.other)]
    assert [get(url) for url in urls] == [200, 200]
    credentials = two.owner.post(f"{two.path}/make_tmp_credentials").json()["credentials"]
    _empty(credentials)
    assert two.owner.delete(two.path).status_code == 204
    refused_soon(*urls)


def test_what_signs_no_more_is_ended_at_the_engine(two: Two, stack: Stack) -> None:
    url = two.sign(two.other)
    rows = stack.context.repository.credentials
    signer = stack.run(rows.signer(two.other_name, signer_name_for(two.bucket_id, read_only=True)))
    assert signer is not None
    assert stack.run(rows.extend(signer, now() - timedelta(seconds=1)))  # as if all that it has signed were over
    stack.run(stack.context.reconciler.run_once())
    refused_soon(url)


def _empty(credentials: dict[str, str]) -> None:
    import boto3

    s3 = boto3.client(
        "s3",
        endpoint_url=credentials["endpoint_url"],
        region_name=credentials["region_name"],
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        aws_session_token=credentials["session_token"],
    )
    for blob in s3.list_objects_v2(Bucket=credentials["bucket_name"]).get("Contents", []):
        s3.delete_object(Bucket=credentials["bucket_name"], Key=blob["Key"])
