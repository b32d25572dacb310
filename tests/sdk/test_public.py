"""The public surface: what the API reference documents and what the released 23.2 accepts, written down here as data."""

import abc
import dataclasses
import importlib.metadata
import inspect
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest
from yarl import URL

import neuro_sdk
from neuro_sdk import Bucket, Buckets

REQUIRED = inspect.Parameter.empty
NAMED = {"bucket_id_or_name": REQUIRED, "cluster_name": None, "bucket_owner": None}
BLOB = {"bucket_id_or_name": REQUIRED, "key": REQUIRED, "cluster_name": None, "bucket_owner": None}
# Every method of `Buckets` in the reference: its parameters in their order, with their defaults; those after "*" are keyword-only.
METHODS: Mapping[str, Mapping[str, object]] = {
    "list": {"cluster_name": None},
    "create": {"name": REQUIRED, "cluster_name": None, "org_name": None},
    "import_external": {"provider": REQUIRED, "provider_bucket_name": REQUIRED, "credentials": REQUIRED, "name": None,
                        "cluster_name": None, "org_name": None},
    "get": NAMED,
    "rm": NAMED,
    "request_tmp_credentials": NAMED,
    "set_public_access": {"bucket_id_or_name": REQUIRED, "public_access": REQUIRED, "cluster_name": None, "bucket_owner": None},
    "head_blob": BLOB,
    "put_blob": {"bucket_id_or_name": REQUIRED, "key": REQUIRED, "body": REQUIRED, "cluster_name": None, "bucket_owner": None},
    "fetch_blob": {"bucket_id_or_name": REQUIRED, "key": REQUIRED, "offset": 0, "cluster_name": None, "bucket_owner": None},
    "delete_blob": BLOB,
    "list_blobs": {"uri": REQUIRED, "recursive": False, "limit": 10000},
    "glob_blobs": {"uri": REQUIRED},
    "upload_file": {"src": REQUIRED, "dst": REQUIRED, "*": 0, "update": False, "progress": None},
    "download_file": {"src": REQUIRED, "dst": REQUIRED, "*": 0, "update": False, "continue_": False, "progress": None},
    "upload_dir": {"src": REQUIRED, "dst": REQUIRED, "*": 0, "update": False, "filter": None, "ignore_file_names": frozenset(),
                   "progress": None},
    "download_dir": {"src": REQUIRED, "dst": REQUIRED, "*": 0, "update": False, "continue_": False, "filter": None, "progress": None},
    "blob_is_dir": {"uri": REQUIRED},
    "blob_rm": {"uri": REQUIRED, "*": 0, "recursive": False, "progress": None},
    "make_signed_url": {"uri": REQUIRED, "expires_in_seconds": 3600},
    "get_disk_usage": NAMED,
    "persistent_credentials_list": {"cluster_name": None},
    "persistent_credentials_create": {"bucket_ids": REQUIRED, "name": REQUIRED, "read_only": False, "cluster_name": None},
    "persistent_credentials_get": {"credential_id_or_name": REQUIRED, "cluster_name": None},
    "persistent_credentials_rm": {"credential_id_or_name": REQUIRED, "cluster_name": None},
}  # fmt: skip
# What we have beyond the reference.
MORE = {"share", "unshare", "shares", "revoke_signed_urls", "copy_blob", "copy_dir", "move_blob", "move_dir"}
STREAMING = {"list", "fetch_blob", "list_blobs", "glob_blobs", "get_disk_usage", "persistent_credentials_list"}

