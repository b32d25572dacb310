"""Signatures: equal to botocore's, byte for byte, and to the examples that the manual of S3 prints."""

import hashlib
import string
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._stores.dates import parse_http_date
from neuro_sdk._stores.sigv4 import UNSIGNED_PAYLOAD, Signer, canonical_query, quote_key

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
EMPTY = hashlib.sha256(b"").hexdigest()
# The credentials of the examples in "Authenticating Requests: Using the Authorization Header", Amazon S3 API Reference.
EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.lists(
    st.sampled_from(["..", ".", "", "a b", "~", "%2F", "+", "é", "?", "#", "&=", "😀", "\n", "*'()", "\\"]),
    min_size=1,
    max_size=4,
).map("/".join)
query_names = st.sampled_from(["prefix", "list-type", "uploadId", "a", "a-b", "A", "é"]) | st.text(
    min_size=1, max_size=8
)
query_pairs = st.lists(st.tuples(query_names, st.text(max_size=12)), max_size=5)
header_names = st.sampled_from(
    ["range", "content-md5", "if-match", "content-type", "Cache-Control", "X-Amz-Checksum-Crc32", "x-amz-acl", "x-amz-tagging"]
) | st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=10).map("x-amz-meta-".__add__)  # fmt: skip
header_values = st.text(string.ascii_letters + string.digits + string.punctuation + "  \t", max_size=20)
headers = st.dictionaries(header_names, header_values, max_size=5).filter(
    lambda found: len({name.lower() for name in found}) == len(found)
)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the bounds are naive by contract


