"""What is there on the local side: a walk through a directory that follows links, but never in a circle."""

import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from neuro_sdk._ignore import IgnoreRules

SORTED_ENTRIES = 10_000
"""Of a directory, read before the first of them is told."""

Filter = Callable[[str], Awaitable[bool]]


@dataclass(slots=True)
class LocalEntry:
    """One entry of a local directory, links followed."""

    place: str
    """Its path."""
    name: str
    is_dir: bool
    size: int
    mtime: float
    fault: str | None = None
    """Why it cannot be transferred, if it cannot."""

    @property
    def path(self) -> Path:
        """Its path, as an object that is made when it is asked for: that would cost more than all else about most entries."""
        return Path(self.place)


def entries_of(directory: Path, above: frozenset[tuple[int, int]]) -> Iterator[LocalEntry]:
    """The entries of one directory; `above` are the (device, inode) pairs of it and of the directories it is in.

    They come by name, `SORTED_ENTRIES` at a time: however many there are, no more are held.
    """
    with os.scandir(directory) as found:
        while rows := sorted(islice(found, SORTED_ENTRIES), key=lambda row: row.name, reverse=True):
            if len(rows) < SORTED_ENTRIES:
                found.close()  # that was all: not one descriptor more for each directory further down
            while rows:
                yield _entry(rows.pop(), above)


def _entry(row: os.DirEntry[str], above: frozenset[tuple[int, int]]) -> LocalEntry:
    place = row.path
    try:
        status = row.stat()
    except OSError as error:
        fault: str | None = f"Cannot transfer {shown(place)}: {error.strerror}, not regular file/directory"
        return LocalEntry(place, row.name, False, 0, 0.0, fault)
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        circle = (status.st_dev, status.st_ino) in above
        fault = f"Cannot transfer {shown(place)}: a link to a directory that it is in" if circle else None
        return LocalEntry(place, row.name, True, 0, status.st_mtime, fault)
    if stat.S_ISREG(mode):
        return LocalEntry(place, row.name, False, status.st_size, status.st_mtime)
    fault = f"Cannot transfer {shown(place)}, not regular file/directory"
    return LocalEntry(place, row.name, False, 0, 0.0, fault)


def shown(path: str) -> str:
    """A path that can be printed, also when its name is no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def identity(directory: Path) -> tuple[int, int]:
    """What tells one directory from every other."""
    status = directory.stat()
    return status.st_dev, status.st_ino


async def is_wanted(entry: LocalEntry, relative: str, rules: IgnoreRules, wanted: Filter | None) -> bool:
    """Whether ignore files and the caller's filter let an entry through; a `!` rule is not asked about again."""
    if rules:
        ignored = rules.verdict(entry.path, is_dir=entry.is_dir)
        if ignored is not None:
            return not ignored
    return wanted is None or await wanted(f"{relative}/" if entry.is_dir else relative)
