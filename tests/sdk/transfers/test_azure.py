"""Whole directories to Azure and back: what the memory store shows about transfers, once more on Azurite's ways."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from neuro_sdk import Bucket, TransferError
from neuro_sdk._blobs import list_blobs, measure, remove
from neuro_sdk._stores.azure import AzureStore
from neuro_sdk._stores.base import Buffer, Part
from neuro_sdk._transfer.download import download_dir
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.parts import SourceFile
from neuro_sdk._transfer.upload import upload_dir, upload_file
from tests.azurite_fixture import Azurite, azure_store
from tests.sdk.transfers.helpers import tree

MIB = 2**20
BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.AZURE, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket")


@pytest.fixture
async def azure(azurite: Azurite, azure_container: ContainerClient) -> AsyncIterator[AzureStore]:
    token, _ = azurite.sas(str(azure_container.container_name))
    async with azure_store(azure_container, {"storage_endpoint": azurite.url, "sas_token": token}) as store:
        yield store


async def up(src: Path, store: AzureStore, journal: Journal) -> None:
    options: dict[str, Any] = {"wanted": None, "ignore_file_names": frozenset(), "progress": None}
    await upload_dir(src, BUCKET, store, "dir", journal=journal, update=False, **options)


async def keys(store: AzureStore, *, recursive: bool) -> list[str]:
    found = list_blobs(BUCKET, store, "dir/", recursive=recursive, limit=None)
    return sorted([entry.key async for batch in found for entry in batch])


async def test_a_directory_comes_back_as_it_went_and_is_removed(
    src: Path, dst: Path, tmp_path: Path, azure: AzureStore
) -> None:
    (src / "large").write_bytes(os.urandom(MIB) * 17 + b"the end")
    (src / "middling").write_bytes(os.urandom(MIB))
    await up(src, azure, Journal(tmp_path / "journal"))
    await download_dir(BUCKET, azure, "dir", dst, update=False, continue_=False, wanted=None, progress=None)
    assert tree(dst) == tree(src)
    assert await keys(azure, recursive=False) == [
        "dir/",
        "dir/a.txt",
        "dir/empty/",
        "dir/large",
        "dir/middling",
        "dir/sub/",
    ]
    files = [path for path in src.rglob("*") if path.is_file()]
    usage = [usage async for usage in measure(azure)][-1]
    assert usage.total_bytes == sum(path.stat().st_size for path in files)
    assert usage.object_count == len(await keys(azure, recursive=True))
    await remove(BUCKET, azure, "dir", recursive=True, progress=None)
    assert await keys(azure, recursive=True) == []


async def test_a_file_whose_name_azure_would_change_is_told_and_the_rest_goes_on(
    src: Path, tmp_path: Path, azure: AzureStore
) -> None:
    (src / "dot.").write_bytes(b"x")
    (src / "back\\slash").write_bytes(b"x")
    with pytest.raises(TransferError) as caught:
        await up(src, azure, Journal(tmp_path / "journal"))
    assert len(caught.value.failures) == 2
    assert "dir/a.txt" in await keys(azure, recursive=True)


async def test_an_upload_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, azure: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, journal = tmp_path / "file", Journal(tmp_path / "journal")
    path.write_bytes(os.urandom(MIB) * 50)
    with path.open("rb") as opened:  # as a process that was killed after two of four parts
        file = SourceFile(path, opened.fileno())
        ticket = journal.begin(file.entry(BUCKET.id, "key"))
        ticket.begun(upload_id := await azure.begin("key"))
        for number in (1, 3):
            ticket.note(await azure.put_part("key", upload_id, number, file.read((number - 1) * 16 * MIB, 16 * MIB)))
        ticket.close(keep=True)
    sent: list[int] = []
    put_part = azure.put_part

    async def counting(key: str, upload_id: str, number: int, body: Buffer) -> Part:
        sent.append(number)
        return await put_part(key, upload_id, number, body)

    async def nothing(*_: object) -> None:
        """Nothing is hauled: all parts go with care, where they are counted."""

    monkeypatch.setattr("neuro_sdk._http.Haul.run", nothing)
    monkeypatch.setattr(azure, "put_part", counting)
    await upload_file(path, BUCKET, azure, "key", journal=journal, update=False, progress=None)
    assert sorted(sent) == [2, 4]
    async with azure.get("key") as reader:
        assert b"".join([chunk async for chunk in reader]) == path.read_bytes()
    assert list((tmp_path / "journal").iterdir()) == []


async def test_an_upload_that_nobody_goes_on_with_is_aborted(tmp_path: Path, azure: AzureStore) -> None:
    path, journal = tmp_path / "file", Journal(tmp_path / "journal")
    path.write_bytes(os.urandom(MIB))
    with path.open("rb") as opened:  # as a process that was killed before it knew the id
        journal.begin(SourceFile(path, opened.fileno()).entry(BUCKET.id, "key")).close(keep=True)
        await azure.begin("key")
    await upload_file(path, BUCKET, azure, "another", journal=journal, update=False, progress=None)
    assert await azure.list_uploads("key") == []
    assert list((tmp_path / "journal").iterdir()) == []
