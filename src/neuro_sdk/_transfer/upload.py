"""From the disk into a bucket. A file that changes while it is read is not stored."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator, Callable
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from yarl import URL

from neuro_sdk._concurrency import Budget
from neuro_sdk._errors import BlobChanged, BlobNotFound, IllegalArgumentError, TransferError
from neuro_sdk._ignore import IgnoreRules
from neuro_sdk._models import Bucket
from neuro_sdk._progress import AbstractFileProgress, AbstractRecursiveFileProgress
from neuro_sdk._stores.base import BlobStore, Buffer, Burst, exists, holds_any
from neuro_sdk._stores.multipart import PARTS_AT_ONCE, SINGLE_PUT_BYTES, part_bytes_for
from neuro_sdk._uri import file_uri

from .bulk import HAULED_BYTES, SMALL_BYTES, for_each_file
from .journal import Journal
from .parts import SourceFile, Uploads
from .scan import Filter, LocalEntry, entries_of, identity, is_wanted
from .select import is_newer
from .tree import NO_EVENTS, Directory, Failures, FileEvents

BYTES_AT_ONCE = 64 * 2**20


@dataclass(slots=True)
class _File:
    directory: Directory
    entry: LocalEntry
    key: str


async def upload_file(
    src: Path,
    bucket: Bucket,
    store: BlobStore,
    key: str,
    *,
    journal: Journal,
    update: bool,
    progress: AbstractFileProgress | None,
) -> None:
    """Upload one file.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: the file is a directory, or blobs are under the destination.
        BlobChanged: the file changed while it was read.
    """
    target = key.removesuffix("/")
    try:
        status = src.stat()
    except NotADirectoryError as error:  # a file is where a directory of its path should be
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(src)) from error
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(src))
    if not stat.S_ISREG(status.st_mode):
        raise IllegalArgumentError(f"{src} is no regular file: send what it gives with put_blob, or `neuro blob cp -`")
    if not target or await holds_any(store, f"{target}/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(bucket.uri_of(key)))
    if update and await is_stored(store, target, status.st_mtime):
        return
    async with Uploads(bucket.id, store, journal) as uploads:
        await _put_file(src, uploads, target, FileEvents(progress, file_uri(src), bucket.uri_of(target)))


async def upload_dir(
    src: Path,
    bucket: Bucket,
    store: BlobStore,
    key: str,
    *,
    journal: Journal,
    update: bool,
    wanted: Filter | None,
    ignore_file_names: AbstractSet[str],
    progress: AbstractRecursiveFileProgress | None,
) -> None:
    """Upload a directory and all in it.

    Raises:
        FileNotFoundError, NotADirectoryError: the source is not there or a file; the destination is a blob.
        TransferError: some files changed meanwhile, cannot be read, or have names that the provider does not keep; all others
            were uploaded.
    """
    if not src.is_dir():
        code = errno.ENOTDIR if src.exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), str(src))
    root = key.rstrip("/")
    uploads = Uploads(bucket.id, store, journal)
    upload = _DirUpload(bucket, uploads, wanted, progress, update=update)
    upload.new = bool(root) and not await holds_any(store, f"{root}/")
    if upload.new and await exists(store, root):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(bucket.uri_of(root)))
    rules = IgnoreRules.of(src, ignore_file_names)
    here = bucket.uri_of(root) if root else URL(f"{bucket.uri}/", encoded=True)  # as the released SDKs write it
    top = Directory(file_uri(src), here, progress)
    async with uploads, aclosing(upload.walk(src, f"{root}/" if root else "", top, rules, frozenset(), "")) as files:
        await for_each_file(store, files, upload.put_quickly, upload.put, lambda _: None)
    if upload.failures.lines:
        raise TransferError(
            f"{len(upload.failures.lines)} files of {src} were not uploaded:", sorted(upload.failures.lines)
        )


class _DirUpload:
    """One upload_dir under way."""

    new = False
    """Nothing was under the destination when it began."""

    def __init__(
        self,
        bucket: Bucket,
        uploads: Uploads,
        wanted: Filter | None,
        progress: AbstractRecursiveFileProgress | None,
        *,
        update: bool,
    ) -> None:
        self._bucket, self._uploads, self._wanted, self._progress = bucket, uploads, wanted, progress
        self._budget = Budget(BYTES_AT_ONCE)
        self._update = update
        self.failures = Failures(progress)

    async def walk(
        self,
        path: Path,
        prefix: str,
        directory: Directory,
        rules: IgnoreRules,
        above: frozenset[tuple[int, int]],
        relative: str,
    ) -> AsyncGenerator[_File, None]:
        """The files to upload, as they are found; directories are told of, and made to stay, on the way."""
        stored = await self._keep_directory(prefix, directory)
        above |= {identity(path)}
        for entry in entries_of(path, above):
            name, key = f"{relative}{entry.name}", f"{prefix}{entry.name}"
            if (rules or self._wanted) and not await is_wanted(entry, name, rules, self._wanted):
                continue
            if entry.fault is not None:
                self.failures.add(file_uri(entry.path), self._bucket.uri_of(key), entry.fault, ends_in_error=False)
            elif entry.is_dir:
                deeper = Directory(file_uri(entry.path), self._bucket.uri_of(key), self._progress, directory)
                inside = rules.inside(entry.path)
                async with aclosing(self.walk(entry.path, f"{key}/", deeper, inside, above, f"{name}/")) as files:
                    async for file in files:
                        yield file
            elif not is_newer(stored.get(entry.name), entry.mtime):
                directory.begin()
                yield _File(directory, entry, key)
        directory.done()

    def put_quickly(self, burst: Burst, file: _File, instead: Callable[[_File], None]) -> bool:
        """Give a small file to the burst."""
        if file.entry.size > SMALL_BYTES:
            return False

        def done(stored: bool) -> None:
            if not stored:
                instead(file)
                return
            if self._progress is not None:
                FileEvents(self._progress, file_uri(file.entry.path), self._bucket.uri_of(file.key)).all(
                    file.entry.size
                )
            file.directory.done()

        burst.put(file.key, lambda: _read_small(file.entry), done)
        return True

    async def put(self, file: _File) -> None:
        """Upload one file of the walk."""
        src, key = file.entry.path, file.key
        events = FileEvents(self._progress, file_uri(src), self._bucket.uri_of(key)) if self._progress else NO_EVENTS
        async with self._budget.hold(_held_bytes(file.entry.size)):
            try:
                await _put_file(src, self._uploads, key, events)
            except (IllegalArgumentError, BlobChanged, FileNotFoundError, PermissionError) as error:
                self.failures.add(file_uri(src), self._bucket.uri_of(key), str(error))
        file.directory.done()

    async def _keep_directory(self, prefix: str, directory: Directory) -> dict[str, float]:
        """Put a marker, so that the directory stays also when it is empty; never over anything that is there.

        Returns when the blobs directly in it were changed, by name, where that matters: of all that is stored, one directory at a time.
        """
        stored: dict[str, float] = {}
        if self.new:
            found = False
        elif self._update:
            found = False
            async for page in self._uploads.store.list(prefix, delimiter="/"):
                found = found or bool(page.blobs or page.prefixes)
                stored.update(
                    (blob.key[len(prefix) :], blob.modified_at.timestamp()) for blob in page.blobs if blob.modified_at
                )
        else:
            found = not prefix or await holds_any(self._uploads.store, prefix)
        if prefix and not found:
            try:
                await self._uploads.store.put(prefix, b"")
            except IllegalArgumentError as error:
                self.failures.add(directory.src, directory.dst, str(error))
        return stored


async def _put_file(path: Path, uploads: Uploads, key: str, events: FileEvents) -> None:
    # Not to wait for ever if it became a pipe since it was looked at.
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb", buffering=0) as opened:
        file = SourceFile(path, opened.fileno())
        events.start(file.size)
        if file.size <= SINGLE_PUT_BYTES:
            if file.size < HAULED_BYTES or not await uploads.put_whole(file, key):
                small = file.size <= SMALL_BYTES  # then a hand-over to a thread costs more than the read
                body = file.read(0, file.size) if small else await asyncio.to_thread(file.read, 0, file.size)
                file.check_same()
                await uploads.store.put(key, body)
            events.step(file.size, file.size)
        else:
            await uploads.put(file, key, events)
        events.complete(file.size)


def _read_small(entry: LocalEntry) -> Buffer | None:
    """All of a file that is as the walk saw it, and stayed so while it was read."""
    try:
        descriptor = os.open(entry.place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            before = os.fstat(descriptor)
            body = os.read(descriptor, entry.size + 1)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    same = before.st_mtime_ns == after.st_mtime_ns and len(body) == before.st_size == after.st_size == entry.size
    return body if same and stat.S_ISREG(before.st_mode) else None


def _held_bytes(size: int) -> int:
    return size if size <= SINGLE_PUT_BYTES else part_bytes_for(size) * PARTS_AT_ONCE


async def is_stored(store: BlobStore, key: str, changed: float | datetime | None) -> bool:
    """Whether there is a blob under `key` that is certainly newer than what was changed then."""
    try:
        return is_newer((await store.head(key)).modified_at, changed)
    except BlobNotFound:
        return False
