"""The store suite on Azurite, with a SAS for just the container; and a smaller part of it with the account's key."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from azure.storage.blob import ContainerClient, ContentSettings

from neuro_sdk import (
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    IllegalArgumentError,
    IntegrityError,
    ResourceNotFound,
)
from neuro_sdk._http import Response, Stretch
from neuro_sdk._stores import azure_copy
from neuro_sdk._stores.azure import AzureStore
from neuro_sdk._stores.azure_blocks import block_id
from neuro_sdk._stores.azure_wire import AzureEndpoint
from neuro_sdk._stores.azure_xml import parse_page
from neuro_sdk._stores.base import BlobStore, Buffer, Part
from neuro_sdk._stores.checksums import CONTENT_MD5
from neuro_sdk._stores.memory import MemoryStore
from tests.azurite_fixture import Azurite, azure_store
from tests.conformance.stores import NEVER, ODD_KEYS, PATH_LIKE_TRAPS, StoreSuite, keys, pages, read

MIB = 2**20
BODY = bytes(range(256)) * 400
MD5 = hashlib.md5(BODY).digest()
REFUSED = frozenset(
    key
    for key in [*ODD_KEYS, *PATH_LIKE_TRAPS]
    if "\\" in key or key.count("/") > 253 or min(key) < " " or any(part.endswith(".") for part in key.split("/"))
)


class AzureSuite(StoreSuite):
    engine_name = "azurite"
    refused_keys = REFUSED
    unseen_keys: ClassVar[Mapping[str, str]] = {
        "\ufffe": "Azurite fails to list what XML cannot carry; Azure encodes it (tests/sdk/test_azure_xml.py)"
    }

    deleted_together, listed_together = 300, 1100  # Azurite stores a hundred blobs a second

    @pytest.mark.parametrize(
        "key", [*(key for key in NEVER if "é" not in key), "é" * 1025, "\U0001f600" * 513, "a/" * 254]
    )
    async def test_a_key_that_no_provider_takes_is_refused(self, store: BlobStore, key: str) -> None:
        await self._is_refused(store, key)

    @pytest.mark.parametrize("key", ["é" * 1024, "日" * 1024, "\U0001f600" * 512, "a/" * 253 + "a"])
    async def test_a_key_of_so_many_characters_is_kept(self, store: BlobStore, key: str) -> None:
        await self.test_an_odd_key_is_kept_exactly(store, key)

    def copy_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(azure_copy, "WHOLE_BYTES", 8 * MIB)
        monkeypatch.setattr(azure_copy, "PART_BYTES", 5 * MIB)

    async def open_uploads(self, store: BlobStore) -> int:
        assert isinstance(store, AzureStore)
        query = [("restype", "container"), ("comp", "list"), ("include", "uncommittedblobs")]
        page, _ = parse_page((await store._wire.request("GET", query=query)).body)
        return sum([len(await store.list_uploads(blob.key)) for blob in page.blobs])


class TestAzureStore(AzureSuite):
    @pytest.fixture
    async def store(self, azurite: Azurite, azure_container: ContainerClient) -> AsyncIterator[AzureStore]:
        token, ends_at = azurite.sas(str(azure_container.container_name))
        values = {"storage_endpoint": azurite.url, "sas_token": token, "expiry": ends_at.isoformat()}
        async with azure_store(azure_container, values) as store:
            yield store

    async def test_large_bodies_are_hauled_both_ways(self, store: AzureStore, tmp_path: Path) -> None:
        body = os.urandom(MIB) * 11 + b"the end"
        with (tmp_path / "file").open("w+b") as file, (tmp_path / "copy").open("w+b") as copy:
            file.write(body)
            file.flush()
            async with store.haul() as haul:
                assert await haul.put("whole", Stretch(file.fileno(), 0, len(body)), lambda: None)
                upload_id, at = await store.begin("parts"), 6 * MIB
                parts = [
                    await haul.put_part("parts", upload_id, 1, Stretch(file.fileno(), 0, at)),
                    await haul.put_part("parts", upload_id, 2, memoryview(body)[at:]),
                ]
                assert await store.list_parts("parts", upload_id) == [
                    Part(part.number, part.etag, part.size) for part in parts if part
                ]
                await store.complete("parts", upload_id, [part for part in parts if part is not None])
                for key in ("whole", "parts"):
                    info = await store.head(key)
                    for start, stop in ((0, len(body)), (5, at)):
                        os.ftruncate(copy.fileno(), 0)
                        assert await haul.get(info, start, stop, copy.fileno(), lambda _: None) == stop - start
                        assert os.pread(copy.fileno(), stop - start, start) == body[start:stop]

    async def test_small_blobs_go_both_ways_in_a_burst(self, store: AzureStore) -> None:
        bodies = {f"small/{number} é+%": os.urandom(number) for number in range(40)}
        stored: list[bool] = []
        fetched: dict[str, bytes | None] = {}

        def keep(key: str) -> Callable[[Buffer | None], None]:
            return lambda body: fetched.update({key: None if body is None else bytes(body)})

        async with store.burst() as burst:
            for key, body in bodies.items():
                burst.put(key, lambda body=body: body, stored.append)  # type: ignore[misc]  # a default of a lambda
            burst.put("dot.", lambda: b"refused", stored.append)
            await burst.drained()
            for key in bodies:
                burst.get(await store.head(key), keep(key))
            burst.get((await store.head("small/0 é+%"))._replace(etag='"another"'), keep("changed"))
            await burst.drained()
        assert sorted(stored) == [False, *[True] * 40]
        assert fetched == {**bodies, "changed": None}

    async def test_a_body_that_is_damaged_on_the_way_is_refused(self, store: AzureStore) -> None:
        wrong = [*CONTENT_MD5.sent(b"what was sent"), ("x-ms-blob-type", "BlockBlob")]
        with pytest.raises(IntegrityError, match="'key' in bucket"):
            await store._wire.request("PUT", "key", headers=wrong, body=b"what arrives!")
        upload_id = await store.begin("key")
        query = [("comp", "block"), ("blockid", block_id(upload_id, 1))]
        with pytest.raises(IntegrityError, match="'key' in bucket"):
            await store._wire.request("PUT", "key", query=query, headers=wrong[:1], body=b"what arrives!")
        assert await keys(store) == ([], [])

    async def test_a_blob_that_is_not_what_its_md5_says_is_not_taken(
        self, store: AzureStore, azure_container: ContainerClient
    ) -> None:
        await store.put("key", b"content")
        info = await store.head("key")
        settings = ContentSettings(content_md5=bytearray(16))
        azure_container.get_blob_client("key").set_http_headers(settings)
        with pytest.raises(IntegrityError, match="'key' in bucket"):
            await read(store, "key")
        assert await read(store, "key", 1, 3) == b"on"
        fetched: list[Buffer | None] = []
        async with store.burst() as burst:
            burst.get((await store.head("key")), fetched.append)
            await burst.drained()
        assert fetched == [None]
        assert info.size == 7

    async def test_many_are_deleted_in_batches(self, store: AzureStore, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        request = store._wire.request

        async def recording(method: str, *rest: Any, **options: Any) -> Response:
            asked.append(method)
            return await request(method, *rest, **options)

        monkeypatch.setattr(store._wire, "request", recording)
        await store.put("é //x", b"")
        assert await store.delete_many(["é //x", *(f"missing/{number}" for number in range(299))]) == []
        assert asked == ["PUT", "POST", "POST"]
        assert await keys(store) == ([], [])

    async def test_what_a_batch_may_not_delete_is_told_with_the_reason(
        self, azurite: Azurite, azure_container: ContainerClient
    ) -> None:
        azure_container.upload_blob("key", b"x")
        token, _ = azurite.sas(str(azure_container.container_name), "rwl")
        async with azure_store(azure_container, {"storage_endpoint": azurite.url, "sas_token": token}) as store:
            [(key, error)] = await store.delete_many(["key"])
            assert (key, type(error)) == ("key", AuthorizationError)
            assert (await store.head("key")).size == 1

    async def test_two_uploads_of_one_key_do_not_mix(self, store: AzureStore) -> None:
        first, second = await store.begin("key"), await store.begin("key")
        parts = {
            upload_id: [
                await store.put_part("key", upload_id, number, upload_id.encode() * number) for number in (1, 2)
            ]
            for upload_id in (first, second)
        }
        await store.abort("key", await store.begin("key"))
        assert list(await store.list_parts("key", first)) == parts[first]
        await store.complete("key", first, parts[first])
        await store.complete("key", first, parts[first])  # as after an answer that was lost
        assert await read(store, "key") == first.encode() * 3
        with pytest.raises(ResourceNotFound):
            await store.complete("key", second, parts[second])
        assert await read(store, "key") == first.encode() * 3

    async def test_an_upload_whose_part_is_missing_is_not_completed(self, store: AzureStore) -> None:
        upload_id = await store.begin("key")
        part = await store.put_part("key", upload_id, 1, b"x")
        missing = Part(2, block_id(upload_id, 2), 1)
        with pytest.raises(IllegalArgumentError, match="misses a part"):
            await store.complete("key", upload_id, [part, missing])
        with pytest.raises(ResourceNotFound):
            await store.list_parts("key", "0" * 24)
        with pytest.raises(BlobNotFound):
            await store.head("key")

    async def test_blocks_of_another_program_are_none_of_ours(
        self, store: AzureStore, azure_container: ContainerClient
    ) -> None:
        other = azure_container.get_blob_client("key")
        other.stage_block("t" * 30, b"theirs")
        upload_id = await store.begin("key")
        assert [upload.upload_id for upload in await store.list_uploads("key")] == [upload_id]
        part = await store.put_part("key", upload_id, 1, b"ours")
        await store.complete("key", upload_id, [part])
        assert await read(store, "key") == b"ours"

    async def test_what_microsofts_client_stores_is_the_same_to_us(
        self, store: AzureStore, azure_container: ContainerClient
    ) -> None:
        for key in ("plain", "a//b/", "/lead", "é +%?#&", "t/" * 100 + "t"):
            azure_container.upload_blob(key, key.encode())
            assert await read(store, key) == key.encode()
            info, theirs = await store.head(key), azure_container.get_blob_client(key).get_blob_properties()
            assert (info.size, info.etag, info.modified_at, info.created_at) == (
                theirs.size, theirs.etag, theirs.last_modified, theirs.creation_time,
            )  # fmt: skip
            [page] = await pages(store, key)
            assert list(page.blobs) == [info]


class TestCopies:
    """Between containers, as whom Azure reads the source, and what a copy keeps; the rest of copying is in the suite."""

    @pytest.fixture(params=["a SAS each", "the account's key"])
    async def stores(self, azurite: Azurite, request: pytest.FixtureRequest) -> AsyncIterator[list[AzureStore]]:
        opened: list[AzureStore] = []
        async with AsyncExitStack() as leaving:
            for permissions in ("rl", "rwdl"):
                container = leaving.enter_context(azurite.container())
                leaving.callback(container.delete_container)
                container.upload_blob(
                    "key é+%?", BODY, metadata={"of": "mine", "a_b": "1"},
                    content_settings=ContentSettings(content_type="text/plain", content_md5=bytearray(MD5)),
                )  # fmt: skip
                token, _ = azurite.sas(str(container.container_name), permissions)
                by = {"sas_token": token} if request.param == "a SAS each" else {"credential": azurite.key}
                values = {"storage_endpoint": azurite.url, **by}
                opened.append(await leaving.enter_async_context(azure_store(container, values)))
            yield opened

    @pytest.mark.parametrize("in_blocks", [False, True])
    async def test_a_copy_has_the_bytes_and_the_properties(
        self, stores: list[AzureStore], monkeypatch: pytest.MonkeyPatch, in_blocks: bool
    ) -> None:
        source, target = stores
        if in_blocks:
            monkeypatch.setattr(azure_copy, "WHOLE_BYTES", 1000)
            monkeypatch.setattr(azure_copy, "PART_BYTES", 30_000)
        assert await target.copy(source, await source.head("key é+%?"), "copy")
        assert await read(target, "copy") == BODY
        headers = (await target._wire.request("HEAD", "copy")).headers
        names = ["content-type", "content-md5", "x-ms-meta-of", "x-ms-meta-a_b"]
        assert [headers.get(name) for name in names] == ["text/plain", base64.b64encode(MD5).decode(), "mine", "1"]
        assert await target.list_uploads("copy") == []

    @pytest.mark.parametrize("in_blocks", [False, True])
    async def test_what_is_no_longer_that_blob_is_not_copied(
        self, stores: list[AzureStore], monkeypatch: pytest.MonkeyPatch, in_blocks: bool
    ) -> None:
        source, target = stores
        info = (await source.head("key é+%?"))._replace(etag='"0x123"')
        monkeypatch.setattr(azure_copy, "WHOLE_BYTES", 0 if in_blocks else 10**9)
        with pytest.raises(BlobChanged, match=r"'key é.*in bucket"):
            await target.copy(source, info, "copy")
        with pytest.raises(BlobNotFound, match="'gone' in bucket"):
            await target.copy(source, info._replace(key="gone"), "copy")
        assert (await keys(target))[0] == ["key é+%?"]

    async def test_what_azure_may_not_read_is_left_to_the_caller(
        self, azurite: Azurite, stores: list[AzureStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, target = stores
        info = await source.head("key é+%?")
        assert not await target.copy(MemoryStore("elsewhere"), info, "copy")
        assert not await target.copy(source, info._replace(etag=None), "copy")
        # Azurite checks who reads only where the copy is in blocks.
        monkeypatch.setattr(azure_copy, "WHOLE_BYTES", 0)
        monkeypatch.setattr(AzureEndpoint, "read_url", lambda self, key: f"{self.origin}{self.path}/key?sig=none")
        assert not await target.copy(source, info, "copy")
        assert (await keys(target))[0] == ["key é+%?"]


class TestAzureStoreWithTheAccountKey:
    """What is signed otherwise with a key; the operations themselves are the same."""

    refused_keys = REFUSED
    unseen_keys = AzureSuite.unseen_keys
    deleted_together = 300
    _is_refused = AzureSuite._is_refused

    @pytest.fixture
    async def store(self, azurite: Azurite, azure_container: ContainerClient) -> AsyncIterator[AzureStore]:
        values = {"storage_endpoint": azurite.url, "credential": azurite.key}
        async with azure_store(azure_container, values) as store:
            yield store

    test_what_is_put_comes_back = AzureSuite.test_what_is_put_comes_back
    test_head_and_listing_tell_the_same = AzureSuite.test_head_and_listing_tell_the_same
    test_a_missing_blob_is_named = AzureSuite.test_a_missing_blob_is_named
    test_a_range_is_exact = AzureSuite.test_a_range_is_exact
    test_reading_under_an_etag_refuses_another_blob = AzureSuite.test_reading_under_an_etag_refuses_another_blob
    test_a_large_buffer_is_stored = AzureSuite.test_a_large_buffer_is_stored
    test_delete_removes_and_repeats = AzureSuite.test_delete_removes_and_repeats
    test_delete_many_deletes_all_of_them = AzureSuite.test_delete_many_deletes_all_of_them
    test_an_odd_key_is_kept_exactly = AzureSuite.test_an_odd_key_is_kept_exactly
    test_odd_keys_live_side_by_side_and_leave_together = AzureSuite.test_odd_keys_live_side_by_side_and_leave_together
    test_a_listing_is_by_string_prefix = AzureSuite.test_a_listing_is_by_string_prefix
    test_parts_make_a_blob_when_completed = AzureSuite.test_parts_make_a_blob_when_completed
    test_large_bodies_are_hauled_both_ways = TestAzureStore.test_large_bodies_are_hauled_both_ways
    test_small_blobs_go_both_ways_in_a_burst = TestAzureStore.test_small_blobs_go_both_ways_in_a_burst
