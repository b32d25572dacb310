"""The released SDKs, as they are on the package index, at a real service: what each operation must give with both.

The operations are those of the comparison (`operations.py`); here stands what is right, whatever ours does. Where a released client is
wrong by itself, `recorded.json` has what it does instead, and `test_side_by_side.py` watches over it.
"""

from typing import Any

import pytest

from tests.interop.conftest import APOLO_26, NEURO_23, Results

pytestmark = [pytest.mark.timeout(300), pytest.mark.parametrize("client", [NEURO_23, APOLO_26])]

NOT_THERE = {"raises": ["ResourceNotFound", "ValueError"]}
REFUSED = {"raises": ["IllegalArgumentError", "ValueError"]}
NO_FILE = {"raises": ["FileNotFoundError", "OSError"], "errno": 2}
IS_DIRECTORY = {"raises": ["IsADirectoryError", "OSError"], "errno": 21}
NO_DIRECTORY = {"raises": ["NotADirectoryError", "OSError"], "errno": 20}

# fmt: off
EXPECTED: dict[str, Any] = {
    # buckets
    "bucket/get by name and by id": [True, True, "side", "default", False],
    "bucket/a life": [["default", False, False, True], ["empty", "short-lived", "side"], None, NOT_THERE],
    "bucket/without a name": [None, True, ["key"]],
    "bucket/get what is not there": NOT_THERE,
    "bucket/get an id that is not there": NOT_THERE,
    "bucket/create a name that is taken": REFUSED,
    "bucket/create a name that cannot be": REFUSED,
    "bucket/rm what is not there": NOT_THERE,
    "bucket/rm what is not empty": REFUSED,
    "bucket/put into what is not there": NOT_THERE,
    "bucket/signed address in what is not there": NOT_THERE,
    "bucket/credentials": [True, ["access_key_id", "bucket_name", "endpoint_url", "expiration", "region_name", "secret_access_key",
                                  "session_token"]],
    # single blobs
    "put/bytes": "abc",
    "put/chunks": "abc",
    "put/no chunks": "",
    "put/over a blob": "new",
    "put/a chunk that fails leaves no blob": {"outcome": {"raises": ["KeyError", "LookupError"]}, "then": []},
    "head/ten": ["Object", "ten", 10, "file", "ten"],
    "head/nothing": NOT_THERE,
    "fetch/ten from 0": "0123456789",
    "fetch/ten from 4": "456789",
    "delete/a blob": [None, ["delete/it/other"]],
    "delete/a key that is not there": None,
    # many blobs
    "list/tree/a/": [["Object", "tree/a/one.txt", 14, "file", "one.txt"], ["Object", "tree/a/two.txt", 14, "file", "two.txt"]],
    "list/tree/a": [["CommonPrefix", "tree/a/", 0, "dir", "a"], ["Object", "tree/a-b.txt", 12, "file", "a-b.txt"],
                    ["Object", "tree/a.txt", 10, "file", "a.txt"]],
    "list/tree/marked/ recursive": [["Object", "tree/marked/", 0, "dir", "marked"],
                                    ["Object", "tree/marked/child.txt", 21, "file", "child.txt"]],
    "list/nothing/": [],
    "list/positional arguments": ["tree/.dir/file", "tree/.hidden"],
    "glob/*.json": ["glob/bar.json"],
    "glob/**/x.json": ["glob/m/d/x.json", "glob/m/x.json", "glob/other/x.json", "glob/sub/deeper/x.json", "glob/sub/x.json"],
    "is_dir/blob:side/tree": True,
    "is_dir/blob:side/tree/a.txt": False,
    "is_dir/blob:side": True,
    "usage/the last is the whole": [True, True, True],
    # transfers
    "upload_file/new": {"outcome": None, "stored": {"up1/new": "local"},
                        "events": {"file:/file -> blob:side/up1/new": [["start", 5], "step", ["complete", 5]]}},
    "upload_file/update, the blob is newer": {"outcome": None, "stored": {"up10/old": "there"}, "events": {}},
    "upload_file/a large one": {"size": 17825792, "came back the same": True,
                                "events": {"file:/large -> blob:side/large/it": [["start", 17825792], "step", ["complete", 17825792]]}},
    "download_file/new": {"outcome": None, "here": {"new": "0123456789"},
                          "events": {"blob:side/ten -> file:/down/new": [["start", 10], "step", ["complete", 10]]}},
    "download_file/continue, newer and shorter, with what the blob begins with": {
        "outcome": None, "here": {"old": "0123456789"},
        "events": {"blob:side/ten -> file:/down/old": [["start", 10], "step", ["complete", 10]]}},
    "upload_dir/update into what is not there": {
        "outcome": None, "then": ["updir13/", "updir13/a.txt", "updir13/empty/", "updir13/sub/", "updir13/sub/c.txt",
                                  "updir13/sub/deep/", "updir13/sub/deep/d.txt", "updir13/zero"]},
    # signed addresses
    "signed/'ten' ()": ["URL", "http", True],
    "signed/'ten' (604800,)": ["URL", "http", True],
    "signed/'ten' (604801,)": REFUSED,
    # what came later
    "public/on and off": [403, True, 200, False, 403],
    "public/what is not there": NOT_THERE,
    "credentials/a life": [["PersistentBucketCredentials", "keys", True, "default", True,
                            [[True, ["access_key_id", "bucket_name", "endpoint_url", "region_name", "secret_access_key"]]]],
                           True, ["keys"], REFUSED, None, NOT_THERE],
    "credentials/for several buckets": [None, False, [False, True]],
    "credentials/for a bucket that is not there": NOT_THERE,
    "import/a bucket with its keys": ["imported", True, "minio", "0123456789", "0123456789"],
    "import/a bucket with keys that do not open it": REFUSED,
}
OUTCOMES: dict[str, Any] = {
    "rm/a blob": None,
    "rm/what is not there": NO_FILE,
    "rm/a directory": IS_DIRECTORY,
    "rm/a directory recursively": None,
    "upload_file/to a directory": IS_DIRECTORY,
    "upload_file/from absent to 'upf/a'": NO_FILE,
    "upload_file/from dir to 'upf/a'": IS_DIRECTORY,
    "download_file/what is not there": NO_FILE,
    "download_file/a directory": IS_DIRECTORY,
    "download_file/to a directory": IS_DIRECTORY,
    "upload_dir/new": None,
    "upload_dir/onto a blob": NO_DIRECTORY,
    "upload_dir/what is not there": NO_FILE,
    "upload_dir/a file": NO_DIRECTORY,
    "upload_dir/a filter": None,
    "download_dir/new": None,
    "download_dir/onto a file": NO_DIRECTORY,
    "download_dir/what is not there": NO_FILE,
    "download_dir/a blob": NO_DIRECTORY,
    "download_dir/again, continue": None,
}
# fmt: on


