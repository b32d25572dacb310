"""From a bucket into a bucket, the same or another one: by the storage itself where it can, else through here, never through the disk.

Every blob is pinned to its etag, so one that changes meanwhile is copied whole, as it was or as it is, or not at all. A move removes a
blob once its copy has been verified, and only if it still is what was copied.
"""

import errno
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from neuro_sdk._concurrency import Budget, for_each
from neuro_sdk._errors import BlobChanged, BlobNotFound, Conflict, IllegalArgumentError, IntegrityError, TransferError
from neuro_sdk._models import Bucket
from neuro_sdk._progress import AbstractFileProgress, AbstractRecursiveFileProgress
from neuro_sdk._stores.base import BlobInfo, BlobReader, BlobStore, exists, holds_any
from neuro_sdk._stores.multipart import SINGLE_PUT_BYTES

from .bulk import CAREFUL_AT_ONCE
from .download import find_blob
from .scan import Filter
from .select import is_newer
from .tree import NO_EVENTS, Directory, Failures, FileEvents
from .upload import BYTES_AT_ONCE, is_stored


@dataclass(frozen=True, slots=True)
class End:
    """One end of a copy: a blob or a directory in an open bucket."""

    bucket: Bucket
    store: BlobStore
    """Of the destination: if possible one that opens the source too, so that the storage can copy by itself."""
    key: str

    def __str__(self) -> str:
        return str(self.bucket.uri_of(self.key))


async def copy_blob(
    src: End, dst: End, *, budget: Budget, update: bool, move: bool, progress: AbstractFileProgress | None
) -> None:
    """Copy, or move, one blob.

    Raises:
        FileNotFoundError: no such blob.
        IsADirectoryError: it is a directory on either side.
        IllegalArgumentError: both are one blob.
        BlobChanged: it was replaced again and again; or, to be moved, after it was copied, and was kept.
    """
    if (src.bucket.id, src.key) == (dst.bucket.id, dst.key):
        raise IllegalArgumentError(f"{src} is both the source and the destination")
    info = await find_blob(src.bucket, src.store, src.key)
    if not dst.key or dst.key.endswith("/") or await holds_any(dst.store, f"{dst.key}/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(dst))
    if update and await is_stored(dst.store, dst.key, info.modified_at):
        return
    events = FileEvents(progress, src.bucket.uri_of(src.key), dst.bucket.uri_of(dst.key))
    await _Copying(src, dst, budget, move=move).copy(info, dst.key, events)


async def copy_dir(
    src: End,
    dst: End,
    *,
    budget: Budget,
    update: bool,
    move: bool,
    wanted: Filter | None,
    progress: AbstractRecursiveFileProgress | None,
) -> None:
    """Copy, or move, all blobs under a directory; what their keys have after it stays exactly.

    Raises:
        FileNotFoundError, NotADirectoryError: nothing is there, or a blob; the destination is a blob.
        IllegalArgumentError: the destination is the source, or in it.
        TransferError: some blobs were not copied, or not moved; all others were.
    """
    src, dst = (End(end.bucket, end.store, _prefix(end.key)) for end in (src, dst))
    if src.bucket.id == dst.bucket.id and dst.key.startswith(src.key):
        raise IllegalArgumentError(f"{dst} is in {src}, and a directory cannot be {_done(move)} into itself")
    if src.key and not await holds_any(src.store, src.key):
        raise await _no_directory(src)
    new = not await holds_any(dst.store, dst.key)
    if new and dst.key and await exists(dst.store, dst.key.rstrip("/")):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(dst).rstrip("/"))
    copying = _DirCopying(src, dst, _Copying(src, dst, budget, move=move), wanted, progress)
    async with aclosing(copying.walk(update=update and not new)) as blobs:
        await for_each(blobs, copying.copy, limit=CAREFUL_AT_ONCE)
    if lines := sorted(copying.failures.lines):
        raise TransferError(f"{len(lines)} blobs of {src} were not {_done(move)}:", lines)


