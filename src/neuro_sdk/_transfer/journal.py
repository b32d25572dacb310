"""Uploads in parts that are under way, one small file each, so that what a killed process left is resumed or removed by the next.

A file is locked (flock) by the process whose upload it is; one that can be locked belongs to nobody any more. Where the directory cannot be
written there is no journal, and uploads work all the same.
"""

import fcntl
import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One upload: where it goes, and of which file it is."""

    bucket_id: str
    key: str
    upload_id: str
    path: str
    size: int
    mtime_ns: int
    inode: int
    part_bytes: int


class Ticket:
    """An entry that this process holds."""

    def __init__(self, entry: Entry, file: Path | None, descriptor: int) -> None:
        self.entry = entry
        self._file = file
        self._descriptor = descriptor

    def close(self, *, keep: bool) -> None:
        """Let go of it; unless it is kept for the next process, it is removed."""
        if self._file is None:
            return
        if not keep:
            self._file.unlink(missing_ok=True)
        os.close(self._descriptor)


class Journal:
    """The directory with the entries of all uploads of this user on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, entry: Entry) -> Ticket:
        """Write an entry down."""
        file = self._directory / f"{secrets.token_hex(8)}.json"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return Ticket(entry, None, -1)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(asdict(entry)).encode())
        return Ticket(entry, file, descriptor)

    def abandoned(self, bucket_id: str) -> list[Ticket]:
        """The entries for a bucket that nobody holds; they are held by the caller from now on."""
        try:
            files = [Path(row.path) for row in os.scandir(self._directory) if row.name.endswith(".json")]
        except OSError:
            return []
        return [ticket for file in files if (ticket := _take(file, bucket_id)) is not None]


def _take(file: Path, bucket_id: str) -> Ticket | None:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError, ValueError, TypeError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        entry = Entry(**json.loads(os.read(descriptor, 65536)))
        if entry.bucket_id == bucket_id and file.exists():
            return Ticket(entry, file, descriptor)
    os.close(descriptor)
    return None
