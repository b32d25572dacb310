"""From what users type to what the SDK takes, and back."""

import datetime as dt
import string
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_cli import _address
from neuro_sdk import Bucket

ME = _address.Reader("me", "here")


def a_bucket(**changes: object) -> Bucket:
    values: dict[str, object] = {
        "id": "bucket-1",
        "owner": "me",
        "cluster_name": "here",
        "org_name": None,
        "provider": Bucket.Provider.MEMORY,
        "created_at": dt.datetime.now(dt.UTC),
        "imported": False,
        "name": "photos",
    }
    return Bucket(**{**values, **changes})  # type: ignore[arg-type] # a test's shorthand


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("blob:b/plain.txt", "blob:b/plain.txt"),
        ("blob:b/what ever?#.txt", "blob:b/what%20ever%3F%23.txt"),
        ("blob:b/100%", "blob:b/100%25"),
        ("blob:b/a%20b", "blob:b/a%20b"),
        ("blob:b/a%2fb%zz", "blob:b/a%2fb%25zz"),
        ("blob:b/dir/../x", "blob:b/dir/../x"),
        ("blob:b//lead", "blob:b//lead"),
        ("blob:b/é[1]", "blob:b/%C3%A9%5B1%5D"),
        ("blob:/you/b/k", "blob:/you/b/k"),
        ("blob://c/o/u/b/./k", "blob://c/o/u/b/./k"),
        ("blob:b", "blob:b"),
    ],
)
def test_a_typed_blob_address_becomes_a_url_in_which_all_is_key(text: str, url: str) -> None:
    assert str(_address.parse(text).url) == url


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("C", "C"),
        ("./dir", "./dir"),
        ("file:dir/a%20b", "dir/a b"),
        ("100%41 ?#", "100%41 ?#"),
        ("file:///abs/x", "/abs/x"),
        ("file:/abs/x", "/abs/x"),
        ("/abs/é", "/abs/é"),
        ("12:30.log", "12:30.log"),
    ],
)
def test_a_local_path_stays_the_file_that_was_typed(
    text: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = _address.parse(text)
    assert address.path == tmp_path / path
    assert address.url.scheme == "file"
    assert Path(address.url.path) == tmp_path / path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("blob:b", "b"),
        ("blob:b/", ""),
        ("blob:b/dir/file", "file"),
        ("blob:b/dir/", ""),
        ("blob:b/a%2Fb", "b"),
        ("blob:b/x%20y", "x y"),
        ("file.txt", "file.txt"),
        ("dir/", ""),
        (".", ""),
        ("..", ""),
        ("a/.", ""),
    ],
)
def test_the_name_of_a_copy_is_the_last_part_or_none(text: str, name: str) -> None:
    assert _address.parse(text).name == name


@pytest.mark.parametrize(
    ("dest", "name", "target"),
    [
        ("blob:b", "f", "blob:b/f"),
        ("blob:b/", "f", "blob:b/f"),
        ("blob:b/dir", "f ?#%41", "blob:b/dir/f%20%3F%23%2541"),
        ("blob:b/dir/", "", "blob:b/dir/"),
        ("file:/tmp/", "a/b", "file:///tmp/a%2Fb"),
    ],
)
def test_a_name_goes_under_a_directory(dest: str, name: str, target: str) -> None:
    assert str(_address.parse(dest).under(name)) == target


@pytest.mark.parametrize(
    ("text", "is_pattern"),
    [
        ("blob:b/*.txt", True),
        ("blob:b/a?", True),
        ("blob:b/[ab]", True),
        ("blob:/u/b/**/x", True),
        ("blob:b/%2A", False),
        ("blob:b*/x", False),
        ("blob:b/x", False),
        ("*.txt", False),
    ],
)
def test_only_a_wildcard_that_was_typed_in_the_key_makes_a_pattern(text: str, is_pattern: bool) -> None:
    assert _address.parse(text).is_pattern is is_pattern


def test_an_address_of_another_storage_is_refused_with_the_way_to_mean_a_file() -> None:
    with pytest.raises(click.UsageError, match="'gs:' addresses are not known here") as raised:
        _address.parse("gs://bucket/key")
    assert raised.value.__notes__ == ["try: blob:BUCKET/KEY; for a local file of that name, ./gs://bucket/key"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "blob:photos/k"),
        ({"name": None}, "blob:bucket-1/k"),
        ({"owner": "you"}, "blob:/you/photos/k"),
        ({"project_name": "team"}, "blob:/team/photos/k"),
        ({"cluster_name": "there"}, "blob://there/me/photos/k"),
        ({"org_name": "acme"}, "blob://here/acme/me/photos/k"),
    ],
)
def test_an_address_is_shown_as_short_as_it_can_be(changes: dict[str, object], text: str) -> None:
    assert _address.shown(ME, a_bucket(**changes), "k") == text


def test_what_is_shown_for_people_keeps_their_letters_but_obeys_no_control_character() -> None:
    assert _address.shown(ME, a_bucket(), "Фото ?*#\x1b[2J\n100%") == "blob:photos/Фото %3F%2A#%1B%5B2J%0A100%25"


@given(key=st.one_of(st.text(min_size=1), st.text(string.punctuation + "a ", min_size=1)))
def test_what_is_shown_means_the_same_key_when_it_is_typed_and_is_no_pattern(key: str) -> None:
    bucket = a_bucket()
    address = _address.parse(_address.shown(ME, bucket, key))
    assert bucket.get_key_for_uri(address.url) == key
    assert not address.is_pattern