class _Copying:
    """Copies, or moves, blobs from one store to another. What passes through here is within a budget of bytes."""

    def __init__(self, src: End, dst: End, budget: Budget, *, move: bool) -> None:
        self._src, self._dst = src, dst
        self._budget, self._move = budget, move
        self._by_storage = True

    async def copy(self, info: BlobInfo, key: str, events: FileEvents) -> None:
        """One blob; if it is replaced meanwhile it is begun anew, once."""
        try:
            size = await self._copy_once(info, key, events)
        except BlobChanged:
            info = await self._src.store.head(info.key)
            size = await self._copy_once(info, key, events)
        if self._move:
            await self.remove(info, key)
        events.complete(size)

    async def remove(self, info: BlobInfo, key: str) -> None:
        """Remove what was copied to `key`, if it is still the same.

        Raises:
            BlobChanged: it is not, and stays.
            Conflict: it looks as if it were the copy.
        """
        store, what = self._src.store, self._src.bucket.uri_of(info.key)
        try:
            now = await store.head(info.key)
        except BlobNotFound:
            return
        if now.etag != info.etag:
            raise BlobChanged(f"{what} changed after it was copied, and was not removed: move it again")
        # One bucket can be imported twice, and then both ends can be one blob.
        if info.key == key and (self._src.bucket.imported or self._dst.bucket.imported):
            there = await self._dst.store.head(key)
            if (there.etag, there.modified_at) == (now.etag, now.modified_at):
                raise Conflict(
                    f"{what} seems to be the same blob as {self._dst.bucket.uri_of(key)}: it was not removed"
                )
        await store.delete(info.key)

    async def drop_marker(self, info: BlobInfo) -> None:
        """Of a move: a directory that ends up as a bucket leaves no marker of itself."""
        if self._move and info.size == 0:
            await self._src.store.delete(info.key)

    async def _copy_once(self, info: BlobInfo, key: str, events: FileEvents) -> int:
        events.start(info.size)
        if self._by_storage:
            if await self._dst.store.copy(self._src.store, info, key):
                events.step(info.size, info.size)
                return info.size
            self._by_storage = info.size == 0  # of an empty one, it may be about nothing but its key
        # Whatever is large has all of it: it is cut into parts, several of which are on their way.
        async with self._budget.hold(info.size if info.size <= SINGLE_PUT_BYTES else BYTES_AT_ONCE):
            size = await self._stream(info, key, events)
        stored = (await self._dst.store.head(key)).size
        if stored != size:
            what = self._dst.bucket.uri_of(key)
            raise IntegrityError(f"{what} has {stored} bytes, not {size}: does anything else write there?")
        return size

    async def _stream(self, info: BlobInfo, key: str, events: FileEvents) -> int:
        """Get and put; the checksums of the source's storage are verified before, and those of the destination's when all is there."""
        held = bytearray()
        async with (
            self._src.store.get(info.key, etag=info.etag) as reader,
            aclosing(_counted(reader, events)) as body,
        ):
            size = reader.info.size
            if size > SINGLE_PUT_BYTES:
                await self._dst.store.put(key, body, size=size)
                return size
            async for chunk in body:
                held += chunk
        await self._dst.store.put(key, held)  # with no connection held: it may be the last one
        return size


@dataclass(slots=True)
class _Blob:
    info: BlobInfo
    key: str
    directory: Directory


@dataclass(frozen=True, slots=True)
class _Open:
    """A directory under way: relative to the source, in the events, and what it holds at the destination, where that matters."""

    relative: str
    events: Directory
    stored: Mapping[str, datetime | None]


