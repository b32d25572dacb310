"""What can be done with many blobs of one bucket: list, glob, tell directories, remove, measure. Algorithms over any store.

What they find comes in batches of a page at most: a step of an asynchronous generator is a good part of what a key costs.
A directory is nothing but a common beginning of keys up to a `/`; this and `_transfer` are the only rooms that know the word.
"""

import errno
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from itertools import chain, islice, repeat

from ._errors import BlobNotFound, IllegalArgumentError, TransferError
from ._glob import ANY_DEPTH, compile_part, compile_parts, has_magic, literal_head
from ._models import BlobCommonPrefix, BlobObject, Bucket, BucketEntry, BucketUsage
from ._progress import AbstractDeleteProgress, StorageProgressDelete
from ._stores.base import BlobInfo, BlobStore, Page, holds_any


def entry_of(bucket: Bucket, info: BlobInfo) -> BlobObject:
    """The public form of what a store tells."""
    # The `__init__` of a frozen value takes more than twice as long, and a listing makes one for every key.
    entry = object.__new__(BlobObject)
    values = entry.__dict__
    values["bucket"] = bucket
    values["key"], values["size"], values["modified_at"], values["created_at"], _ = info
    return entry


async def list_blobs(
    bucket: Bucket, store: BlobStore, prefix: str, *, recursive: bool, limit: int | None
) -> AsyncGenerator[Iterable[BucketEntry], None]:
    """Entries whose key begins with `prefix`, page by page; of each page the common prefixes first.

    A limit cuts the same listing short, so it asks for the same pages.
    """
    left = limit
    if left == 0:
        return
    async with aclosing(store.list(prefix, delimiter="" if recursive else "/")) as pages:
        async for page in pages:
            yield islice(_entries(bucket, page), left)
            if left is not None:
                left -= len(page.prefixes) + len(page.blobs)
                if left <= 0:
                    return


async def glob_blobs(bucket: Bucket, store: BlobStore, pattern: str) -> AsyncGenerator[list[BucketEntry], None]:
    """Entries that match; with a trailing `/` in the pattern, directories only."""
    dirs_only = pattern.endswith("/")
    parts = (pattern[:-1] if dirs_only else pattern).split("/")
    async with aclosing(_glob(bucket, store, "", parts, dirs_only=dirs_only)) as found:
        async for entries in found:
            yield [entry for entry in entries if entry.is_dir()] if dirs_only else entries


async def is_dir(store: BlobStore, key: str) -> bool:
    """Whether anything is under `key`; the bucket itself and whatever ends in `/` is a directory without asking."""
    return not key or key.endswith("/") or await holds_any(store, f"{key}/")


async def remove(
    bucket: Bucket, store: BlobStore, key: str, *, recursive: bool, progress: AbstractDeleteProgress | None
) -> None:
    """Remove a blob, or with `recursive` all that is under it too.

    Raises:
        FileNotFoundError: nothing is there.
        IsADirectoryError: it is a directory and `recursive` is not set.
        TransferError: some blobs could not be removed; all others were.
    """
    removal = _Removal(bucket, store, key.rstrip("/"), progress)
    found = False
    if key and not key.endswith("/"):
        found = await removal.remove_blob(key)
    if recursive:
        found |= await removal.remove_tree()
    elif not found and (not key or await holds_any(store, key if key.endswith("/") else f"{key}/")):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(bucket.uri_of(key)))
    if not found and key:
        raise FileNotFoundError(errno.ENOENT, "No such blob or directory", str(bucket.uri_of(key)))


async def measure(store: BlobStore) -> AsyncGenerator[BucketUsage, None]:
    """What the bucket holds, counted on with every page; at least one result."""
    size = count = 0
    async with aclosing(store.list("")) as pages:
        async for page in pages:
            size += sum(blob.size for blob in page.blobs)
            count += len(page.blobs)
            if page.blobs:
                yield BucketUsage(size, count)
    if not count:
        yield BucketUsage(0, 0)