@pytest.mark.parametrize("name", EXPECTED)
def test_an_operation_of_a_released_client_works(results: Results, client: str, name: str) -> None:
    assert results[client][name] == EXPECTED[name]


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_operation_of_a_released_client_ends_as_it_should(results: Results, client: str, name: str) -> None:
    assert results[client][name]["outcome"] == OUTCOMES[name]


def test_what_a_released_client_takes_up_and_down_again_is_whole(results: Results, client: str) -> None:
    assert results[client]["upload_dir/new"]["stored"] == {
        "updir1/new/": 0, "updir1/new/a.txt": 5, "updir1/new/empty/": 0, "updir1/new/sub/": 0, "updir1/new/sub/c.txt": 9,
        "updir1/new/sub/deep/": 0, "updir1/new/sub/deep/d.txt": 14, "updir1/new/zero": 0,
    }  # fmt: skip
    here = results[client]["download_dir/new"]["here"]
    assert here == {
        "new/": None, "new/c/": None, "new/c/d/": None, "new/c/d/deep.txt": "tree/b/c/d/deep.txt", "new/x.bin": "tree/b/x.bin",
    }  # fmt: skip


def test_a_released_client_knows_the_provider_by_a_name_of_its_time(results: Results, client: str) -> None:
    """23.2 has never heard of `seaweedfs` and would fail in every call; it is told `minio`."""
    assert ("seaweedfs" in results[client]["surface/providers"]) is (client == APOLO_26)
