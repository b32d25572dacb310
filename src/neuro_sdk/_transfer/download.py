"""From a bucket to the disk. A file appears under its name when it is whole, and not before."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import (
    BlobChanged,
    BlobNotFound,
    IllegalArgumentError,
    IntegrityError,
    NeuroError,
    TransferError,
)
from neuro_sdk._models import Bucket
from neuro_sdk._progress import AbstractFileProgress, AbstractRecursiveFileProgress
from neuro_sdk._stores.base import BlobInfo, BlobStore, exists, holds_any
from neuro_sdk._uri import file_uri

from .paths import LocalTree, UnsafeName, safe_parts
from .resume import PartFile, remove_stale, stale_parts
from .scan import Filter
from .select import is_up_to_date
from .tree import NO_EVENTS, Directory, Failures, FileEvents

FILES_AT_ONCE = 64
RANGES_AT_ONCE = 4
RANGE_BYTES = 16 * 2**20
"""A blob up to this size comes in one request."""


@dataclass(frozen=True, slots=True)
class _Blob:
    directory: Directory
    info: BlobInfo
    path: Path


async def download_file(
    bucket: Bucket,
    store: BlobStore,
    key: str,
    dst: Path,
    *,
    update: bool,
    continue_: bool,
    progress: AbstractFileProgress | None,
) -> None:
    """Download one blob.

    Raises:
        FileNotFoundError: no such blob; or the directory to write to is not there.
        IsADirectoryError: it is a directory on either side.
        BlobChanged: it was replaced again and again while it was read.
    """
    info = await _find(bucket, store, key)
    dst = dst.resolve()  # the file that a link names is what is to be written, and stays where it is
    if dst.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(dst))
    if dst.exists() and not dst.is_file():
        raise IllegalArgumentError(
            f"{dst} is no regular file, and would be replaced by one: use fetch_blob, or `neuro blob cp ... -`"
        )
    if not dst.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(dst.parent))
    if not _is_here(info, dst, update=update, continue_=continue_):
        await _fetch(
            bucket, store, info, dst, FileEvents(progress, bucket.uri_of(key), file_uri(dst)), continue_=continue_
        )
    remove_stale(stale_parts(dst.parent), dst)


async def download_dir(
    bucket: Bucket,
    store: BlobStore,
    key: str,
    dst: Path,
    *,
    update: bool,
    continue_: bool,
    wanted: Filter | None,
    progress: AbstractRecursiveFileProgress | None,
) -> None:
    """Download all blobs under a directory.

    Raises:
        FileNotFoundError: nothing is there.
        NotADirectoryError: it is a blob; or the destination is a file.
        TransferError: some keys have no safe place below `dst`; all others were downloaded.
    """
    root = key.rstrip("/")
    if dst.exists() and not dst.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(dst))
    if root and not await holds_any(store, f"{root}/"):
        code = errno.ENOTDIR if await exists(store, root) else errno.ENOENT
        raise OSError(code, os.strerror(code), str(bucket.uri_of(root)))
    dst.mkdir(parents=True, exist_ok=True)
    download = _DirDownload(bucket, store, f"{root}/" if root else "", dst, wanted, progress)

    async def fetch(blob: _Blob) -> None:
        if not _is_here(blob.info, blob.path, update=update, continue_=continue_):
            src, path = blob.info.key, blob.path
            events = FileEvents(progress, bucket.uri_of(src), file_uri(path)) if progress else NO_EVENTS
            try:
                await _fetch(bucket, store, blob.info, path, events, continue_=continue_)
            except BlobNotFound as error:  # deleted since it was listed
                download.failures.add(bucket.uri_of(src), file_uri(path), str(error))
            except IsADirectoryError:
                message = f"{src!r} has no safe place in {dst}: {path} became a directory"
                download.failures.add(bucket.uri_of(src), file_uri(path), message)
        download.tree.clean(blob.path)
        blob.directory.done()

    async with aclosing(download.walk()) as blobs:
        await for_each(blobs, fetch, limit=FILES_AT_ONCE)
    if download.failures.lines:
        lines = download.failures.lines
        raise TransferError(f"{len(lines)} blobs of {bucket.uri_of(root)} were not downloaded:", lines)


class _DirDownload:
    """One download_dir under way: turns a running listing into directories and files."""

    def __init__(
        self,
        bucket: Bucket,
        store: BlobStore,
        prefix: str,
        dst: Path,
        wanted: Filter | None,
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        self._bucket, self._store, self._prefix, self._dst = bucket, store, prefix, dst
        self._wanted, self._progress = wanted, progress
        self.tree = LocalTree(dst)
        self._open: list[tuple[str, Directory]] = []
        self._skipped: str | None = None
        self.failures = Failures(progress)

    async def walk(self) -> AsyncGenerator[_Blob, None]:
        """The blobs to fetch, while the listing still pages; directories are made on the way."""
        self.tree.make("")
        self._open.append(("", Directory(self._bucket.uri_of(self._prefix), file_uri(self._dst), self._progress)))
        async with aclosing(self._store.list(self._prefix)) as pages:
            async for page in pages:
                for info in page.blobs:
                    blob = await self._place(info)
                    if blob is not None:
                        yield blob
        while self._open:
            self._open.pop()[1].done()

    async def _place(self, info: BlobInfo) -> _Blob | None:
        relative = info.key[len(self._prefix) :]
        is_marker = relative.endswith("/") and info.size == 0
        if not relative:  # the marker of the source itself
            return None
        try:
            parts = safe_parts(relative.removesuffix("/") if is_marker else relative)
            directory = await self._enter(parts if is_marker else parts[:-1])
            if directory is None or is_marker:
                return None
            path = self._dst / relative
            if self._wanted is not None and not await self._wanted(relative):
                return None
            if not path.is_symlink() and path.exists() and not path.is_file():
                raise UnsafeName(f"{path} is there, and is no file")
        except UnsafeName as error:
            target = file_uri(self._dst)
            self.failures.add(
                self._bucket.uri_of(info.key), target, f"{info.key!r} has no safe place in {self._dst}: {error}"
            )
            return None
        directory.begin()
        return _Blob(directory, info, path)

    async def _enter(self, parts: list[str]) -> Directory | None:
        """The directory under way for these names; None if the filter leaves it out."""
        folder = "".join(f"{part}/" for part in parts)
        if self._skipped is not None and folder.startswith(self._skipped):
            return None
        self._skipped = None
        while not folder.startswith(self._open[-1][0]):
            self._open.pop()[1].done()
        at = len(self._open[-1][0])
        while (slash := folder.find("/", at)) >= 0:
            at = slash + 1
            current = folder[:at]
            if self._wanted is not None and not await self._wanted(current):
                self._skipped = current
                return None
            path = self.tree.make(current[:-1])
            parent = self._open[-1][1]
            deeper = Directory(self._bucket.uri_of(self._prefix + current), file_uri(path), self._progress, parent)
            self._open.append((current, deeper))
        return self._open[-1][1]


async def _fetch(
    bucket: Bucket, store: BlobStore, info: BlobInfo, dst: Path, events: FileEvents, *, continue_: bool
) -> None:
    """Fetch one blob; one that is replaced meanwhile is begun anew, once."""
    try:
        await _fetch_once(bucket, store, info, dst, events, continue_=continue_)
    except BlobChanged:
        await _fetch_once(bucket, store, await store.head(info.key), dst, events, continue_=False)


async def _fetch_once(
    bucket: Bucket, store: BlobStore, info: BlobInfo, dst: Path, events: FileEvents, *, continue_: bool
) -> None:
    large = info.size > RANGE_BYTES and info.etag is not None
    part = PartFile(dst, info, bucket.id, journal=large)
    keep = continue_ and large  # what is in it, should this fail
    done = part.open(resume=keep)
    try:
        if large:
            events.start(info.size)
            await _fetch_ranges(store, info, part, done, events)
            size = info.size
        else:
            size = await _fetch_whole(store, info, part, events)
        if os.fstat(part.descriptor).st_size != size:
            raise IntegrityError(
                f"{dst} has {os.fstat(part.descriptor).st_size} bytes instead of {size}: was the disk written to?"
            )
        part.commit()
        events.complete(size)
    except BlobChanged:
        keep = False
        raise
    except OSError as error:
        if error.filename is None and not isinstance(error, NeuroError):  # a full disk does not say whose
            raise OSError(error.errno, error.strerror, str(dst)) from error
        raise
    finally:
        part.close(keep=keep)


async def _fetch_whole(store: BlobStore, info: BlobInfo, part: PartFile, events: FileEvents) -> int:
    async with store.get(info.key) as reader:
        size, at = reader.info.size, 0
        events.start(size)
        async for chunk in reader:
            part.write(chunk, at)
            at += len(chunk)
            events.step(at, size)
    return size


async def _fetch_ranges(
    store: BlobStore, info: BlobInfo, part: PartFile, done: list[tuple[int, int]], events: FileEvents
) -> None:
    missing = [row for row in _ranges(info.size) if row not in set(done)]
    current = info.size - sum(stop - start for start, stop in missing)

    async def fetch(row: tuple[int, int]) -> None:
        nonlocal current
        at, stop = row
        async with store.get(info.key, start=at, stop=stop, etag=info.etag) as reader:
            async for chunk in reader:
                if len(chunk) > 2**20:
                    await asyncio.to_thread(part.write, chunk, at)
                else:
                    part.write(chunk, at)
                at += len(chunk)
                current += len(chunk)
                events.step(current, info.size)
        if at != stop:
            raise IntegrityError(f"{info.key!r}: {stop - row[0]} bytes were asked for and {at - row[0]} came")
        part.note(*row)

    async def rows() -> AsyncGenerator[tuple[int, int], None]:
        for row in missing:
            yield row

    await for_each(rows(), fetch, limit=RANGES_AT_ONCE)


def _ranges(size: int) -> list[tuple[int, int]]:
    return [(start, min(start + RANGE_BYTES, size)) for start in range(0, size, RANGE_BYTES)]


def _is_here(info: BlobInfo, dst: Path, *, update: bool, continue_: bool) -> bool:
    """Whether the destination need not be touched. `continue_` skips what is complete, and no more than `update` would."""
    if not (update or continue_):
        return False
    try:
        status = dst.stat()
    except FileNotFoundError:
        return False
    return is_up_to_date(info.size, info.modified_at, status.st_size, status.st_mtime)


async def _find(bucket: Bucket, store: BlobStore, key: str) -> BlobInfo:
    try:
        if key and not key.endswith("/"):
            return await store.head(key)
    except BlobNotFound:
        if not await holds_any(store, f"{key}/"):
            raise FileNotFoundError(errno.ENOENT, "No such blob", str(bucket.uri_of(key))) from None
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(bucket.uri_of(key)))
