"""What every store must do, as one class. A test module derives from it and says how to get a store; a fault is fixed here for all."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from neuro_sdk import BlobChanged, BlobNotFound, IllegalArgumentError, ResourceNotFound
from neuro_sdk._stores.base import BlobInfo, BlobStore, Page
from neuro_sdk._stores.multipart import SINGLE_PUT_BYTES

MIB = 2**20
ODD_KEYS = [
    "plain",
    "a/b/c.txt",
    "a/b",
    "with space",
    " leading and trailing ",
    "100%",
    "%2F",
    "%",
    "a+b",
    "q?x=1&y=2",
    "#hash",
    "[set]",
    "{curly}|^~`",
    "quo'te\"s",
    "<xml>&amp;",
    "日本語/ключ/é",
    "e\u0301",
    "\U0001f600",
    "tab\tnew\nline",
    "\x01control\x7f",
    "\ufffe",
    "...",
    "a..b",
    "..x/y..",
    "~",
    "-rf",
    "C:x",
    "dot.",
    "k" * 1024,
    "é" * 512,
    "x/" * 511 + "yz",
]
PATH_LIKE_TRAPS = ["a//b", "/lead", "//two", "a\\b", "..", ".", "../x", "a/../b", "./a", "a/.", "end//", "nul\0"]
NEVER = ["", "k" * 1025, "é" * 513, "\ud800"]


async def read(store: BlobStore, key: str, start: int = 0, stop: int | None = None, etag: str | None = None) -> bytes:
    async with store.get(key, start=start, stop=stop, etag=etag) as reader:
        return b"".join([chunk async for chunk in reader])


async def pages(store: BlobStore, prefix: str = "", delimiter: str = "", page_size: int = 1000) -> list[Page]:
    return [page async for page in store.list(prefix, delimiter=delimiter, page_size=page_size)]


async def keys(
    store: BlobStore, prefix: str = "", delimiter: str = "", page_size: int = 1000
) -> tuple[list[str], list[str]]:
    found = await pages(store, prefix, delimiter, page_size)
    return sorted(blob.key for page in found for blob in page.blobs), sorted(
        prefix for page in found for prefix in page.prefixes
    )


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def repeat(chunk: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield chunk


class StoreSuite:
    """Derive, give a fixture `store`: an empty bucket, and name the engine; what it cannot show is in `exceptions`."""

    engine_name: str
    rewrites_path_like_keys = False
    """The provider would rewrite what looks like a path, so the store refuses such keys."""
    refused_keys: frozenset[str] = frozenset()
    """Those of the odd keys, and of what looks like a path, that just this provider would not keep, so the store refuses them."""
    unseen_keys: ClassVar[Mapping[str, str]] = {}
    """Odd keys that the provider keeps and the engine of these tests does not, with the reason: they are skipped."""
    deleted_together, listed_together = 1100, 2500
    """More than fit one request, and three pages."""
    keeps_marker_bodies = True
    """Whether a key that ends in `/` can have content."""

    copies = True
    """Whether the storage copies within one bucket by itself."""

    def copy_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the store copy in parts, where it does, from 8 MiB on: no test has the time for what it takes in earnest."""

    async def open_uploads(self, store: BlobStore) -> int:
        """How many uploads in parts are open at the provider."""
        raise NotImplementedError

    @pytest.mark.parametrize("size", [0, 1, 4096, 70_000, 5 * MIB + 1])
    async def test_what_is_put_comes_back(self, store: BlobStore, size: int) -> None:
        body = os.urandom(size)
        await store.put("key", body)
        assert await read(store, "key") == body

    async def test_head_tells_size_and_time_and_etag(self, store: BlobStore) -> None:
        await store.put("key", b"12345")
        info = await store.head("key")
        assert (info.key, info.size) == ("key", 5)
        assert info.modified_at is not None
        assert info.modified_at.tzinfo is not None
        assert info.etag

    async def test_head_and_listing_tell_the_same(self, store: BlobStore) -> None:
        await store.put("key", b"12345")
        [page] = await pages(store)
        info = await store.head("key")
        assert (page.blobs[0].key, page.blobs[0].size, page.blobs[0].etag) == (info.key, info.size, info.etag)

    async def test_put_replaces(self, store: BlobStore) -> None:
        await store.put("key", b"old content")
        before = await store.head("key")
        await store.put("key", b"new")
        assert await read(store, "key") == b"new"
        assert (await store.head("key")).etag != before.etag

    async def test_a_missing_blob_is_named(self, store: BlobStore) -> None:
        with pytest.raises(BlobNotFound, match="missing/blob"):
            await store.head("missing/blob")
        with pytest.raises(BlobNotFound, match="missing/blob"):
            await read(store, "missing/blob")

    async def test_a_common_beginning_is_no_blob(self, store: BlobStore) -> None:
        await store.put("folder/file", b"x")
        for key in ("folder", "folder/"):
            with pytest.raises(BlobNotFound):
                await store.head(key)
            with pytest.raises(BlobNotFound):
                await read(store, key)

    @pytest.mark.parametrize(
        ("start", "stop", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (3, 5, b"34"),
            (9, 10, b"9"),
            (8, 100, b"89"),
            (10, None, b""),
            (99, None, b""),
            (4, 4, b""),
        ],
    )
    async def test_a_range_is_exact(self, store: BlobStore, start: int, stop: int | None, expected: bytes) -> None:
        await store.put("key", b"0123456789")
        assert await read(store, "key", start, stop) == expected

    async def test_a_range_tells_of_the_whole_blob(self, store: BlobStore) -> None:
        await store.put("key", b"0123456789")
        async with store.get("key", start=4, stop=6) as reader:
            assert reader.info.size == 10

    async def test_an_empty_blob_reads_empty_from_anywhere(self, store: BlobStore) -> None:
        await store.put("key", b"")
        assert await read(store, "key") == b""
        assert await read(store, "key", 5) == b""

    async def test_reading_under_an_etag_refuses_another_blob(self, store: BlobStore) -> None:
        await store.put("key", b"first")
        etag = (await store.head("key")).etag
        assert await read(store, "key", etag=etag) == b"first"
        await store.put("key", b"second")
        with pytest.raises(BlobChanged):
            await read(store, "key", etag=etag)

    async def test_leaving_a_reader_early_is_fine(self, store: BlobStore) -> None:
        await store.put("key", os.urandom(4 * MIB))
        async with store.get("key") as reader:
            async for _ in reader:
                break
        assert (await store.head("key")).size == 4 * MIB

    async def test_a_stream_of_unknown_size_is_stored(self, store: BlobStore) -> None:
        await store.put("key", chunks(b"one ", b"", b"two ", b"three"))
        assert await read(store, "key") == b"one two three"

    async def test_an_empty_stream_is_an_empty_blob(self, store: BlobStore) -> None:
        await store.put("key", chunks())
        assert (await store.head("key")).size == 0

    async def test_a_long_stream_is_stored(self, store: BlobStore) -> None:
        chunk = os.urandom(MIB + 7)
        await store.put("key", repeat(chunk, 40))
        assert await read(store, "key") == chunk * 40
        assert await self.open_uploads(store) == 0

    async def test_a_large_buffer_is_stored(self, store: BlobStore) -> None:
        body = os.urandom(MIB) * 35
        await store.put("key", body)
        assert await read(store, "key") == body

    async def test_a_body_of_exactly_one_part_is_stored(self, store: BlobStore) -> None:
        body = bytes(SINGLE_PUT_BYTES)
        await store.put("key", body)
        assert (await store.head("key")).size == SINGLE_PUT_BYTES

    async def test_a_stream_that_fails_leaves_nothing(self, store: BlobStore) -> None:
        async def failing() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield bytes(MIB)
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError, match="the source broke"):
            await store.put("key", failing())
        with pytest.raises(BlobNotFound):
            await store.head("key")
        assert await self.open_uploads(store) == 0

    async def test_a_stream_that_fails_leaves_the_old_blob(self, store: BlobStore) -> None:
        async def failing() -> AsyncIterator[bytes]:
            yield b"new"
            raise RuntimeError("the source broke")

        await store.put("key", b"old")
        with pytest.raises(RuntimeError):
            await store.put("key", failing())
        assert await read(store, "key") == b"old"

    @pytest.mark.parametrize("after_mib", [1, 20, 45])
    async def test_a_cancelled_put_leaves_nothing(self, store: BlobStore, after_mib: int) -> None:
        reached, forever = asyncio.Event(), asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            for _ in range(after_mib):
                yield bytes(MIB)
            reached.set()
            await forever.wait()

        task = asyncio.create_task(store.put("key", stalling()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(BlobNotFound):
            await store.head("key")
        assert await self.open_uploads(store) == 0

    async def test_delete_removes_and_repeats(self, store: BlobStore) -> None:
        await store.put("key", b"x")
        await store.delete("key")
        await store.delete("key")
        with pytest.raises(BlobNotFound):
            await store.head("key")

    async def test_delete_touches_no_neighbour(self, store: BlobStore) -> None:
        for key in ("a", "a/b", "ab", "a/b/c"):
            await store.put(key, b"x")
        await store.delete("a/b")
        assert await keys(store) == (["a", "a/b/c", "ab"], [])

    async def test_delete_many_deletes_all_of_them(self, store: BlobStore) -> None:
        names = [f"many/{number:04}" for number in range(self.deleted_together)]
        await asyncio.gather(*(store.put(name, b"") for name in names))
        assert await store.delete_many([*names[50:], "missing"]) == []
        assert (await keys(store))[0] == names[:50]

    @pytest.mark.parametrize("key", ODD_KEYS)
    async def test_an_odd_key_is_kept_exactly(self, store: BlobStore, key: str) -> None:
        if key in self.refused_keys:
            await self._is_refused(store, key)
            return
        if key in self.unseen_keys:
            pytest.skip(self.unseen_keys[key])
        await store.put(key, b"body of it")
        assert await keys(store) == ([key], [])
        assert (await store.head(key)).key == key
        assert await read(store, key) == b"body of it"
        await store.delete(key)
        assert await keys(store) == ([], [])

    async def test_odd_keys_live_side_by_side_and_leave_together(self, store: BlobStore) -> None:
        kept = [key for key in ODD_KEYS if key not in self.refused_keys and key not in self.unseen_keys]
        for key in kept:
            await store.put(key, key.encode()[:100])
        assert (await keys(store, page_size=7))[0] == sorted(kept)
        for key in kept:
            assert await read(store, key) == key.encode()[:100]
        assert await store.delete_many(kept) == []
        assert await keys(store) == ([], [])

    @pytest.mark.parametrize("key", PATH_LIKE_TRAPS)
    async def test_a_key_like_a_path_is_kept_or_refused(self, store: BlobStore, key: str) -> None:
        if self.rewrites_path_like_keys or key in self.refused_keys:
            await self._is_refused(store, key)
        else:
            await store.put(key, b"x")
            assert await keys(store) == ([key], [])
            assert await read(store, key) == b"x"

    @pytest.mark.parametrize("key", NEVER)
    async def test_a_key_that_no_provider_takes_is_refused(self, store: BlobStore, key: str) -> None:
        await self._is_refused(store, key)

    async def _is_refused(self, store: BlobStore, key: str) -> None:
        for attempt in (store.put(key, b"x"), store.head(key), read(store, key), store.delete(key), store.begin(key)):
            with pytest.raises(IllegalArgumentError):
                await attempt
        assert await keys(store) == ([], [])

    async def test_a_marker_is_kept(self, store: BlobStore) -> None:
        await store.put("dir/", b"")
        await store.put("dir/file", b"x")
        assert (await store.head("dir/")).size == 0
        assert await read(store, "dir/") == b""
        assert (await keys(store))[0] == ["dir/", "dir/file"]
        await store.delete("dir/")
        assert (await keys(store))[0] == ["dir/file"]

    async def test_a_marker_with_a_body_is_kept_or_refused(self, store: BlobStore) -> None:
        if self.keeps_marker_bodies:
            await store.put("dir/", b"body")
            assert await read(store, "dir/") == b"body"
        else:
            for body in (b"body", chunks(b"", b"body")):
                with pytest.raises(IllegalArgumentError):
                    await store.put("dir/", body)
            assert await keys(store) == ([], [])

    async def test_a_marker_never_replaces_a_blob(self, store: BlobStore) -> None:
        await store.put("dir", b"precious")
        await store.put("dir/file", b"x")
        if self.keeps_marker_bodies:
            await store.put("dir/", b"")
        else:
            with pytest.raises(IllegalArgumentError):
                await store.put("dir/", b"")
        assert await read(store, "dir") == b"precious"

    @pytest.mark.parametrize("key", ["up", "a b/ü+%?#&=<>", "deep/er/up"])
    async def test_uploads_under_way_are_told_by_exactly_their_key(self, store: BlobStore, key: str) -> None:
        for other in (f"{key}x", f"{key}/x", f"x{key}"):
            await store.begin(other)
        begun = {await store.begin(key), await store.begin(key)}
        assert {upload.upload_id for upload in await store.list_uploads(key)} == begun
        now = datetime.now(UTC)
        for upload in await store.list_uploads(key):
            assert upload.begun_at is None or abs((upload.begun_at - now).total_seconds()) < 60
            await store.abort(key, upload.upload_id)
        assert await store.list_uploads(key) == []

    async def test_a_listing_is_by_string_prefix(self, store: BlobStore) -> None:
        for key in ("folder1/a", "folder1/sub/b", "folder2/c", "fo", "other"):
            await store.put(key, b"x")
        assert (await keys(store, "folder"))[0] == ["folder1/a", "folder1/sub/b", "folder2/c"]
        assert await keys(store, "folder", "/") == ([], ["folder1/", "folder2/"])
        assert await keys(store, "folder1/", "/") == (["folder1/a"], ["folder1/sub/"])
        assert await keys(store, "fo", "/") == (["fo"], ["folder1/", "folder2/"])
        assert await keys(store, "nothing") == ([], [])

    @pytest.mark.parametrize("prefix", ["a//", "/a", "a/../a/", "a/./", "a\\", "//"])
    async def test_a_prefix_is_not_taken_for_another(self, store: BlobStore, prefix: str) -> None:
        await store.put("a/b", b"x")
        for delimiter in ("", "/"):
            pages = [page async for page in store.list(prefix, delimiter=delimiter)]
            assert [blob.key for page in pages for blob in page.blobs] == []
            assert [found for page in pages for found in page.prefixes] == []

    async def test_a_long_listing_has_everything_once(self, store: BlobStore) -> None:
        names = [f"{number % 7}/{number:04}" for number in range(self.listed_together)]
        await asyncio.gather(*(store.put(name, b"") for name in names))
        assert (await keys(store))[0] == sorted(names)
        assert (await keys(store, page_size=100))[0] == sorted(names)
        assert await keys(store, "", "/", page_size=3) == ([], [f"{number}/" for number in range(7)])

    async def test_parts_make_a_blob_when_completed(self, store: BlobStore) -> None:
        first, second = os.urandom(5 * MIB), b"the end"
        upload_id = await store.begin("parts")
        stored = [
            await store.put_part("parts", upload_id, 2, second),
            await store.put_part("parts", upload_id, 1, first),
        ]
        with pytest.raises(BlobNotFound):
            await store.head("parts")
        assert [(part.number, part.size) for part in await store.list_parts("parts", upload_id)] == [
            (1, len(first)),
            (2, len(second)),
        ]
        await store.complete("parts", upload_id, sorted(stored, key=lambda part: part.number))
        assert await read(store, "parts") == first + second

    async def test_an_aborted_upload_is_gone(self, store: BlobStore) -> None:
        upload_id = await store.begin("parts")
        part = await store.put_part("parts", upload_id, 1, b"x")
        await store.abort("parts", upload_id)
        await store.abort("parts", upload_id)
        with pytest.raises(ResourceNotFound):
            await store.complete("parts", upload_id, [part])
        with pytest.raises(BlobNotFound):
            await store.head("parts")

    async def test_many_writers_of_one_key_leave_one_whole_body(self, store: BlobStore) -> None:
        bodies = [bytes([number]) * 50_000 for number in range(16)]
        await asyncio.gather(*(store.put("key", body) for body in bodies))
        assert await read(store, "key") in bodies

    async def copy(self, store: BlobStore, info: BlobInfo, key: str) -> bool:
        """Copy within one bucket; returns whether that was done, which a storage that cannot has to say each time."""
        copied = await store.copy(store, info, key)
        assert copied is self.copies
        return copied

    @pytest.mark.parametrize("size", [0, 1, 70_000, 5 * MIB + 1])
    async def test_a_copy_holds_the_same(self, store: BlobStore, size: int) -> None:
        body = os.urandom(size)
        await store.put("from", body)
        if await self.copy(store, await store.head("from"), "to/it"):
            assert await read(store, "from") == await read(store, "to/it") == body
            assert (await keys(store))[0] == ["from", "to/it"]

    async def test_a_copy_replaces(self, store: BlobStore) -> None:
        await store.put("from", b"new")
        await store.put("to", b"the old one")
        if await self.copy(store, await store.head("from"), "to"):
            assert await read(store, "to") == b"new"

    async def test_a_copy_onto_itself_changes_nothing(self, store: BlobStore) -> None:
        await store.put("key", b"body")
        info = await store.head("key")
        if await self.copy(store, info, "key"):
            assert await store.head("key") == info
            assert await read(store, "key") == b"body"

    async def test_copies_of_odd_keys_are_exact(self, store: BlobStore) -> None:
        left_out = {*self.refused_keys, *self.unseen_keys}
        kept = [key for key in ODD_KEYS if len(key.encode()) < 1000 and key not in left_out]
        for key in kept:
            await store.put(key, key.encode())
            if await self.copy(store, await store.head(key), f"to/{key}"):
                assert await read(store, f"to/{key}") == key.encode()
        if self.copies:
            assert (await keys(store, "to/"))[0] == sorted(f"to/{key}" for key in kept)
        assert sorted(key for key in (await keys(store))[0] if not key.startswith("to/")) == sorted(kept)

    @pytest.mark.parametrize("key", PATH_LIKE_TRAPS)
    async def test_a_copy_to_a_key_like_a_path_is_exact_or_refused(self, store: BlobStore, key: str) -> None:
        await store.put("from", b"x")
        info = await store.head("from")
        if self.rewrites_path_like_keys or key in self.refused_keys:
            with pytest.raises(IllegalArgumentError):
                await store.copy(store, info, key)
            with pytest.raises(IllegalArgumentError):
                await store.copy(store, info._replace(key=key), "to")
            assert await keys(store) == (["from"], [])
        elif await self.copy(store, info, key):
            assert await read(store, key) == b"x"
            assert (await keys(store))[0] == sorted(["from", key])

    @pytest.mark.parametrize("key", [key for key in NEVER if "é" not in key])  # of characters, Azure takes more bytes
    async def test_a_copy_to_a_key_that_no_provider_takes_is_refused(self, store: BlobStore, key: str) -> None:
        await store.put("from", b"x")
        with pytest.raises(IllegalArgumentError):
            await store.copy(store, await store.head("from"), key)

    async def test_a_marker_is_copied_or_left_to_the_caller(self, store: BlobStore) -> None:
        await store.put("dir/", b"")
        if await store.copy(store, await store.head("dir/"), "other/"):
            assert (await store.head("other/")).size == 0
        else:
            assert (await keys(store))[0] == ["dir/"]

    async def test_a_copy_never_replaces_a_blob_by_a_marker(self, store: BlobStore) -> None:
        await store.put("from", b"")
        await store.put("dir", b"precious")
        await store.copy(store, await store.head("from"), "dir/")
        assert await read(store, "dir") == b"precious"

    @pytest.mark.parametrize("size", [5, 12 * MIB])
    async def test_a_copy_of_what_is_gone_leaves_the_old_blob(
        self, store: BlobStore, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        self.copy_in_parts(monkeypatch)
        await store.put("from", bytes(size))
        info = await store.head("from")
        await store.delete("from")
        await store.put("to", b"old")
        if self.copies:
            with pytest.raises(BlobNotFound, match="from"):
                await store.copy(store, info, "to")
        assert await read(store, "to") == b"old"
        assert await self.open_uploads(store) == 0

    @pytest.mark.parametrize("size", [5, 12 * MIB])
    @pytest.mark.parametrize("to", ["to", "from"])
    async def test_a_copy_of_what_changed_leaves_the_old_blob(
        self, store: BlobStore, monkeypatch: pytest.MonkeyPatch, size: int, to: str
    ) -> None:
        self.copy_in_parts(monkeypatch)
        await store.put("from", bytes(size))
        info = await store.head("from")
        await store.put("to", b"old")
        await store.put("from", b"now another")
        if self.copies:
            with pytest.raises(BlobChanged, match="from"):
                await store.copy(store, info, to)
        assert await read(store, "to") == b"old"
        assert await read(store, "from") == b"now another"
        assert await self.open_uploads(store) == 0

    async def test_a_large_blob_is_copied_in_order(self, store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copy_in_parts(monkeypatch)
        body = os.urandom(17 * MIB + 5)
        await store.put("a b/+%ü", body)
        if await self.copy(store, await store.head("a b/+%ü"), "to?&=#"):
            assert await read(store, "to?&=#") == body
        assert await self.open_uploads(store) == 0

    async def test_a_cancelled_copy_of_a_large_blob_leaves_the_old_one(
        self, store: BlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.copy_in_parts(monkeypatch)
        body = os.urandom(17 * MIB)
        await store.put("from", body)
        await store.put("to", b"old")
        task = asyncio.create_task(store.copy(store, await store.head("from"), "to"))
        await asyncio.sleep(0.03)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert await read(store, "to") in (b"old", body)
        assert await self.open_uploads(store) == 0