class _Removal:
    """One removal under way: which directories are open, what was refused."""

    def __init__(self, bucket: Bucket, store: BlobStore, root: str, progress: AbstractDeleteProgress | None) -> None:
        self._bucket, self._store, self._root, self._progress = bucket, store, root, progress
        self._open_dirs: list[str] = []

    async def remove_blob(self, key: str) -> bool:
        """Remove one blob; False if it is not there."""
        try:
            await self._store.head(key)
        except BlobNotFound:
            return False
        await self._store.delete(key)
        self._tell(key, is_dir=False)
        return True

    async def remove_tree(self) -> bool:
        """Remove all that is under the root; False if nothing was."""
        prefix = f"{self._root}/" if self._root else ""
        failed: list[str] = []
        found = False
        async with aclosing(self._store.list(prefix)) as pages:
            async for page in pages:
                found |= bool(page.blobs)
                refused = {
                    key: str(error) for key, error in await self._store.delete_many([blob.key for blob in page.blobs])
                }
                failed += refused.values()
                for blob in page.blobs:
                    self._enter(blob.key, prefix)
                    if blob.key not in refused and not entry_of(self._bucket, blob).is_dir():
                        self._tell(blob.key, is_dir=False)
        self._leave_until("")
        if found and self._root:
            self._tell(self._root, is_dir=True)
        if failed:
            raise TransferError(
                f"{len(failed)} blobs of bucket {self._bucket.name or self._bucket.id!r} were not removed:", failed
            )
        return found

    def _enter(self, key: str, prefix: str) -> None:
        # Keys of one directory come one after the other in every listing, so a directory is done when the next key is outside of it.
        folder = key[: key.rfind("/") + 1]
        self._leave_until(folder)
        at = len(self._open_dirs[-1]) if self._open_dirs else len(prefix)
        while (slash := folder.find("/", at)) >= 0:
            at = slash + 1
            self._open_dirs.append(folder[:at])

    def _leave_until(self, folder: str) -> None:
        while self._open_dirs and not (folder and folder.startswith(self._open_dirs[-1])):
            self._tell(self._open_dirs.pop().removesuffix("/"), is_dir=True)

    def _tell(self, key: str, *, is_dir: bool) -> None:
        if self._progress is not None:
            self._progress.delete(StorageProgressDelete(self._bucket.uri_of(key), is_dir))


async def _glob(
    bucket: Bucket, store: BlobStore, prefix: str, parts: list[str], *, dirs_only: bool
) -> AsyncGenerator[list[BucketEntry], None]:
    while len(parts) > 1 and not has_magic(parts[0]):
        prefix, parts = f"{prefix}{parts[0]}/", parts[1:]
    part, rest = parts[0], parts[1:]
    if part == ANY_DEPTH:
        matches = compile_parts(parts).fullmatch
        async with aclosing(store.list(prefix)) as pages:
            async for page in pages:
                yield [
                    entry_of(bucket, blob)
                    for blob in page.blobs
                    if ((relative := blob.key[len(prefix) :]) or (prefix and len(parts) == 1))
                    and matches(relative.removesuffix("/") if dirs_only else relative)
                ]
        return
    matches = compile_part(part).fullmatch
    async with aclosing(store.list(prefix + literal_head(part), delimiter="/")) as pages:
        async for page in pages:
            matching = [
                entry
                for entry in _entries(bucket, page)
                if (name := entry.key[len(prefix) :]) and matches(name.removesuffix("/"))
            ]
            if not rest:
                yield matching
                continue
            for entry in matching:
                if isinstance(entry, BlobCommonPrefix):
                    async with aclosing(_glob(bucket, store, entry.key, rest, dirs_only=dirs_only)) as deeper:
                        async for entries in deeper:
                            yield entries


def _entries(bucket: Bucket, page: Page) -> Iterator[BucketEntry]:
    prefixes = (BlobCommonPrefix(prefix, bucket) for prefix in page.prefixes)
    return chain(prefixes, map(entry_of, repeat(bucket), page.blobs))


def check_limit(limit: int | None) -> None:
    """Refuse a limit that means nothing."""
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise IllegalArgumentError(f"limit is a number of entries from 0, or None for all, not {limit!r}")