# What each class of the reference tells, in the order in which the released 23.2 takes it; then what is not a field.
FIELDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "Bucket": (
        ["id", "owner", "cluster_name", "org_name", "provider", "created_at", "imported", "public", "name"],
        ["uri", "get_key_for_uri", "Provider"],
    ),
    "BucketCredentials": (["bucket_id", "provider", "credentials"], []),
    "PersistentBucketCredentials": (["id", "owner", "cluster_name", "name", "read_only", "credentials"], []),
    "BucketEntry": (["key", "bucket", "size", "created_at", "modified_at"], ["uri", "name", "is_dir", "is_file"]),
    "BlobObject": (["key", "bucket", "size", "created_at", "modified_at"], ["uri", "name", "is_dir", "is_file"]),
    "BlobCommonPrefix": (["key", "bucket", "size", "created_at", "modified_at"], ["uri", "name", "is_dir", "is_file"]),
    "BucketUsage": (["total_bytes", "object_count"], []),
    "StorageProgressStart": (["src", "dst", "size"], []),
    "StorageProgressStep": (["src", "dst", "current", "size"], []),
    "StorageProgressComplete": (["src", "dst", "size"], []),
    "StorageProgressEnterDir": (["src", "dst"], []),
    "StorageProgressLeaveDir": (["src", "dst"], []),
    "StorageProgressFail": (["src", "dst", "message"], []),
    "StorageProgressDelete": (["uri", "is_dir"], []),
}
CALLBACKS = {
    "AbstractFileProgress": {"start", "complete", "step"},
    "AbstractRecursiveFileProgress": {"start", "complete", "step", "enter", "leave", "fail"},
    "AbstractDeleteProgress": {"delete"},
}
# What users of the released SDKs catch.
BASES: Mapping[str, tuple[type[BaseException], ...]] = {
    "ClientError": (Exception,),
    "AuthError": (neuro_sdk.ClientError,),
    "AuthenticationError": (neuro_sdk.AuthError,),
    "AuthorizationError": (neuro_sdk.AuthError,),
    "BadGateway": (ValueError,),
    "ConfigError": (RuntimeError,),
    "IllegalArgumentError": (ValueError,),
    "NDJSONError": (ValueError,),
    "NotSupportedError": (NotImplementedError,),
    "ResourceNotFound": (ValueError,),
    "ServerNotAvailable": (ValueError,),
}
HEAVY = [
    "boto3", "botocore", "click", "cryptography", "email", "fastapi", "html", "http.client", "httptools", "httpx", "pathspec", "pydantic",
    "rich", "sqlalchemy", "urllib.request", "xml.etree.ElementTree", "neuro_buckets", "neuro_cli", "neuro_sdk._stores.s3",
]  # fmt: skip

TALKING = [
    "asyncio",
    "json",
    "socket",
    "ssl",
    "neuro_sdk._api",
    "neuro_sdk._buckets",
    "neuro_sdk._client",
    "neuro_sdk._http",
]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_documented_method_takes_what_is_documented(name: str) -> None:
    found = dict(inspect.signature(getattr(Buckets, name)).parameters)
    del found["self"]
    rest, by_name_only = iter(found.values()), False
    for parameter, default in METHODS[name].items():
        if parameter == "*":
            by_name_only = True
            continue
        ours = next(rest)
        assert ours.name == parameter
        assert ours.kind is (ours.KEYWORD_ONLY if by_name_only else ours.POSITIONAL_OR_KEYWORD)
        # The released code gives a default to what the reference shows without one: `create()`.
        assert ours.default == default or default is REQUIRED
    assert all(more.default is not REQUIRED for more in rest)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_what_streams_is_a_context_and_all_else_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(Buckets, name)) is (name not in STREAMING)


def test_every_public_method_is_documented() -> None:
    for name, method in inspect.getmembers(Buckets, inspect.isfunction):
        if not name.startswith("_"):
            assert name in METHODS.keys() | MORE
            assert inspect.getdoc(method)


OWNED = ("photos", "main", "alice")
URI = URL("blob:photos/k")


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("list", (), {}),
        ("list", ("main",), {}),
        ("list", (), {"cluster_name": "main", "org_name": None, "project_name": None}),
        ("create", (), {}),
        ("create", (None, "main", "acme"), {}),
        ("create", (), {"name": "photos", "cluster_name": "main", "org_name": "acme", "project_name": "site"}),
        *((name, OWNED, {}) for name in ("get", "rm", "request_tmp_credentials", "get_disk_usage")),
        *((name, ("photos", "k", "main", "alice"), {}) for name in ("head_blob", "delete_blob")),
        ("put_blob", ("photos", "k", b"", "main", "alice"), {}),
        ("fetch_blob", ("photos", "k", 5, "main", "alice"), {}),
        ("fetch_blob", ("photos", "k"), {"bucket_owner": "alice"}),
        ("get", ("photos",), {"org_name": "acme", "project_name": "site"}),
        ("list_blobs", (URI, True, None), {}),
        ("list_blobs", (URI,), {"recursive": True, "limit": 5}),
        ("glob_blobs", (URI,), {}),
        ("upload_file", (URI, URI), {"update": True, "progress": None}),
        ("download_file", (URI, URI), {"update": True, "continue_": True, "progress": None}),
        ("upload_dir", (URI, URI), {"update": True, "filter": None, "ignore_file_names": {".i"}, "progress": None}),
        ("download_dir", (URI, URI), {"update": True, "continue_": True, "filter": None, "progress": None}),
        ("blob_is_dir", (URI,), {}),
        ("blob_rm", (URI,), {"recursive": True, "progress": None}),
        ("make_signed_url", (URI, 60), {}),
        ("import_external", ("aws", "theirs", {}, "photos", "main", "acme"), {}),
        ("set_public_access", ("photos", True, "main", "alice"), {}),
        ("persistent_credentials_list", ("main",), {}),
        ("persistent_credentials_create", (["b"], "name", "main", True), {}),
        ("persistent_credentials_create", (["b"], "name", True, "main"), {}),
        ("persistent_credentials_get", ("name", "main"), {}),
        ("persistent_credentials_rm", ("name",), {"cluster_name": "main"}),
    ],
)
def test_the_calls_of_released_code_are_accepted(
    name: str, arguments: tuple[object, ...], named: dict[str, object]
) -> None:
    inspect.signature(getattr(Buckets, name)).bind(None, *arguments, **named)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_documented_class_is_a_frozen_value_that_tells_what_is_documented(name: str) -> None:
    kind = getattr(neuro_sdk, name)
    fields, others = FIELDS[name]
    assert [field.name for field in dataclasses.fields(kind)][: len(fields)] == fields
    assert kind.__dataclass_params__.frozen
    for other in others:
        assert hasattr(kind, other)
    for more in dataclasses.fields(kind)[len(fields) :]:
        assert more.default is not dataclasses.MISSING


