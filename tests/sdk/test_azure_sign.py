"""Requests signed with an account's key: equal to azure-storage-blob's signatures, byte for byte; and what a credentials map becomes."""

import base64
import string
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
import time_machine
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest
from azure.storage.blob import BlobSasPermissions, generate_blob_sas
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._errors import BadGateway
from neuro_sdk._stores.azure_sign import SharedKey
from neuro_sdk._stores.azure_wire import API_VERSION, AzureEndpoint
from neuro_sdk._stores.dates import http_date, parse_http_date
from neuro_sdk._stores.sigv4 import canonical_query, quote_key

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
SECRET = b"0123456789abcdef" * 4
KEY = base64.b64encode(SECRET).decode()

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.lists(
    st.sampled_from(["..", "", "a b", "~", "%2F", "+", "é", "?", "#", "&=", "😀", "*'()"]), min_size=1, max_size=4
).map("/".join)
queries = st.dictionaries(
    st.sampled_from(["comp", "restype", "prefix", "delimiter", "marker", "maxresults", "blockid", "blocklisttype"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    max_size=5,
)
values = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1, max_size=20)
names = st.sampled_from(
    ["content-md5", "content-type", "if-match", "if-none-match", "x-ms-blob-type", "x-ms-blob-content-type", "x-ms-copy-source",
     "x-ms-source-if-match", "x-ms-source-range", "x-ms-requires-sync", "x-ms-meta-a", "x-ms-meta-a1", "x-ms-meta-a_", "x-ms-meta-ab"]
) | st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=6).map("x-ms-meta-".__add__)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    key=st.just("") | keys,
    query=queries,
    headers=st.dictionaries(names, values, max_size=6),
    body_bytes=st.integers(0, 10**12),
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the bounds are naive by contract
    path=st.sampled_from(["", "/account"]),
)
def test_a_request_is_signed_as_microsofts_client_signs_it(
    method: str, key: str, query: dict[str, str], headers: dict[str, str], body_bytes: int, moment: datetime, path: str
) -> None:
    values = {"bucket_name": "box", "storage_endpoint": f"http://127.0.0.1:1{path}", "credential": KEY}
    if not path:
        values["storage_endpoint"] = "https://account.blob.core.windows.net"
    with time_machine.travel(moment, tick=False):
        target, signed = AzureEndpoint.parse(values).sign(
            method, key, list(headers.items()), canonical_query(query.items()), body_bytes
        )
    sent = dict(signed)
    assert len(sent) == len(signed)
    assert sent == {
        **headers,
        "x-ms-version": API_VERSION,
        "x-ms-date": http_date(moment.timestamp()),
        "authorization": sent["authorization"],
    }

    theirs = HttpRequest(method, values["storage_endpoint"].removesuffix(path) + target)
    theirs.headers.update({name: value for name, value in sent.items() if name != "authorization"})
    theirs.headers["Content-Length"] = str(body_bytes)
    policy: Any = SharedKeyCredentialPolicy
    policy("account", KEY).on_request(PipelineRequest(theirs, PipelineContext(None)))
    assert sent["authorization"] == theirs.headers["Authorization"]


@settings(max_examples=200, deadline=None)
@given(key=keys)
def test_an_address_that_reads_one_blob_is_signed_as_microsofts_client_signs_it(key: str) -> None:
    with time_machine.travel(NOON, tick=False):
        ours = parse_qs(SharedKey("account", SECRET).read_token("box", key))
    version = ours["sv"][0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("azure.storage.blob._shared_access_signature.X_MS_VERSION", version)
        theirs = parse_qs(
            generate_blob_sas(
                "account", "box", key, account_key=KEY, permission=BlobSasPermissions(read=True),
                expiry=NOON + timedelta(hours=1),
            )
        )  # fmt: skip
    assert ours == theirs


def test_a_sas_is_all_that_signs_a_request() -> None:
    values = {
        "bucket_name": "box",
        "storage_endpoint": "https://a.blob.core.windows.net/",
        "sas_token": "?sv=1&sig=%2B",
    }
    endpoint = AzureEndpoint.parse(values)
    assert endpoint.sign("GET", "a b/é", [("range", "bytes=0-1")]) == (
        "/box/a%20b/%C3%A9?sv=1&sig=%2B",
        [("x-ms-version", API_VERSION), ("range", "bytes=0-1")],
    )
    assert endpoint.sign("GET", "", [], "comp=list")[0] == "/box?comp=list&sv=1&sig=%2B"
    assert endpoint.sign_in_batch("DELETE", "k") == ("/box/k?sv=1&sig=%2B", [])
    assert endpoint.read_url("k") == "https://a.blob.core.windows.net/box/k?sv=1&sig=%2B"


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("https://me.blob.core.windows.net", "me"),
        ("https://me.z1.blob.storage.azure.net/", "me"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
    ],
)
def test_the_account_is_in_the_host_name_or_the_path(url: str, account: str) -> None:
    access = AzureEndpoint.parse({"bucket_name": "b", "storage_endpoint": url, "credential": KEY}).access
    assert isinstance(access, SharedKey)
    assert (access.account, access.key) == (account, SECRET)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"storage_endpoint": "https://a"}, "bucket_name"),
        ({"bucket_name": "b"}, "storage_endpoint"),
        ({"bucket_name": "b", "storage_endpoint": "https://a"}, "neither a SAS nor an account key"),
        ({"bucket_name": "b", "storage_endpoint": "https://a", "credential": "not base64!"}, "not in base64"),
        ({"bucket_name": "b", "storage_endpoint": "https://a", "credential": "schlüssel"}, "not in base64"),
    ],
)
def test_credentials_that_cannot_be_used_are_the_control_planes_fault(values: dict[str, str], said: str) -> None:
    with pytest.raises(BadGateway, match=said) as caught:
        AzureEndpoint.parse(values)
    assert "not base64!" not in str(caught.value)


def test_a_clock_that_was_corrected_signs_with_the_servers_time() -> None:
    endpoint = AzureEndpoint.parse({"bucket_name": "b", "storage_endpoint": "https://a", "credential": KEY})
    with time_machine.travel(NOON, tick=False):
        endpoint.set_clock(-86_400.0)
        assert dict(endpoint.sign("GET", "k", [])[1])["x-ms-date"] == "Tue, 03 Mar 2026 12:00:00 GMT"
        assert dict(endpoint.copy().sign("GET", "k", [])[1])["x-ms-date"] == "Tue, 03 Mar 2026 12:00:00 GMT"


def test_an_endpoint_does_not_show_its_secrets() -> None:
    shown = repr(AzureEndpoint.parse({"bucket_name": "b", "storage_endpoint": "https://a", "credential": KEY}))
    assert KEY not in shown
    assert repr(SECRET) not in shown
    shown = repr(AzureEndpoint.parse({"bucket_name": "b", "storage_endpoint": "https://a", "sas_token": "sig=hunter2"}))
    assert "hunter2" not in shown


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - as above
def test_a_date_that_was_written_is_read_again(moment: datetime) -> None:
    assert parse_http_date(http_date(moment.timestamp())) == moment.replace(microsecond=0)


def test_a_key_is_quoted_as_azure_decodes_it() -> None:
    assert unquote(quote_key("a//b é+%?#")) == "a//b é+%?#"
