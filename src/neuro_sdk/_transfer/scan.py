"""What is there on the local side: a walk through a directory that follows links, but never in a circle."""

import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neuro_sdk._ignore import IgnoreRules

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
    """The entries of one directory, by name; `above` are the (device, inode) pairs of it and of the directories it is in."""
    with os.scandir(directory) as found:
        rows = sorted(found, key=lambda row: row.name)
    for row in rows:
        place = row.path
        try:
            status = row.stat()
        except OSError as error:
            fault: str | None = f"Cannot transfer {shown(place)}: {error.strerror}, not regular file/directory"
            yield LocalEntry(place, row.name, False, 0, 0.0, fault)
            continue
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            circle = (status.st_dev, status.st_ino) in above
            fault = f"Cannot transfer {shown(place)}: a link to a directory that it is in" if circle else None
            yield LocalEntry(place, row.name, True, 0, status.st_mtime, fault)
        elif stat.S_ISREG(mode):
            yield LocalEntry(place, row.name, False, status.st_size, status.st_mtime)
        else:
            fault = f"Cannot transfer {shown(place)}, not regular file/directory"
            yield LocalEntry(place, row.name, False, 0, 0.0, fault)


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
