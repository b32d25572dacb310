"""A bucket of memory, short names for the four transfers, and who watches them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuro_sdk import (
    AbstractRecursiveFileProgress,
    Bucket,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)
from neuro_sdk._stores.base import BlobReader
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._transfer.download import download_dir, download_file
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.upload import upload_dir, upload_file

BUCKET = Bucket(
    "id", "me", "here", None, Bucket.Provider.MEMORY, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket"
)


JOURNAL = Journal(Path("/dev/null/no-journal"))


MIB = 2**20


Event = Any


class Recorder(AbstractRecursiveFileProgress):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def start(self, data: StorageProgressStart) -> None:
        self.events.append(data)

    def step(self, data: StorageProgressStep) -> None:
        self.events.append(data)

    def complete(self, data: StorageProgressComplete) -> None:
        self.events.append(data)

    def enter(self, data: StorageProgressEnterDir) -> None:
        self.events.append(data)

    def leave(self, data: StorageProgressLeaveDir) -> None:
        self.events.append(data)

    def fail(self, data: StorageProgressFail) -> None:
        self.events.append(data)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


async def up(src: Path, store: MemoryStore, key: str = "dir", **options: Any) -> None:
    defaults: dict[str, Any] = {
        "update": False,
        "wanted": None,
        "ignore_file_names": frozenset(),
        "progress": None,
        "journal": JOURNAL,
    }
    options = {**defaults, **options}
    await upload_dir(src, BUCKET, store, key, **options)


async def down(store: MemoryStore, dst: Path, key: str = "dir", **options: Any) -> None:
    options = {"update": False, "continue_": False, "wanted": None, "progress": None, **options}
    await download_dir(BUCKET, store, key, dst, **options)


async def up_one(src: Path, store: MemoryStore, key: str = "key", **options: Any) -> None:
    await upload_file(src, BUCKET, store, key, **{"update": False, "progress": None, "journal": JOURNAL, **options})


async def down_one(store: MemoryStore, dst: Path, key: str = "key", **options: Any) -> None:
    await download_file(BUCKET, store, key, dst, **{"update": False, "continue_": False, "progress": None, **options})


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }


def blobs(store: MemoryStore) -> dict[str, bytes]:
    return {key: body for key, (_, body) in store._bucket.blobs.items()}


class Interfering:
    """Runs something in the middle of reading a blob."""

    def __init__(self, store: MemoryStore, interfere: Callable[[int], Any]) -> None:
        self.reads = 0
        original = store.get

        @asynccontextmanager
        async def get(key: str, **options: Any) -> AsyncIterator[BlobReader]:
            async with original(key, **options) as reader:
                self.reads += 1
                result = interfere(self.reads)
                if asyncio.iscoroutine(result):
                    await result
                yield reader

        store.get = get  # type: ignore[method-assign]
