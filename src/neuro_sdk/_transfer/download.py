"""From a bucket to the disk. A file appears under its name when it is whole, and not before."""

import errno
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from neuro_sdk._errors import BlobNotFound, IllegalArgumentError, TransferError
from neuro_sdk._models import Bucket
from neuro_sdk._progress import AbstractFileProgress, AbstractRecursiveFileProgress
from neuro_sdk._stores.base import BlobInfo, BlobStore, Buffer, Burst, exists, holds_any
from neuro_sdk._uri import file_uri

from .bulk import SMALL_BYTES, for_each_file
from .fetch import Target, fetch, put_in_place
from .paths import UnsafeName, safe_parts
from .places import Folder
from .scan import Filter
from .tree import NO_EVENTS, Directory, Failures, FileEvents


@dataclass(slots=True)
class _Blob:
    directory: Directory
    info: BlobInfo
    target: Target


@dataclass(frozen=True, slots=True)
class _Open:
    """A directory under way: relative to the source, on the disk, and in the events."""

    relative: str
    folder: Folder
    events: Directory


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
    info = await find_blob(bucket, store, key)
    dst = dst.resolve()  # the file that a link names is what is to be written, and stays where it is
    if dst.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(dst))
    if dst.exists() and not dst.is_file():
        raise IllegalArgumentError(
            f"{dst} is no regular file, and would be replaced by one: use fetch_blob, or `neuro blob cp ... -`"
        )
    if not dst.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(dst.parent))
    folder = Folder.root(dst.parent, folds=False)  # one file is in nobody's way
    try:
        target = Target(folder, dst.name)
        if not await target.is_here(store, info, update=update, continue_=continue_):
            events = FileEvents(progress, bucket.uri_of(key), file_uri(dst))
            await fetch(store, info, target, events, source=bucket.id, continue_=continue_)
        folder.sweep(dst.name)
    except UnsafeName as error:
        raise IllegalArgumentError(f"{key!r} cannot be written to {dst}: {error}") from error
    finally:
        folder.done()


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

    async def fetch_one(blob: _Blob) -> None:
        info, target = blob.info, blob.target
        try:
            if not await target.is_here(store, info, update=update, continue_=continue_):
                events = FileEvents(progress, bucket.uri_of(info.key), file_uri(target.path)) if progress else NO_EVENTS
                await fetch(store, info, target, events, source=bucket.id, continue_=continue_)
            target.folder.sweep(target.name)
        except BlobNotFound as error:  # deleted since it was listed
            download.fail(info.key, target.path, str(error))
        except UnsafeName as error:
            download.refuse(info.key, target.path, str(error))
        except IsADirectoryError:
            download.refuse(info.key, target.path, f"{target.path} became a directory")
        finally:
            target.folder.end(target.name)
        blob.directory.done()

    def fetch_quickly(burst: Burst, blob: _Blob, instead: Callable[[_Blob], None]) -> bool:
        info, target = blob.info, blob.target
        if info.size > SMALL_BYTES or update or continue_:
            return False

        def done(body: Buffer | None) -> None:
            if body is None or not put_in_place(target, body):
                instead(blob)
                return
            try:
                if progress is not None:
                    FileEvents(progress, bucket.uri_of(info.key), file_uri(target.path)).all(info.size)
                target.folder.sweep(target.name)
            finally:
                target.folder.end(target.name)
            blob.directory.done()

        burst.get(info, done)
        return True

    async with aclosing(download.walk()) as blobs:
        await for_each_file(
            store, blobs, fetch_quickly, fetch_one, lambda blob: blob.target.folder.end(blob.target.name)
        )
    if download.failures.lines:
        lines = sorted(download.failures.lines)
        raise TransferError(f"{len(lines)} blobs of {bucket.uri_of(root)} were not downloaded:", lines)


class _DirDownload:
    """One download_dir under way: turns a running listing into directories and files.

    What it holds grows with the depth of directories, not with the number of keys.
    """

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
        self._open: list[_Open] = []
        self._skipped: str | None = None
        self.failures = Failures(progress)

    async def walk(self) -> AsyncGenerator[_Blob, None]:
        """The blobs to fetch, while the listing still pages; directories are made on the way."""
        folder = Folder.root(self._dst)
        try:
            events = Directory(self._bucket.uri_of(self._prefix.removesuffix("/")), file_uri(self._dst), self._progress)
            self._open.append(_Open("", folder, events))
            async with aclosing(self._store.list(self._prefix)) as pages:
                async for page in pages:
                    for info in page.blobs:
                        blob = await self._place(info)
                        if blob is not None:
                            yield blob
            while self._open:
                self._leave()
        finally:
            for row in self._open:
                row.folder.done()

    def fail(self, key: str, path: Path, message: str) -> None:
        """Tell of a blob that is left out."""
        self.failures.add(self._bucket.uri_of(key), file_uri(path), message)

    def refuse(self, key: str, path: Path, reason: str) -> None:
        """Tell of a key that cannot be a file here."""
        self.fail(key, path, f"{key!r} has no safe place in {self._dst}: {reason}")

    async def _place(self, info: BlobInfo) -> _Blob | None:
        relative = info.key[len(self._prefix) :]
        is_marker = relative.endswith("/") and info.size == 0
        if not relative:  # the marker of the source itself
            return None
        try:
            place, name = self._open[-1], relative.removeprefix(self._open[-1].relative)
            if is_marker or "/" in name or len(place.relative) + len(name) != len(relative):
                parts = safe_parts(relative.removesuffix("/") if is_marker else relative)
                found = await self._enter(parts if is_marker else parts[:-1])
                if found is None or is_marker:
                    return None
                place, name = found, parts[-1]
            else:  # in the same directory as the one before
                safe_parts(name)
            if self._wanted is not None and not await self._wanted(relative):
                return None
            place.folder.begin(name)
        except UnsafeName as error:
            self.refuse(info.key, self._dst, str(error))
            return None
        place.events.begin()
        return _Blob(place.events, info, Target(place.folder, name))

    async def _enter(self, parts: list[str]) -> _Open | None:
        """The directory under way for these names; None if the filter leaves it out."""
        relative = "".join(f"{part}/" for part in parts)
        if self._skipped is not None and relative.startswith(self._skipped):
            return None
        self._skipped = None
        while not relative.startswith(self._open[-1].relative):
            self._leave()
        for depth in range(len(self._open) - 1, len(parts)):
            above = self._open[-1]
            current = f"{above.relative}{parts[depth]}/"
            if self._wanted is not None and not await self._wanted(current):
                self._skipped = current
                return None
            folder = above.folder.enter(parts[depth])
            uris = self._bucket.uri_of(f"{self._prefix}{current}".removesuffix("/")), file_uri(folder.path)
            self._open.append(_Open(current, folder, Directory(*uris, self._progress, above.events)))
        return self._open[-1]

    def _leave(self) -> None:
        row = self._open.pop()
        row.folder.done()
        row.events.done()


async def find_blob(bucket: Bucket, store: BlobStore, key: str) -> BlobInfo:
    """What is there under `key`, for whoever takes it for a file.

    Raises:
        FileNotFoundError: nothing.
        IsADirectoryError: a directory.
    """
    try:
        if key and not key.endswith("/"):
            return await store.head(key)
    except BlobNotFound:
        pass
    prefix = f"{key}/" if key and not key.endswith("/") else key
    if prefix and not await holds_any(store, prefix):
        raise FileNotFoundError(errno.ENOENT, "No such blob", str(bucket.uri_of(key)))
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(bucket.uri_of(key)))
