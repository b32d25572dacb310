"""The seam between the SDK and a storage provider: one open bucket, and what every provider can do with the blobs in it.

A key is an opaque string: a store keeps it exactly or refuses it with `IllegalArgumentError` before anything is sent; it never
rewrites one. What a "directory" is, is no business of a store. Raw provider errors never leave a store.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from neuro_sdk._errors import BlobNotFound
from neuro_sdk._http import Body, Stretch

Buffer = bytes | bytearray | memoryview


class BlobInfo(NamedTuple):
    """What a provider tells about one blob. A tuple, because a listing makes one for every key."""

    key: str
    size: int
    modified_at: datetime | None = None
    created_at: datetime | None = None
    etag: str | None = None
    """Names this very content: two reads under one etag are of the same bytes."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in the provider's order."""

    blobs: Sequence[BlobInfo]
    prefixes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One stored part of an upload that is not complete."""

    number: int
    etag: str
    size: int
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in parts that is neither complete nor aborted."""

    upload_id: str
    begun_at: datetime | None


class BlobReader(Protocol):
    """The body of one blob, or of a range of it, while it arrives."""

    info: BlobInfo
    """Of the whole blob, also when a range is read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks as they arrive. A broken connection is resumed on the same blob; when it ends, all of it has arrived.

        Raises:
            BlobChanged: the blob was replaced while it was read.
        """


class Burst(Protocol):
    """Many small blobs side by side, at little cost each, as long as all goes well.

    Whatever does not is done again with care by the caller, who has all the time for it that a burst has not: nothing is retried here.
    What it calls back runs in the event loop and holds up all others, so it is short.
    """

    def put(self, key: str, read: Callable[[], Buffer | None], done: Callable[[bool], None]) -> None:
        """Store a blob, whose body is read when its turn comes (None: it is not for a burst); `done` is told whether it is stored."""

    def get(self, info: BlobInfo, done: Callable[[Buffer | None], None]) -> None:
        """Get the whole of exactly this blob; `done` is given it, verified, or None."""

    async def room(self) -> None:
        """Return when another may be asked for."""

    async def drained(self) -> None:
        """Return when `done` was called for all."""


class Haul(Protocol):
    """Large bodies, a few side by side, at little cost each byte, as long as all goes well.

    As with a burst, whatever does not is done again with care by the caller. None of these raises for trouble with the provider.
    """

    async def put(self, key: str, body: Stretch, check: Callable[[], None]) -> bool:
        """Store a blob, of a stretch that fits one request; whether it is stored. `check` is called in a thread, and raises a `NeuroError`
        if the file is not what it was: what is stored is what it was at that moment."""

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> Part | None:
        """Store one part; None if it is not known to be stored."""

    async def get(self, info: BlobInfo, start: int, stop: int, descriptor: int, moved: Callable[[int], None]) -> int:
        """Write this range of exactly this blob to the same place of a file. Returns how many bytes are right there, from the start.

        Of a whole blob, which is verified, it is all or none. `moved` is told of bytes that came, or, below 0, did not count.
        """


class BlobStore(Protocol):
    """One open bucket."""

    def haul(self) -> AbstractAsyncContextManager[Haul]:
        """Large puts and gets. Cancelled, each ends before it returns: no thread uses the file any more."""

    def burst(self) -> AbstractAsyncContextManager[Burst]:
        """Many small puts or gets. What is not done when it is left is dropped."""

    async def head(self, key: str) -> BlobInfo:
        """What is there under `key`.

        Raises:
            BlobNotFound: nothing.
        """

    def get(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> AbstractAsyncContextManager[BlobReader]:
        """Open bytes `start` to before `stop`, or to the end. A start at or past the end reads as empty.

        Raises:
            BlobNotFound: nothing is there.
            BlobChanged: `etag` is given and something else is there.
        """

    async def put(self, key: str, body: Buffer | AsyncIterator[bytes], *, size: int | None = None) -> None:
        """Store the body under `key`, replacing any blob there. All or nothing, also when cancelled.

        `size`, where it is known of a stream, lets parts be chosen to fit.
        """

    async def copy(self, source: "BlobStore", info: BlobInfo, key: str) -> bool:
        """Have the storage copy exactly this blob of `source` (which may be this store) to `key` here, no byte passing through us.

        All or nothing, and what is there then has been checked, as far as the storage tells. Onto itself it changes nothing.

        Returns:
            False: the storage cannot do that between these two, and the caller moves the bytes.

        Raises:
            BlobChanged: `info.etag` is no longer what is there.
            BlobNotFound: it is gone.
        """

    async def delete(self, key: str) -> None:
        """Delete the blob. One that is not there is success, on every provider."""

    async def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """Delete all of them in as few requests as the provider allows; returns those that could not be, with the reason."""

    def list(self, prefix: str = "", *, delimiter: str = "", page_size: int = 1000) -> AsyncGenerator[Page, None]:
        """Pages of what begins with `prefix` (a plain string). With a delimiter, keys that have it after the prefix are rolled up."""

    async def begin(self, key: str) -> str:
        """Begin an upload in parts; returns its id. Nothing is visible under `key` until it is completed."""

    async def list_uploads(self, key: str) -> Sequence[Upload]:
        """The uploads under way of exactly this key, whoever began them."""

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """Store one part. Numbers begin at 1; a repeated number replaces."""

    async def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """The parts that are stored, by number."""

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the parts the blob. All or nothing."""

    async def abort(self, key: str, upload_id: str) -> None:
        """Forget the upload and its parts. One that is gone is success."""


async def exists(store: BlobStore, key: str) -> bool:
    """Whether there is a blob under `key`."""
    try:
        await store.head(key)
    except BlobNotFound:
        return False
    return True


async def holds_any(store: BlobStore, prefix: str) -> bool:
    """Whether any key begins with `prefix`."""
    async with aclosing(store.list(prefix, page_size=1)) as pages:
        async for page in pages:
            if page.blobs:
                return True
    return False