@settings(max_examples=2500, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    host=st.sampled_from(["127.0.0.1:8333", "b.s3.eu-central-1.amazonaws.com", "[::1]:9000", "s3"]),
    key=keys,
    query=query_pairs,
    extra=headers,
    token=st.none() | st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=40),
    region=st.sampled_from(["us-east-1", "eu-central-1", "any", "cn-north-1"]),
    secret=st.text(string.printable.strip(), min_size=1, max_size=40),
    body=st.none() | st.binary(max_size=40),
    moment=moments,
)
def test_a_request_is_signed_as_botocore_signs_it(
    method: str,
    host: str,
    key: str,
    query: list[tuple[str, str]],
    extra: dict[str, str],
    token: str | None,
    region: str,
    secret: str,
    body: bytes | None,
    moment: datetime,
) -> None:
    path, target_query = f"/bucket/{quote_key(key)}", canonical_query(query)
    payload_hash = UNSIGNED_PAYLOAD if body is None else hashlib.sha256(body).hexdigest()
    url = f"http://{host}{path}" + (f"?{target_query}" if target_query else "")
    theirs = AWSRequest(method, url, headers={**extra, "host": host}, data=body or b"")
    theirs.context["client_config"] = Config(s3={"payload_signing_enabled": body is not None})

    with time_machine.travel(moment, tick=False):
        ours = Signer("AKIA", secret, token, region).sign(
            method, host, path, target_query, list(extra.items()), payload_hash
        )
        S3SigV4Auth(Credentials("AKIA", secret, token), "s3", region).add_auth(theirs)

    sent = dict(ours)
    assert len(sent) == len(ours)
    assert sent["authorization"] == theirs.headers["Authorization"]
    assert sent["x-amz-date"] == theirs.headers["X-Amz-Date"]
    assert sent["x-amz-content-sha256"] == theirs.headers["X-Amz-Content-SHA256"]
    assert sent.get("x-amz-security-token") == theirs.headers.get("X-Amz-Security-Token")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        pytest.param(
            "GET", "/test.txt", "", [("Range", "bytes=0-9")], b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", id="GET Object",
        ),
        pytest.param(
            "PUT", "/test%24file.text", "",
            [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")], b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", id="PUT Object",
        ),
        pytest.param(
            "GET", "/", canonical_query([("lifecycle", "")]), [], b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", id="GET Bucket Lifecycle",
        ),
        pytest.param(
            "GET", "/", canonical_query([("prefix", "J"), ("max-keys", "2")]), [], b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", id="List Objects",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_the_manual_come_out(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, signature: str
) -> None:
    signer = Signer(EXAMPLE_KEY, EXAMPLE_SECRET, None, "us-east-1")
    with time_machine.travel(datetime(2013, 5, 24, tzinfo=UTC), tick=False):
        signed = signer.sign(
            method, "examplebucket.s3.amazonaws.com", path, query, headers, hashlib.sha256(body).hexdigest()
        )
    assert dict(signed)["authorization"].endswith(f"Signature={signature}")


def test_the_key_of_the_manual_is_quoted_as_there() -> None:
    assert quote_key("test$file.text") == "test%24file.text"
    assert quote_key("a/b~c-d_e.f") == "a/b~c-d_e.f"


def test_a_query_is_sorted_by_its_encoded_names_then_values() -> None:
    assert canonical_query([("b", ""), ("a", "2"), ("a", "1"), ("a-b", " "), ("é", "/~+")]) == (
        "%C3%A9=%2F~%2B&a=1&a=2&a-b=%20&b="
    )


def test_what_is_sent_is_what_was_signed_and_nothing_more() -> None:
    signed = Signer("AKIA", "secret", "token", "any").sign("GET", "h", "/", "", [("X-Amz-Meta-A", "  a   b  ")])
    names = {name for name, _ in signed}
    assert names == {"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-a", "x-amz-security-token"}
    assert dict(signed)["x-amz-meta-a"] == "a b"


def as_a_new_signer_would(moment: datetime, signer: Signer) -> bool:
    fresh = Signer(signer.access_key, signer.secret_key, signer.session_token, signer.region)
    with time_machine.travel(moment, tick=False):
        return signer.sign("GET", "h", "/", "", []) == fresh.sign("GET", "h", "/", "", [])


def test_seconds_and_days_roll_over_in_one_signer() -> None:
    signer = Signer("AKIA", "secret", None, "us-east-1")
    before_midnight = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    steps = [0, 0, 1, 2, 86_400, 1, 31 * 86_400]  # forward, within a second, over a year's end, and back again
    assert all(as_a_new_signer_would(before_midnight + timedelta(seconds=step), signer) for step in steps)


def test_all_requests_of_one_second_have_one_stamp() -> None:
    signer = Signer("AKIA", "secret", None, "us-east-1")
    stamps = set()
    for part in (0.0, 0.3, 0.999):
        with time_machine.travel(NOON + timedelta(seconds=part), tick=False):
            stamps.add(dict(signer.sign("GET", "h", "/", "", []))["x-amz-date"])
    assert stamps == {"20260304T120000Z"}


def test_a_clock_that_was_corrected_signs_with_the_servers_time() -> None:
    signer = Signer("AKIA", "secret", None, "us-east-1")
    with time_machine.travel(NOON, tick=False):
        signer.sign("GET", "h", "/", "", [])
        signer.clock_offset_seconds = -86_400.0
        corrected = signer.sign("GET", "h", "/", "", [])
    with time_machine.travel(NOON - timedelta(days=1), tick=False):
        assert corrected == Signer("AKIA", "secret", None, "us-east-1").sign("GET", "h", "/", "", [])


@pytest.mark.parametrize("text", ["Wed, 04 Mar 2026 12:00:00 GMT", " Wed,  04 Mar 2026 12:00:00 GMT "])
def test_the_date_of_an_answer_by_which_a_clock_is_corrected_is_read(text: str) -> None:
    assert parse_http_date(text) == NOON


@pytest.mark.parametrize(
    "text",
    [None, "", "now", "2026-03-04T12:00:00Z", "Wed, 04 Mar 2026 12:00:00 +0900", "Wed, 04 Mar 2026 12:00:00",
     "Wed, 31 Feb 2026 12:00:00 GMT",
     "Wed, 04 Foo 2026 12:00:00 GMT", "Wed, 04 Mar 99999999999999999999 12:00:00 GMT", "Wed, 04 Mar 2026 12:00 GMT"],
)  # fmt: skip
def test_a_date_that_is_none_corrects_no_clock(text: str | None) -> None:
    assert parse_http_date(text) is None


def test_a_signer_does_not_show_its_secrets() -> None:
    signer = Signer("AKIA", "hunter2", "token-of-mine", "us-east-1")
    signer.sign("GET", "h", "/", "", [])
    assert "hunter2" not in repr(signer)
    assert "token-of-mine" not in repr(signer)
    assert repr(signer._key) not in repr(signer)


@settings(max_examples=500, deadline=None)
@given(
    key=keys,
    extra=headers,
    open_value=st.none() | st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=12),
    token=st.none() | st.text(string.ascii_letters + string.digits + "+/=%", min_size=1, max_size=40),
    moment=moments,
)
def test_a_form_signs_as_each_request_by_itself(
    key: str, extra: dict[str, str], open_value: str | None, token: str | None, moment: datetime
) -> None:
    extra.pop("X-Amz-Checksum-Crc32", None)
    path, signer = f"/bucket/{quote_key(key)}", Signer("AKIA", "secret", token, "us-east-1")
    open_header = [] if open_value is None else [("x-amz-checksum-crc32", open_value)]
    with time_machine.travel(moment, tick=False):
        expected = signer.sign("PUT", "h:1", path, "", [*extra.items(), *open_header])
        form = signer.form("PUT", "h:1", list(extra.items()), "x-amz-checksum-crc32" if open_header else None)
        values = () if open_value is None else (open_value,)
        sent = [*form.headers, *open_header, ("authorization", form.credential + form.signature(path, *values))]
    assert sorted(sent) == sorted(expected)
