"""What operations are written with: one SDK, one bucket in it, and how results and events become plain values.

Runs inside of every environment, so it imports none of the SDKs: whichever it is, it is handed in.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarl import URL

Json = Any
"""What `json` can write."""

HOUR = 3600


@dataclass(frozen=True)
class Kit:
    """One SDK at work on one bucket. Whatever is named `Any` here is the SDK's own, and another class in each."""

    sdk: Any
    client: Any
    bucket: Any
    empty: Any
    user: str
    work: Path
    """Empty for every operation."""

    @property
    def buckets(self) -> Any:
        """`Client.buckets`."""
        return self.client.buckets

    def uri(self, key: str) -> URL:
        """A key of the bucket, as users write it."""
        return URL(f"blob:{self.bucket.name}/{key}")

    def file(self, name: str, content: str | bytes = "", *, age: float = 0) -> Path:
        """A local file with this content, last changed `age` seconds ago."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.touch(path, age)
        return path

    def touch(self, path: Path, age: float) -> None:
        """Make a file older, or newer with a negative age."""
        moment = path.stat().st_mtime - age
        os.utime(path, (moment, moment))

    def local(self, name: str) -> URL:
        """The address of a local file."""
        return URL((self.work / name).as_uri())

    def shown(self, value: object) -> str:
        """Text without what differs from one run to the next."""
        text = str(value)
        for found, named in (
            # Where a bucket has no org, the released ones write NO_ORG, if they asked for it by that name.
            (f"blob://default/NO_ORG/{self.user}/side", "blob:side"),
            (f"blob://default/{self.user}/side", "blob:side"),
            (self.work.as_uri(), "file:"),
            (str(self.work), "<work>"),
            (self.bucket.id, "<id>"),
        ):
            text = text.replace(found, named)
        return text

    def entry(self, entry: Any) -> Json:
        """All that an entry of a listing tells."""
        kind = type(entry).__name__.removeprefix("Blob")
        tells = [kind, entry.key, entry.size, "dir" if entry.is_dir() else "file", entry.name]
        assert entry.is_file() is not entry.is_dir()
        assert entry.created_at is None
        assert (entry.modified_at is None) is (kind == "CommonPrefix")
        assert entry.modified_at is None or entry.modified_at.tzinfo is not None
        return tells

    async def keys(self, prefix: str) -> list[str]:
        """What is stored under a prefix."""
        async with self.buckets.list_blobs(self.uri(prefix), recursive=True) as entries:
            return sorted([entry.key async for entry in entries])

    async def content(self, key: str, offset: int = 0) -> str:
        """The body of a blob."""
        async with self.buckets.fetch_blob(self.bucket.id, key, offset) as chunks:
            return b"".join([chunk async for chunk in chunks]).decode()

    async def put(self, *keys: str, body: bytes = b"body") -> None:
        """Blobs to begin with, all at once."""
        await asyncio.gather(*(self.buckets.put_blob(self.bucket.id, key, body) for key in keys))

    async def attempt(self, work: Awaitable[object], then: Callable[[], Awaitable[Json]] | None = None) -> Json:
        """What comes of it: a value, or how it failed; with `then`, also what is there afterwards."""
        try:
            outcome: Json = await work
        except Exception as error:  # noqa: BLE001 - how it fails is the result
            outcome = self.failure(error)
        return outcome if then is None else {"outcome": outcome, "then": await then()}

    def failure(self, error: BaseException) -> Json:
        """By which names an error can be caught, and its errno."""
        names = self.caught_as(type(error))
        code = error.errno if isinstance(error, OSError) else None
        return {"raises": names, **({} if code is None else {"errno": code})}

    def caught_as(self, kind: type[BaseException]) -> list[str]:
        """The names of an error and of what it is based on, as far as users can name them."""
        return sorted({name for base in kind.__mro__ if (name := self._public_name(base))})

    def _public_name(self, kind: type) -> str | None:
        if kind in (object, BaseException, Exception):
            return None
        if kind.__module__ in ("builtins", self.sdk.__name__):
            return kind.__name__
        return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"  # another library's, that leaked

    def local_tree(self, name: str) -> Mapping[str, str | None]:
        """What is in a local directory: content by path, None for directories."""
        root = self.work / name
        return {
            f"{path.relative_to(root)}{'/' if path.is_dir() else ''}": None if path.is_dir() else path.read_text()
            for path in sorted(root.rglob("*"))
        }

    def events(self) -> "Events":
        """A progress for files, directories and removals that writes down what it is told."""
        return events_of(self)


class Events:
    """What a progress was told, in order."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.told: list[tuple[str, Any]] = []
        self.progress: Any = None

    def of_files(self) -> Json:
        """For each file its sequence of events. Steps count once; a file without bytes may have none."""
        files: dict[str, list[Json]] = {}
        for kind, data in self.told:
            if kind in ("start", "step", "complete"):
                name = f"{self._kit.shown(data.src)} -> {self._kit.shown(data.dst)}"
                told = files.setdefault(name, [])
                if kind != "step":
                    told.append([kind, data.size])
                elif data.size and told[-1] != "step":
                    told.append("step")
        return dict(sorted(files.items()))

    def of_directories(self) -> Json:
        """Directories entered and left, and entries that failed; then whatever came at a wrong moment.

        Whether a directory's address ends in a slash is not told here, but by `addresses_of_directories`.
        """
        shown = self._kit.shown
        seen = sorted(
            [kind, shown(data.src).rstrip("/"), shown(data.dst).rstrip("/")]
            for kind, data in self.told
            if kind in ("enter", "leave")
        )
        failed = sorted([shown(data.src), shown(data.dst)] for kind, data in self.told if kind == "fail")
        return {"directories": seen, "failed": failed, "out of order": self._disorder()}

    def _disorder(self) -> list[str]:
        is_open: list[str] = []
        wrong = []
        for kind, data in self.told:
            src = str(data.src).rstrip("/")
            if kind == "leave":
                wrong += [f"{inner} outlives {src}" for inner in is_open if inner.startswith(f"{src}/")]
                is_open.remove(src)
            elif (is_open or kind != "enter") and src.rpartition("/")[0] not in is_open:
                wrong.append(f"{kind} of {src} outside of its directory")
            if kind == "enter":
                is_open.append(src)
        return [self._kit.shown(line) for line in wrong + [f"{src} was never left" for src in is_open]]

    def of_removals(self) -> Json:
        """What was removed: blobs and directories, and what came last. Addresses as in `of_directories`."""
        removed = [[self._kit.shown(data.uri).rstrip("/"), data.is_dir] for kind, data in self.told if kind == "delete"]
        return {
            "blobs": sorted(uri for uri, is_dir in removed if not is_dir),
            "directories": sorted(uri for uri, is_dir in removed if is_dir),
            "last": removed[-1] if removed else None,
        }

    def addresses_of_directories(self) -> Json:
        """Every address of a directory, to the letter."""
        told = [data for kind, data in self.told if kind in ("enter", "leave")]
        addresses = {data.src for data in told} | {data.dst for data in told}
        addresses |= {data.uri for kind, data in self.told if kind == "delete" and data.is_dir}
        return sorted(self._kit.shown(address) for address in addresses)

    def overshot(self) -> bool:
        """Whether a step told of more bytes than there are."""
        return any(kind == "step" and data.current > data.size for kind, data in self.told)


def events_of(kit: Kit) -> Events:
    """Events, with a progress of the SDK's own classes."""
    events = Events(kit)

    def told(kind: str) -> Callable[[object, object], None]:
        return lambda _self, data: events.told.append((kind, data))

    bases = (kit.sdk.AbstractRecursiveFileProgress, kit.sdk.AbstractDeleteProgress)
    kinds = ("start", "step", "complete", "enter", "leave", "fail", "delete")
    events.progress = type("Progress", bases, {kind: told(kind) for kind in kinds})()
    return events


async def chunks_of(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body that comes in pieces."""
    for chunk in chunks:
        yield chunk
