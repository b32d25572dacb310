"""The values that the SDK hands out: frozen, telling names and addresses that lead back, silent about secrets."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from neuro_sdk import (
    BlobCommonPrefix,
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketUsage,
    PersistentBucketCredentials,
)

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BUCKET = Bucket("bucket-1", "alice", "main", None, Bucket.Provider.AWS, NOON, False, name="photos")
CREDENTIALS = BucketCredentials("bucket-1", Bucket.Provider.AWS, {"secret_access_key": "hunter2"})
VALUES = [
    BUCKET,
    CREDENTIALS,
    PersistentBucketCredentials("credentials-1", "alice", "main", "ci", True, [CREDENTIALS]),
    BlobObject("a/b.txt", BUCKET, 5, None, NOON),
    BlobCommonPrefix("a/", BUCKET),
    BucketUsage(5, 1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_cannot_be_changed(value: object) -> None:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_survives_being_copied_and_sent_to_another_process(value: object) -> None:
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_repr_shows_a_secret(value: object) -> None:
    assert "hunter2" not in repr(value)
    assert "hunter2" not in f"{value}"


def test_the_address_of_a_bucket_has_its_name_and_else_its_id() -> None:
    assert str(BUCKET.uri) == "blob://main/alice/photos"
    assert str(dataclasses.replace(BUCKET, name=None).uri) == "blob://main/alice/bucket-1"
    assert str(dataclasses.replace(BUCKET, org_name="acme").uri) == "blob://main/acme/alice/photos"
    assert str(dataclasses.replace(BUCKET, project_name="site").uri) == "blob://main/site/photos"


@given(
    st.text(min_size=1),
    st.sampled_from([None, "acme"]),
    st.sampled_from([None, "site"]),
    st.sampled_from([None, "photos"]),
)
def test_the_address_of_an_entry_leads_back_to_its_key(
    key: str, org: str | None, project: str | None, name: str | None
) -> None:
    bucket = dataclasses.replace(BUCKET, org_name=org, project_name=project, name=name)
    for entry in (BlobObject(key, bucket), BlobCommonPrefix(key, bucket)):
        assert bucket.get_key_for_uri(URL(str(entry.uri))) == key


@pytest.mark.parametrize(
    "text", ["blob:photos/a/b", "blob:bucket-1/a/b", "blob:/alice/photos/a/b", "blob://main/alice/bucket-1/a/b"]
)
def test_a_short_address_is_understood_by_its_bucket(text: str) -> None:
    assert BUCKET.get_key_for_uri(URL(text)) == "a/b"


@pytest.mark.parametrize(
    "text", ["blob:other/k", "blob:/bob/photos/k", "blob://far/alice/photos/k", "file:///k", "blob:"]
)
def test_an_address_that_is_not_inside_the_bucket_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"blob:|bucket"):
        BUCKET.get_key_for_uri(URL(text))


@pytest.mark.parametrize(
    ("key", "name"),
    [("a", "a"), ("a/b.txt", "b.txt"), ("folder/", "folder"), ("a/folder/", "folder"), ("a//", "a"), ("/", ""), ("a/ ", " ")],
)  # fmt: skip
def test_a_name_is_the_last_part_of_the_key(key: str, name: str) -> None:
    assert BlobObject(key, BUCKET).name == name
    assert BlobCommonPrefix(key, BUCKET).name == name


@pytest.mark.parametrize(
    ("entry", "is_dir"),
    [
        (BlobObject("a", BUCKET, 0), False),
        (BlobObject("a", BUCKET, 5), False),
        (BlobObject("a/", BUCKET, 0), True),
        (BlobObject("a/", BUCKET, 5), False),
        (BlobCommonPrefix("a/", BUCKET), True),
        (BlobCommonPrefix("a-", BUCKET), True),
    ],
)
def test_directories_and_files_are_told_apart_with_and_without_the_documented_argument(
    entry: BucketEntry, is_dir: bool
) -> None:
    assert (entry.is_dir(), entry.is_dir(entry.uri)) == (is_dir, is_dir)
    assert (entry.is_file(), entry.is_file(entry.uri)) == (not is_dir, not is_dir)


def test_an_entry_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        BucketEntry("k", BUCKET)  # type: ignore[abstract]


def test_a_provider_is_its_wire_name() -> None:
    assert Bucket.Provider("aws") is Bucket.Provider.AWS
    assert f"{Bucket.Provider.OPEN_STACK}" == "open_stack"
    assert isinstance(Bucket.Provider.AWS, str)
    with pytest.raises(ValueError, match="tape"):
        Bucket.Provider("tape")
