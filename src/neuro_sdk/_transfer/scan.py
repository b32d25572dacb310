"""What is there on the local side: a walk through a directory that follows links, but never in a circle."""

import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neuro_sdk._ignore import IgnoreRules

Filter = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """One entry of a local directory, links followed."""

    path: Path
    name: str
    is_dir: bool
    size: int
    mtime: float
    fault: str | None = None
    """Why it cannot be transferred, if it cannot."""


def entries_of(directory: Path, above: frozenset[tuple[int, int]]) -> Iterator[LocalEntry]:
    """The entries of one directory, by name; `above` are the (device, inode) pairs of it and of the directories it is in."""
    with os.scandir(directory) as found:
        rows = sorted(found, key=lambda row: row.name)
    for row in rows:
        path = Path(row.path)
        try:
            status = row.stat()
        except OSError as error:
            yield LocalEntry(
                path,
                row.name,
                False,
                0,
                0.0,
                f"Cannot transfer {shown(path)}: {error.strerror}, not regular file/directory",
            )
            continue
        if stat.S_ISDIR(status.st_mode):
            circle = (status.st_dev, status.st_ino) in above
            fault = f"Cannot transfer {shown(path)}: a link to a directory that it is in" if circle else None
            yield LocalEntry(path, row.name, True, 0, status.st_mtime, fault)
        elif stat.S_ISREG(status.st_mode):
            yield LocalEntry(path, row.name, False, status.st_size, status.st_mtime)
        else:
            yield LocalEntry(
                path, row.name, False, 0, 0.0, f"Cannot transfer {shown(path)}, not regular file/directory"
            )


def shown(path: Path) -> str:
    """A path that can be printed, also when its name is no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def identity(directory: Path) -> tuple[int, int]:
    """What tells one directory from every other."""
    status = directory.stat()
    return status.st_dev, status.st_ino


async def is_wanted(path: Path, relative: str, rules: IgnoreRules, wanted: Filter | None, *, is_dir: bool) -> bool:
    """Whether ignore files and the caller's filter let an entry through; a `!` rule is not asked about again."""
    ignored = rules.verdict(path, is_dir=is_dir)
    if ignored is not None:
        return not ignored
    return wanted is None or await wanted(f"{relative}/" if is_dir else relative)