class _DirCopying:
    """One copy_dir under way: turns a running listing into blobs to copy, and directories that are told of.

    What it holds grows with the depth of directories, not with the number of keys; for an update with the blobs that are directly in one.
    """

    def __init__(
        self,
        src: End,
        dst: End,
        copying: _Copying,
        wanted: Filter | None,
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        self._src, self._dst, self._copying = src, dst, copying
        self._wanted, self._progress = wanted, progress
        self._open: list[_Open] = []
        self._skipped: str | None = None
        self.failures = Failures(progress)

    async def walk(self, *, update: bool) -> AsyncGenerator[_Blob, None]:
        """The blobs to copy, while the listing still pages."""
        self._update = update
        await self._begin("")
        async with aclosing(self._src.store.list(self._src.key)) as pages:
            async for page in pages:
                for info in page.blobs:
                    blob = await self._place(info)
                    if blob is not None:
                        yield blob
        while self._open:
            self._open.pop().events.done()

    async def copy(self, blob: _Blob) -> None:
        """One blob of the walk."""
        uris = self._src.bucket.uri_of(blob.info.key), self._dst.bucket.uri_of(blob.key)
        try:
            await self._copying.copy(
                blob.info, blob.key, FileEvents(self._progress, *uris) if self._progress else NO_EVENTS
            )
        except (IllegalArgumentError, BlobChanged, BlobNotFound, IntegrityError) as error:
            self.failures.add(*uris, str(error))
        blob.directory.done()

    async def _place(self, info: BlobInfo) -> _Blob | None:
        relative = info.key[len(self._src.key) :]
        key = self._dst.key + relative
        place = await self._enter(relative[: relative.rfind("/") + 1])
        if place is None or (
            self._wanted is not None and not info.key.endswith("/") and not await self._wanted(relative)
        ):
            return None
        if not key:  # the marker of the source itself, whose place is a bucket: there it needs none
            await self._copying.drop_marker(info)
            return None
        if self._src.bucket.id == self._dst.bucket.id and key.startswith(self._src.key):
            fault = (
                f"{info.key!r} would become {key!r}, which is in the directory that is being read: copy that one first"
            )
            self.failures.add(self._src.bucket.uri_of(info.key), self._dst.bucket.uri_of(key), fault)
            return None
        if key in place.stored and is_newer(place.stored[key], info.modified_at):
            return None
        place.events.begin()
        return _Blob(info, key, place.events)

    async def _enter(self, folder: str) -> _Open | None:
        """The directory under way for blobs of this folder; None if the filter leaves it out."""
        if self._skipped is not None and folder.startswith(self._skipped):
            return None
        self._skipped = None
        while not folder.startswith(self._open[-1].relative):
            self._open.pop().events.done()
        while (slash := folder.find("/", len(self._open[-1].relative))) >= 0:
            relative = folder[: slash + 1]
            if self._wanted is not None and not await self._wanted(relative):
                self._skipped = relative
                return None
            await self._begin(relative)
        return self._open[-1]

    async def _begin(self, relative: str) -> None:
        src, dst = f"{self._src.key}{relative}", f"{self._dst.key}{relative}"
        uris = self._src.bucket.uri_of(src.removesuffix("/")), self._dst.bucket.uri_of(dst.removesuffix("/"))
        events = Directory(*uris, self._progress, self._open[-1].events if self._open else None)
        stored: dict[str, datetime | None] = {}
        if self._update:
            async with aclosing(self._dst.store.list(dst, delimiter="/")) as pages:
                async for page in pages:
                    stored.update((blob.key, blob.modified_at) for blob in page.blobs)
        self._open.append(_Open(relative, events, stored))


async def _counted(reader: BlobReader, events: FileEvents) -> AsyncGenerator[bytes, None]:
    size, at = reader.info.size, 0
    async for chunk in reader:
        yield chunk
        at += len(chunk)
        events.step(at, size)
    if at != size:
        raise IntegrityError(f"{reader.info.key!r}: {size} bytes were to come and {at} came; copy it again")


async def _no_directory(end: End) -> OSError:
    name = end.key.rstrip("/")
    code = errno.ENOTDIR if await exists(end.store, name) else errno.ENOENT
    return OSError(code, os.strerror(code), str(end.bucket.uri_of(name)))


def _prefix(key: str) -> str:
    root = key.rstrip("/")
    return f"{root}/" if root else ""


def _done(move: bool) -> str:
    return "moved" if move else "copied"
