"""`blob:` and `file:` addresses: every key comes back exactly, and what is no address is refused with the way out."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from neuro_sdk._errors import ArgumentTypeError, IllegalArgumentError
from neuro_sdk._uri import blob_uri, file_uri, key_in_bucket, local_path, parse_blob

ODD_KEYS = [
    "..", ".", "...", "a/../b", "../a", "a/..", "./a", "a/./b", "a/.", "a//b", "/lead", "//", "/", "a/", "a//", "/..", "/.",
    "/../..", "..%2F", "%2e%2e/x", " ", "a b", " a ", "100%", "%", "%2F", "%2f", "%25", "%zz", "?", "a?b=c&d", "#", "a#b",
    "[", "]", "[a]", "+", "a+b", "~", "~/a", "~root", "\\", "a\\b", ":", "a:b@c", "@", ";", "a;b", "\n", "a\r\nb", "\t", "\0",
    "\x01", "\x7f", "'", '"', "<&>", "*", "{}|^`", "😀", "日本語", "\u2028", "\ufeff", "\ufffe", "\U0010ffff", "blob:b/k",
    "blob://c/u/b/k", unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"),
]  # fmt: skip

keys = st.text(min_size=1) | st.lists(st.sampled_from(ODD_KEYS), min_size=1, max_size=4).map("/".join)


def key_after_a_round_trip(key: str, org: str | None = None) -> str | None:
    printed = str(blob_uri("main", org, "alice", "photos", key))
    address = parse_blob(URL(printed), "another-cluster", "another-user")
    assert address.cluster == "main"
    return address.key_in(org, "alice", ("bucket-1", "photos"))


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("org", [None, "acme"])
def test_an_odd_key_survives_being_printed_and_parsed_again(key: str, org: str | None) -> None:
    assert key_after_a_round_trip(key, org) == key


@settings(max_examples=500, deadline=None)
@given(keys)
def test_any_key_survives_being_printed_and_parsed_again(key: str) -> None:
    assert key_after_a_round_trip(key) == key


@settings(max_examples=200, deadline=None)
@given(keys)
def test_two_keys_never_share_an_address(key: str) -> None:
    others = {key + "/", "/" + key, key.replace("/", "%2F"), unicodedata.normalize("NFD", key), key + "x"} - {key}
    printed = {str(URL(str(blob_uri("main", None, "alice", "photos", other)))) for other in (key, *others)}
    assert len(printed) == len(others) + 1


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1).filter(lambda part: "/" not in part and part not in {".", ".."}))
def test_a_part_that_is_joined_with_a_slash_is_that_part_of_the_key(part: str) -> None:
    assert parse_blob(URL("blob:photos") / part, "main", "alice").path == f"alice/photos/{part}"


@pytest.mark.parametrize("name", ["a b", "ü", "a%2Fb", "x?y", "a:b", "[x]"])
def test_odd_names_of_orgs_owners_and_buckets_come_back(name: str) -> None:
    address = parse_blob(URL(str(blob_uri("main", name, name, name, "k"))), "", "")
    assert address.key_in(name, name, (name,)) == "k"


def test_a_key_that_no_storage_can_keep_can_still_be_shown_but_not_parsed() -> None:
    uri = blob_uri("main", None, "alice", "photos", "a\udcffb")
    assert str(uri).startswith("blob://main/alice/photos/a%")
    with pytest.raises(IllegalArgumentError, match="UTF-8"):
        parse_blob(uri, "main", "alice")


@pytest.mark.parametrize(
    ("text", "org", "cluster", "path"),
    [
        ("blob:photos", None, "main", "alice/photos"),
        ("blob:photos/", None, "main", "alice/photos/"),
        ("blob:photos/2024/a.jpg", None, "main", "alice/photos/2024/a.jpg"),
        ("blob:photos/2024", "acme", "main", "acme/alice/photos/2024"),
        ("blob:/bob/photos/2024", None, "main", "bob/photos/2024"),
        ("blob:/bob/photos/2024", "acme", "main", "acme/bob/photos/2024"),
        ("blob://far/bob/photos/2024", None, "far", "bob/photos/2024"),
        ("blob://far/acme/bob/photos/2024", "other", "far", "acme/bob/photos/2024"),
        ("BLOB:photos/K", None, "main", "alice/photos/K"),
        ("blob:photos/a%3Fb%23c%20d%25", None, "main", "alice/photos/a?b#c d%"),
        ("blob:photos/a b+c", None, "main", "alice/photos/a b+c"),
        ("blob:photos/../k", None, "main", "alice/photos/../k"),
        ("blob:/bob/photos/./k//", None, "main", "bob/photos/./k//"),
        ("blob:photos/~a", None, "main", "alice/photos/~a"),
        ("blob:photos/a:b@c", None, "main", "alice/photos/a:b@c"),
    ],
)
def test_short_forms_are_completed(text: str, org: str | None, cluster: str, path: str) -> None:
    address = parse_blob(URL(text), "main", "alice", org)
    assert (address.cluster, address.path) == (cluster, path)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("s3:photos/k", "only 'blob:' is allowed"),
        ("photos/k", "only 'blob:' is allowed"),
        ("/photos/k", "only 'blob:' is allowed"),
        ("", "only 'blob:' is allowed"),
        ("file:///photos", "only 'blob:' is allowed"),
        ("blob:photos/a?b", "%3F"),
        ("blob:photos/a?b#c", "%3F"),
        ("blob:photos/a#b", "%23"),
        ("blob://bob@far/bob/photos", "no user, password or port: 'blob://far/bob/photos'"),
        ("blob://far:80/bob/photos", "no user, password or port: 'blob://far/bob/photos'"),
        ("blob:~bob/photos", "blob:/owner/bucket/key"),
        ("blob:%7Ebob/photos", "blob:/owner/bucket/key"),
        ("blob:", "write blob:bucket/key"),
        ("blob:/", "write blob:/owner/bucket/key"),
        ("blob:/bob", "write blob:/owner/bucket/key"),
        ("blob:/bob/", "write blob:/owner/bucket/key"),
        ("blob:/bob//k", "write blob:/owner/bucket/key"),
        ("blob:///", "write blob:/owner/bucket/key"),
        ("blob://far", "write blob://cluster/[org/]owner/bucket/key"),
        ("blob://far/", "write blob://cluster/[org/]owner/bucket/key"),
        ("blob://far/bob", "write blob://cluster/[org/]owner/bucket/key"),
        ("blob://far/bob/", "write blob://cluster/[org/]owner/bucket/key"),
        ("blob://far//bob/photos", "write blob://cluster/[org/]owner/bucket/key"),
        ("blob:photos/%ff", "a key is text"),
        ("blob:photos/%ED%A0%80", "a key is text"),
    ],
)
def test_what_is_no_blob_address_is_refused_with_the_way_out(text: str, remedy: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        parse_blob(URL(text), "main", "alice")
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["blob://bob:hunter2@far/bob/photos", "https://bob:hunter2@far/x", "https://far/x?X-Amz-Signature=hunter2",
     "blob://:hunter2@far/bob/photos"],
)  # fmt: skip
def test_a_refused_address_is_shown_without_its_secret(text: str) -> None:
    for parse in (lambda uri: parse_blob(uri, "main", "alice"), local_path):
        with pytest.raises(IllegalArgumentError) as caught:
            parse(URL(text))
        assert "hunter2" not in str(caught.value)
        assert "//far/" in str(caught.value)


@pytest.mark.parametrize("wrong", ["blob:photos/k", b"blob:photos", None, Path("photos")])
def test_what_is_no_url_is_refused_by_its_type(wrong: object) -> None:
    with pytest.raises(ArgumentTypeError, match=r"yarl\.URL"):
        parse_blob(wrong, "main", "alice")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"yarl\.URL"):
        local_path(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["bucket-1", "photos"])
def test_a_bucket_is_found_by_its_id_and_by_its_name(name: str) -> None:
    address = parse_blob(URL(f"blob:{name}/k"), "main", "alice")
    assert address.key_in(None, "alice", ("bucket-1", "photos")) == "k"
    assert address.key_in(None, "alice", ("bucket-2", None)) is None
    assert address.key_in(None, "bob", ("bucket-1", "photos")) is None


def test_a_name_that_another_begins_with_is_not_taken_for_it() -> None:
    assert parse_blob(URL("blob:photos-2/k"), "main", "alice").key_in(None, "alice", ("photos",)) is None


def test_the_bucket_itself_is_the_empty_key() -> None:
    for text in ("blob:photos", "blob:photos/"):
        assert parse_blob(URL(text), "main", "alice").key_in(None, "alice", ("photos",)) == ""


def test_a_key_may_be_named_without_the_org_of_its_bucket_and_with_it() -> None:
    for text in ("blob://main/alice/photos/k", "blob://main/acme/alice/photos/k"):
        assert key_in_bucket(URL(text), "main", "acme", "alice", ("bucket-1", "photos")) == "k"


def test_the_cluster_of_an_address_is_known_again_whatever_its_case() -> None:
    printed = str(URL(str(blob_uri("Main", None, "alice", "photos", "K"))))
    assert key_in_bucket(URL(printed), "Main", None, "alice", ("photos",)) == "K"


def test_without_an_org_the_first_part_is_the_owner() -> None:
    address = parse_blob(URL("blob://main/acme/alice/photos/k"), "main", "alice")
    assert address.key_in(None, "acme", ("alice",)) == "photos/k"
    assert address.key_in("acme", "alice", ("photos",)) == "k"


@pytest.mark.parametrize("text", ["blob://far/alice/photos/k", "blob:/bob/photos/k", "blob:other/k"])
def test_an_address_in_another_bucket_is_refused_by_naming_both(text: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        key_in_bucket(URL(text), "main", None, "alice", ("bucket-1", "photos"))
    assert text in str(caught.value)
    assert "bucket-1" in str(caught.value)


def test_a_relative_file_address_begins_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_path(URL("file:a/b")) == tmp_path / "a" / "b"
    assert local_path(URL("file:")) == tmp_path
    assert local_path(URL("file:..")) == tmp_path.parent


@pytest.mark.parametrize(
    ("text", "path"),
    [("file:///a/b", "/a/b"), ("file:/a/b", "/a/b"), ("file:///", "/"), ("file:///a%20b%3F%23%25", "/a b?#%"),
     ("file:///~a", "/~a"), ("file:///a+b", "/a+b"), ("file:///a%FFb", "/a\udcffb"), ("file:///a/../b", "/b")],
)  # fmt: skip
def test_a_file_address_is_decoded(text: str, path: str) -> None:
    assert local_path(URL(text)) == Path(path)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("/a/b", "only 'file:' is allowed"),
        ("blob:a/b", "only 'file:' is allowed"),
        ("file://host/a", "file:///path or file:relative/path"),
        ("file://bob@host/a", "no user"),
        ("file:///a?b", "%3F"),
        ("file:///a#b", "%23"),
        ("file:~/a", "write the whole path"),
        ("file:%7Ebob/a", "write the whole path"),
        ("file:///a%00b", "NUL"),
    ],
)
def test_what_is_no_file_address_is_refused_with_the_way_out(text: str, remedy: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        local_path(URL(text))
    assert remedy in str(caught.value)


file_names = st.binary(min_size=1, max_size=20).filter(
    lambda name: not {b"/", b"\0"} & {name[i : i + 1] for i in range(len(name))}
)


@settings(max_examples=500, deadline=None)
@given(st.lists(file_names, min_size=1, max_size=4))
def test_any_path_that_a_file_system_can_hold_survives_being_printed_and_parsed_again(parts: list[bytes]) -> None:
    path = Path("/", *map(os.fsdecode, parts))
    assert local_path(URL(str(file_uri(path)))) == path


def test_a_file_whose_name_is_no_utf_8_is_found_by_its_address(tmp_path: Path) -> None:
    (tmp_path / "a\udcff\udcfe").write_bytes(b"here")
    (found,) = tmp_path.iterdir()
    assert local_path(URL(str(file_uri(found)))).read_bytes() == b"here"


def test_the_address_that_released_sdks_write_of_a_bucket_without_an_org_is_understood() -> None:
    address = parse_blob(URL("blob://main/NO_ORG/alice/photos/a/b"), "main", "bob")
    assert address.key_in(None, "alice", ("bucket-1", "photos")) == "a/b"
    assert address.key_in("acme", "alice", ("bucket-1", "photos")) is None
