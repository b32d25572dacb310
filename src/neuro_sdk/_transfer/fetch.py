"""One blob to one file: whole or in ranges, beside its name first, and under its name when it is whole."""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import BlobChanged, IntegrityError, NeuroError
from neuro_sdk._stores.base import BlobInfo, BlobStore, Buffer

from .bulk import HAULED_BYTES
from .paths import UnsafeName
from .places import Folder, named
from .resume import PartFile, write_whole
from .select import is_newer
from .tree import FileEvents

RANGES_AT_ONCE = 4
RANGE_BYTES = 16 * 2**20
"""A blob up to this size comes in one request."""


@dataclass(slots=True)
class Target:
    """Where one blob goes: a name in an open directory."""

    folder: Folder
    name: str

    @property
    def path(self) -> Path:
        """As it is told; nothing is opened by it."""
        return self.folder.path / self.name

    async def is_here(self, store: BlobStore, info: BlobInfo, *, update: bool, continue_: bool) -> bool:
        """Whether it need not be touched: with `update` what is newer, with `continue_` what is newer and as long as the blob.

        What is newer, shorter and begins as the blob does was left half-written by another tool, and is fetched.
        """
        if not (update or continue_):
            return False
        try:
            status = os.stat(self.name, dir_fd=self.folder.descriptor)
        except FileNotFoundError:
            return False
        if not is_newer(status.st_mtime, info.modified_at):
            return False
        if status.st_size == info.size:
            return True
        return update and not (status.st_size < info.size and await self._begins(store, info, status.st_size))

    async def _begins(self, store: BlobStore, info: BlobInfo, size: int) -> bool:
        """Whether the file, of `size` bytes, holds the beginning of the blob. Reads both side by side, as far as they agree."""
        if size == 0:
            return True
        with open(os.open(self.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.folder.descriptor), "rb") as file:
            async with store.get(info.key, stop=size) as reader:
                async for chunk in reader:
                    if file.read(len(chunk)) != chunk:
                        return False
        return True


def put_in_place(target: Target, body: Buffer) -> bool:
    """Make a small blob, which is here whole, the file; False, and nothing is left, if anything stands in the way."""
    try:
        target.folder.check_still()
        write_whole(target.folder.descriptor, target.name, body)
    except (OSError, UnsafeName):
        return False
    return True


async def fetch(
    store: BlobStore, info: BlobInfo, target: Target, events: FileEvents, *, source: str, continue_: bool
) -> None:
    """Fetch one blob; one that is replaced meanwhile is begun anew, once. `source` tells its bucket from all others.

    Raises:
        UnsafeName: the file system takes no such name, or the directory is no longer where it was.
        BlobChanged: it was replaced again and again.
    """
    try:
        await _fetch_once(store, info, target, events, source=source, continue_=continue_)
    except BlobChanged:
        await _fetch_once(store, await store.head(info.key), target, events, source=source, continue_=False)


async def _fetch_once(
    store: BlobStore, info: BlobInfo, target: Target, events: FileEvents, *, source: str, continue_: bool
) -> None:
    large = info.size > RANGE_BYTES and info.etag is not None
    part = PartFile(target.folder.descriptor, target.name, info, source, journal=large)
    keep = continue_ and large  # what is in it, should this fail
    try:
        target.folder.check_still()
        done = _open(part, target, resume=keep)
        if large:
            events.start(info.size)
            await _fetch_ranges(store, info, part, done, events)
            size = info.size
        else:
            size = await _fetch_whole(store, info, part, events)
        if os.fstat(part.descriptor).st_size != size:
            raise IntegrityError(
                f"{target.path} has {os.fstat(part.descriptor).st_size} bytes, not {size}: was the disk written to?"
            )
        target.folder.check_still()
        part.commit()
        events.complete(size)
    except BlobChanged:
        keep = False
        raise
    except OSError as error:
        if isinstance(error, NeuroError) or error.errno is None or str(error.filename).startswith("/"):
            raise
        # A full disk does not say whose file, and a call with a descriptor not in which directory.
        raise OSError(error.errno, error.strerror, str(target.path)) from error
    finally:
        part.close(keep=keep)


def _open(part: PartFile, target: Target, *, resume: bool) -> list[tuple[int, int]]:
    try:
        return part.open(resume=resume)
    except OSError as error:
        raise named(error, target.path) from error


async def _fetch_whole(store: BlobStore, info: BlobInfo, part: PartFile, events: FileEvents) -> int:
    if info.size >= HAULED_BYTES:
        events.start(info.size)
        current = 0

        def moved(count: int) -> None:
            nonlocal current
            current += count
            if count > 0:
                events.step(current, info.size)

        async with store.haul() as haul:
            if await haul.get(info, 0, info.size, part.descriptor, moved) == info.size:
                return info.size
        os.ftruncate(part.descriptor, 0)  # another blob may come, and a shorter one
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
    there = bytearray(-(-info.size // RANGE_BYTES))  # a flag for each range
    current = 0
    for start, stop in done:
        number = start // RANGE_BYTES
        if start < stop and (start, stop) == _range(number, info.size) and not there[number]:
            there[number] = True
            current += stop - start

    def moved(count: int) -> None:
        nonlocal current
        current += count
        if count:
            events.step(current, info.size)

    async def fetch(row: tuple[int, int]) -> None:
        at, stop = row
        at += await haul.get(info, at, stop, part.descriptor, moved)
        if at == stop:
            part.note(*row)
            return
        async with store.get(info.key, start=at, stop=stop, etag=info.etag) as reader:
            async for chunk in reader:
                if len(chunk) > 2**20:
                    await asyncio.to_thread(part.write, chunk, at)
                else:
                    part.write(chunk, at)
                at += len(chunk)
                moved(len(chunk))
        if at != stop:
            raise IntegrityError(f"{info.key!r}: {stop - row[0]} bytes were asked for and {at - row[0]} came")
        part.note(*row)

    async def missing() -> AsyncGenerator[tuple[int, int], None]:
        for number, is_there in enumerate(there):
            if not is_there:
                yield _range(number, info.size)

    async with store.haul() as haul:
        await for_each(missing(), fetch, limit=RANGES_AT_ONCE)


def _range(number: int, size: int) -> tuple[int, int]:
    return number * RANGE_BYTES, min((number + 1) * RANGE_BYTES, size)
