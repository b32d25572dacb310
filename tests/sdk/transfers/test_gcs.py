"""Files, directories, listings and removals on Google Cloud Storage, with uploads in parts and on an emulator that has none."""

import os
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import BlobChanged, Bucket, ServerNotAvailable, StorageProgressComplete, StorageProgressStep
from neuro_sdk._blobs import glob_blobs, list_blobs, measure, remove
from neuro_sdk._http import HttpClient
from neuro_sdk._stores import open_store
from neuro_sdk._stores.base import Buffer, Part
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.parts import SourceFile
from tests.gcs_fixture import make_bucket
from tests.gcs_xml_server import XmlServer
from tests.sdk.gcs_helpers import BUCKET
from tests.sdk.transfers.helpers import MIB, Recorder, down, down_one, tree, up, up_one

LARGE = 3 * 16 * MIB + 12_345


@pytest.fixture(params=["parts", "sessions"])
async def store(request: pytest.FixtureRequest, gcs: XmlServer) -> AsyncIterator[Any]:
    url = gcs.url if request.param == "parts" else gcs.emulator_url
    async for store in opened(url):
        yield store


@pytest.fixture
async def in_parts(gcs: XmlServer) -> AsyncIterator[Any]:
    async for store in opened(gcs.url):
        yield store


async def opened(url: str) -> AsyncIterator[GcsStore]:
    name = f"transfers-{uuid.uuid4().hex[:12]}"
    make_bucket(url, name)

    async def issue() -> Mapping[str, str]:
        return {"bucket_name": name, "access_token": "any", "endpoint_url": url}

    http = HttpClient()
    store = await open_store(BUCKET, Credentials(issue), http)
    assert isinstance(store, GcsStore)
    yield store
    await http.aclose()


async def body_of(store: GcsStore, key: str) -> bytes:
    async with store.get(key) as reader:
        return b"".join([chunk async for chunk in reader])


async def test_a_directory_comes_back_as_it_went(src: Path, dst: Path, store: Any) -> None:
    (src / "large").write_bytes(os.urandom(LARGE))
    for path in src.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # or `update` would not be sure
    seen = Recorder()
    await up(src, store, progress=seen)
    await down(store, dst)
    assert tree(dst) == tree(src)
    assert [event.size for event in seen.of(StorageProgressComplete) if event.size > MIB] == [LARGE]
    large = [event.current for event in seen.of(StorageProgressStep) if event.size == LARGE]
    assert large == sorted(large)
    assert large[-1] == LARGE
    again = Recorder()
    await up(src, store, update=True, progress=again)
    assert again.of(StorageProgressComplete) == []


async def test_blobs_are_listed_found_counted_and_removed(src: Path, store: Any) -> None:
    await up(src, store, "")
    flat = [
        entry.key async for entries in list_blobs(BUCKET, store, "sub", recursive=True, limit=None) for entry in entries
    ]
    assert sorted(flat) == ["sub/", "sub/b.bin", "sub/deep/", "sub/deep/zero", "sub/odd name %+?#[1] é.txt"]
    here = [
        entry.key async for entries in list_blobs(BUCKET, store, "", recursive=False, limit=None) for entry in entries
    ]
    assert sorted(here) == ["a.txt", "empty/", "sub/"]
    found = [entry.key async for entries in glob_blobs(BUCKET, store, "**/*.bin") for entry in entries]
    assert found == ["sub/b.bin"]
    usage = [usage async for usage in measure(store)][-1]
    assert usage.object_count == 7
    await remove(BUCKET, store, "sub", recursive=True, progress=None)
    left = [
        entry.key async for entries in list_blobs(BUCKET, store, "", recursive=True, limit=None) for entry in entries
    ]
    assert sorted(left) == ["a.txt", "empty/"]


async def test_a_large_file_that_changes_while_it_is_read_is_not_stored(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(LARGE))
    read = SourceFile.read

    def changing(self: SourceFile, start: int, size: int) -> bytes:
        if start > 20 * MIB:
            os.utime(file, ns=(1, 1))
        return read(self, start, size)

    monkeypatch.setattr(SourceFile, "read", changing)
    with pytest.raises(BlobChanged, match="large"):
        await up_one(file, store)
    assert [blob.key async for page in store.list() for blob in page.blobs] == []


async def test_a_killed_upload_is_resumed_with_what_is_missing(
    tmp_path: Path, in_parts: Any, gcs: XmlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, journal, sent = tmp_path / "large", Journal(tmp_path / "journal"), []
    file.write_bytes(os.urandom(LARGE))
    put_part = in_parts.put_part

    async def killed(key: str, upload_id: str, number: int, body: Buffer) -> Part:
        if number > 2:
            raise ServerNotAvailable("killed")
        return await put_part(key, upload_id, number, body)  # type: ignore[no-any-return]

    async def counting(key: str, upload_id: str, number: int, body: Buffer) -> Part:
        sent.append(number)
        return await put_part(key, upload_id, number, body)  # type: ignore[no-any-return]

    async def not_aborted(key: str, upload_id: str) -> None:
        raise ServerNotAvailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr("neuro_sdk._transfer.parts.PARTS_AT_ONCE", 1)
        patch.setattr(in_parts, "put_part", killed)
        patch.setattr(in_parts, "abort", not_aborted)
        with pytest.raises(ServerNotAvailable, match="killed"):
            await up_one(file, in_parts, journal=journal)
    bucket = (await in_parts.wire.current_endpoint()).bucket
    assert gcs.under_way(bucket) == 1
    monkeypatch.setattr(in_parts, "put_part", counting)
    await up_one(file, in_parts, journal=journal)
    assert sorted(sent) == [3, 4]
    assert gcs.under_way(bucket) == 0
    assert await body_of(in_parts, "key") == file.read_bytes()
    await down_one(in_parts, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


async def test_a_bucket_of_this_provider_opens() -> None:
    async def never() -> Mapping[str, str]:
        raise AssertionError("nothing is asked before it is needed")

    http = HttpClient()
    assert BUCKET.provider is Bucket.Provider.GCP
    assert isinstance(await open_store(BUCKET, Credentials(never), http), GcsStore)
    await http.aclose()
