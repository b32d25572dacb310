"""Large files, part by part: several at once, resumed where a killed process was, and never of two states of the file."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from neuro_sdk._concurrency import Budget, for_each
from neuro_sdk._errors import BlobChanged, NeuroError, NotSupportedError, ResourceNotFound, ServerNotAvailable
from neuro_sdk._http import Stretch
from neuro_sdk._stores.base import BlobStore, Haul, Part
from neuro_sdk._stores.multipart import PARTS_AT_ONCE, begin, discard, part_bytes_for

from .journal import Entry, Journal, Ticket
from .tree import FileEvents

_HELD_BYTES = 64 * 2**20
"""Of all parts that a haul did not move; the larger the file, the larger each of them."""
_READ_BYTES = 4 * 2**20
_BEGUN_WITHIN_SECONDS = 60.0  # and the clocks of the two sides may differ by so much


class SourceFile:
    """An open local file, and what it was when it was opened."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._status = os.fstat(descriptor)
        self.size = self._status.st_size

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from there; fewer only where the file ends."""
        body = os.pread(self._descriptor, size, start)
        while len(body) < size and (more := os.pread(self._descriptor, size - len(body), start + len(body))):
            body += more
        return body

    def stretch(self, start: int, size: int) -> Stretch:
        """The same, for a haul."""
        return Stretch(self._descriptor, start, size)

    def check_same(self) -> None:
        """Refuse to go on with a file that changed.

        Raises:
            BlobChanged: it did.
        """
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (self.size, self._status.st_mtime_ns):
            raise BlobChanged(
                f"{self.path} changed while it was read; nothing was stored: upload it again when it is at rest"
            )

    def entry(self, bucket_id: str, key: str) -> Entry:
        """What the journal keeps of its upload."""
        status = self._status
        part_bytes = part_bytes_for(self.size)
        path = str(self.path.absolute())
        return Entry(bucket_id, key, path, self.size, status.st_mtime_ns, status.st_ino, part_bytes, time.time())


class Uploads:
    """The uploads of one call into one bucket. At its end, what earlier killed ones left in that bucket is gone too."""

    def __init__(self, bucket_id: str, store: BlobStore, journal: Journal) -> None:
        self._bucket_id = bucket_id
        self.store = store
        self._journal = journal
        self._abandoned: list[Ticket] = []
        self._budget = Budget(_HELD_BYTES)

    async def __aenter__(self) -> Self:
        self._abandoned = self._journal.abandoned(self._bucket_id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ticket in self._abandoned:
            gone = False
            try:
                if error is None:
                    await self._abort(ticket.entry)
                    gone = True
            except NeuroError:
                continue  # the next call tries again; this one did what it was asked to
            finally:
                ticket.close(keep=not gone)

    async def put_whole(self, file: SourceFile, key: str) -> bool:
        """Store a file of no more than one part, from the disk; False if that did not go well."""
        async with self.store.haul() as haul:
            return await haul.put(key, file.stretch(0, file.size), file.check_same)

    async def put(self, file: SourceFile, key: str, events: FileEvents) -> None:
        """Store a file that is larger than one part."""
        try:
            ticket, stored = await self._resume(file, key) or await self._begin(file, key)
        except NotSupportedError:  # a storage that takes a large body in turn only, and has begun nothing
            await self.store.put(key, _in_turn(file, events), size=file.size)
            return
        upload_id, part_bytes = ticket.entry.upload_id, ticket.entry.part_bytes
        current = sum(part.size for part in stored.values())

        async def put_part(haul: Haul, number: int) -> None:
            nonlocal current
            start = (number - 1) * part_bytes
            wanted = min(part_bytes, file.size - start)
            part = await haul.put_part(key, upload_id, number, file.stretch(start, wanted))
            if part is None:
                async with self._budget.hold(wanted):
                    body = await asyncio.to_thread(file.read, start, wanted)
                    if len(body) != wanted:
                        file.check_same()
                    part = await self.store.put_part(key, upload_id, number, body)
                    del body
            stored[number] = part
            ticket.note(part)
            current += part.size
            events.step(current, file.size)

        try:
            async with self.store.haul() as haul:
                missing = _missing(file.size, part_bytes, set(stored))
                await for_each(missing, partial(put_part, haul), limit=PARTS_AT_ONCE)
            file.check_same()
            await self.store.complete(key, upload_id, [stored[number] for number in sorted(stored)])
        except BaseException as failure:
            ticket.close(keep=not await discard(self.store.abort(key, upload_id), failure))
            raise
        ticket.close(keep=False)

    async def _begin(self, file: SourceFile, key: str) -> tuple[Ticket, dict[int, Part]]:
        ticket = self._journal.begin(file.entry(self._bucket_id, key))
        try:
            ticket.begun(await begin(self.store, key))
        except BaseException as failure:
            # Whether it was begun is not known where no answer came.
            ticket.close(keep=isinstance(failure, ServerNotAvailable))
            raise
        return ticket, {}

    async def _abort(self, entry: Entry) -> None:
        if entry.upload_id:
            await self.store.abort(entry.key, entry.upload_id)
            return
        # Whoever began it was killed before the answer came: it is what was begun of this key just then.
        for upload in await self.store.list_uploads(entry.key):
            if upload.begun_at is None or abs(upload.begun_at.timestamp() - entry.begun_at) < _BEGUN_WITHIN_SECONDS:
                await self.store.abort(entry.key, upload.upload_id)

    async def _resume(self, file: SourceFile, key: str) -> tuple[Ticket, dict[int, Part]] | None:
        """The upload of this very file that a killed process left, and its parts."""
        for ticket in self._abandoned:
            if ticket.entry.upload_id and ticket.entry == file.entry(self._bucket_id, key):
                self._abandoned.remove(ticket)
                try:
                    there = {
                        part.number: part.etag for part in await self.store.list_parts(key, ticket.entry.upload_id)
                    }
                except ResourceNotFound:
                    ticket.close(keep=False)
                    return None
                except BaseException:
                    ticket.close(keep=True)
                    raise
                # By the journal, for not every storage tells checksums again; and only where the storage has the same.
                return ticket, {part.number: part for part in ticket.parts if there.get(part.number) == part.etag}
        return None


async def _in_turn(file: SourceFile, events: FileEvents) -> AsyncGenerator[bytes, None]:
    """All of the file; it fails before its end if the file changes, and then nothing is stored."""
    for start in range(0, file.size, _READ_BYTES):
        body = await asyncio.to_thread(file.read, start, min(_READ_BYTES, file.size - start))
        file.check_same()
        events.step(start, file.size)
        yield body
    file.check_same()
    events.step(file.size, file.size)


async def _missing(size: int, part_bytes: int, stored: set[int]) -> AsyncGenerator[int, None]:
    for number in range(1, -(-size // part_bytes) + 1):
        if number not in stored:
            yield number