def test_blobs_and_common_prefixes_are_entries() -> None:
    assert issubclass(neuro_sdk.BlobObject, neuro_sdk.BucketEntry)
    assert issubclass(neuro_sdk.BlobCommonPrefix, neuro_sdk.BucketEntry)


def test_the_providers_have_their_names_and_wire_values() -> None:
    released = {
        "AWS": "aws",
        "MINIO": "minio",
        "AZURE": "azure",
        "GCP": "gcp",
        "OPEN_STACK": "open_stack",
        "SEAWEEDFS": "seaweedfs",
    }
    assert released.items() <= {provider.name: provider.value for provider in Bucket.Provider}.items()


@pytest.mark.parametrize("name", sorted(CALLBACKS))
def test_a_progress_class_asks_for_the_documented_callbacks(name: str) -> None:
    kind: abc.ABCMeta = getattr(neuro_sdk, name)
    assert kind.__abstractmethods__ == CALLBACKS[name]
    for callback in CALLBACKS[name]:
        assert list(inspect.signature(getattr(kind, callback)).parameters) == ["self", "data"]


@pytest.mark.parametrize("name", sorted(BASES))
def test_an_error_is_caught_as_users_of_the_released_sdks_catch_it(name: str) -> None:
    error = getattr(neuro_sdk, name)
    assert issubclass(error, neuro_sdk.NeuroError)
    assert all(issubclass(error, base) for base in BASES[name])


def test_every_public_name_is_listed_in_order() -> None:
    listed = neuro_sdk.__all__
    assert listed == sorted(listed)
    assert len(set(listed)) == len(listed)
    there = {
        name for name in dir(neuro_sdk) if not name.startswith("_") and not inspect.ismodule(getattr(neuro_sdk, name))
    }
    assert set(listed) == there


def test_every_public_object_is_at_home_in_the_package() -> None:
    for name in neuro_sdk.__all__:
        assert getattr(neuro_sdk, name).__module__ == "neuro_sdk"
    assert Bucket.Provider.__module__ == "neuro_sdk"


def test_the_version_is_the_packages() -> None:
    assert neuro_sdk.__version__ == importlib.metadata.version("neuro-buckets")


def printed_by(*lines: str) -> list[str]:
    """What a fresh Python prints."""
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


def test_importing_the_sdk_imports_nothing_that_talks_to_servers() -> None:
    loaded = set(printed_by("import sys, neuro_sdk", "print(*sys.modules)"))
    assert "neuro_sdk._models" in loaded
    assert loaded & {*HEAVY, *TALKING} == set()


def test_the_client_imports_nothing_heavy() -> None:
    loaded = set(printed_by("import sys, neuro_sdk", "neuro_sdk.Client", "print(*sys.modules)"))
    assert {"neuro_sdk._buckets", "neuro_sdk._client"} <= loaded
    assert loaded & {*HEAVY, "tomllib"} == set()


@pytest.mark.parametrize("name", ["Buckets", "Client", "get", "login_with_token"])
def test_what_is_imported_on_first_use_is_like_any_other_name(name: str) -> None:
    lines = printed_by(
        "import pickle, neuro_sdk",
        f"assert {name!r} in dir(neuro_sdk) and {name!r} not in vars(neuro_sdk)",
        f"first = pickle.loads(b'cneuro_sdk\\n{name}\\n.')",
        f"from neuro_sdk import {name}",
        f"assert {name} is first is neuro_sdk.{name} is vars(neuro_sdk)[{name!r}]",
        f"assert pickle.loads(pickle.dumps({name})) is first",
        f"print({name}.__module__)",
    )
    assert lines == ["neuro_sdk"]


def test_a_star_takes_every_public_name() -> None:
    names = printed_by(
        "before = {*globals(), 'before'}", "from neuro_sdk import *", "print(*globals().keys() - before)"
    )
    assert sorted(names) == neuro_sdk.__all__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'neuro_sdk' has no attribute 'Bukkets'"):
        getattr(neuro_sdk, "Bukkets")  # noqa: B009 - mypy knows that it is not there
