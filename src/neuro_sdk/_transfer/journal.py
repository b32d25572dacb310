"""Uploads in parts that are under way, one small file each, so that what a killed process left is resumed or removed by the next. Its
first line says of what it is, before anything is begun at the storage; the next one under which id it was begun; then one each that a
part is stored.

A file is locked (flock) by the process whose upload it is; one that can be locked belongs to nobody any more. Where the directory cannot be
written there is no journal, and uploads work all the same.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from neuro_sdk._stores.base import Part

_ID = "upload_id"


@dataclass(frozen=True, slots=True)
class Entry:
    """One upload: where it goes, and of which file it is."""

    bucket_id: str
    key: str
    path: str
    size: int
    mtime_ns: int
    inode: int
    part_bytes: int
    begun_at: float = field(default=0.0, compare=False)
    upload_id: str = field(default="", compare=False)
    """Empty until it is known."""


class Ticket:
    """An entry that this process holds."""

    def __init__(self, entry: Entry, file: Path | None, descriptor: int, parts: Sequence[Part] = ()) -> None:
        self.entry = entry
        self.parts = parts
        """Those that were stored before this process took it."""
        self._file = file
        self._descriptor = descriptor

    def begun(self, upload_id: str) -> None:
        """It was begun under this id."""
        self.entry = replace(self.entry, upload_id=upload_id)
        if self._file is not None:
            os.write(self._descriptor, json.dumps({_ID: upload_id}).encode() + b"\n")

    def note(self, part: Part) -> None:
        """This part is stored."""
        if self._file is not None:
            os.write(self._descriptor, _line(part))

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
        os.write(descriptor, _line(entry))
        return Ticket(entry, file, descriptor)

    def abandoned(self, bucket_id: str) -> list[Ticket]:
        """The entries for a bucket that nobody holds; they are held by the caller from now on."""
        try:
            files = [Path(row.path) for row in os.scandir(self._directory) if row.name.endswith(".json")]
        except OSError:
            return []
        return [ticket for file in files if (ticket := _take(file, bucket_id)) is not None]


def _line(value: Entry | Part) -> bytes:
    return json.dumps(asdict(value)).encode() + b"\n"


def _parts(lines: Sequence[bytes]) -> Iterator[Part]:
    for line in lines:
        with suppress(ValueError, TypeError):  # the last one may be cut short
            yield Part(**json.loads(line))


def _upload_id(lines: Sequence[bytes]) -> str:
    with suppress(IndexError, ValueError, TypeError, KeyError):
        return str(json.loads(lines[0])[_ID])
    return ""


def _take(file: Path, bucket_id: str) -> Ticket | None:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError, ValueError, TypeError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first, *rest = file.read_bytes().splitlines()
        entry = Entry(**json.loads(first))
        entry = entry if entry.upload_id else replace(entry, upload_id=_upload_id(rest))
        if entry.bucket_id == bucket_id and os.path.samestat(os.fstat(descriptor), file.stat()):
            os.lseek(descriptor, 0, os.SEEK_END)
            return Ticket(entry, file, descriptor, list(_parts(rest)))
    os.close(descriptor)
    return None
