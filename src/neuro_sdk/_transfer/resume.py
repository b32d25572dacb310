"""A file that is being downloaded: written beside its target, made the target when it is whole, found again after an interruption.

The name of the unfinished file is made from the blob's etag, so bytes of one blob are never taken for those of another. Which ranges are
in it stands in a journal beside it, a line a range, written after the bytes.
"""

import fcntl
import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from neuro_sdk._stores.base import BlobInfo

_PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part", re.DOTALL)
_LINE = re.compile(r"^(\d+)-(\d+)$")


class PartFile:
    """The unfinished form of one local file. Without `commit` nothing of it stays but what a resume needs."""

    def __init__(self, target: Path, info: BlobInfo, source: str, *, journal: bool) -> None:
        digest = hashlib.sha256(
            "\0".join([source, info.key, info.etag or "", str(info.size)]).encode("utf-8", "surrogatepass")
        )
        self._target = target
        self._path = target.with_name(f".{_stem(target.name)}.{digest.hexdigest()[:8]}.part")
        self._journal_path = self._path.with_name(self._path.name + ".done")
        self._journalled = journal
        self._committed = False
        self.descriptor = -1

    def open(self, *, resume: bool) -> list[tuple[int, int]]:
        """Open it; returns the ranges that are in it already, none unless `resume`."""
        while True:
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (
                BlockingIOError
            ):  # somebody else downloads the same blob to the same place: each gets a file of its own
                os.close(self.descriptor)
                self._path = self._target.with_name(f".{_stem(self._target.name)}.{os.urandom(4).hex()}.part")
                self._journal_path = self._path.with_name(self._path.name + ".done")
                continue
            if _is_still(self.descriptor, self._path):
                break
            os.close(self.descriptor)
        done = self._read_journal() if resume else []
        if not done:
            if os.fstat(self.descriptor).st_size:  # ext4 writes a file that was cut to nothing to the disk at once
                os.ftruncate(self.descriptor, 0)
            self._forget_journal()
        return done

    def write(self, data: bytes, at: int) -> None:
        """Write at a position."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.descriptor, view, at)
            view, at = view[written:], at + written

    def note(self, start: int, stop: int) -> None:
        """This range is in it."""
        if self._journalled:
            with open(self._journal_path, "a", encoding="ascii") as journal:
                journal.write(f"{start}-{stop}\n")

    def commit(self) -> None:
        """Make it the target, in one step."""
        self._path.replace(self._target)
        self._committed = True

    def close(self, *, keep: bool) -> None:
        """Let go of it. Unless it was committed, or is kept to be resumed, it is removed."""
        if self._committed or not keep:
            self._forget_journal()
        if not self._committed and not keep:
            with suppress(FileNotFoundError):
                self._path.unlink()
        os.close(self.descriptor)

    def _forget_journal(self) -> None:
        if self._journalled:
            with suppress(FileNotFoundError):
                self._journal_path.unlink()

    def _read_journal(self) -> list[tuple[int, int]]:
        try:
            lines = self._journal_path.read_text(encoding="ascii").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return []
        return [(int(found[1]), int(found[2])) for line in lines if (found := _LINE.match(line))]


def is_part_name(name: str) -> bool:
    """Whether a name has the form of our unfinished files."""
    return _PART.fullmatch(name.removesuffix(".done")) is not None


def stale_parts(directory: Path) -> dict[str, list[Path]]:
    """The unfinished files in a directory, by what their targets' names begin them with; see `remove_stale`."""
    found: dict[str, list[Path]] = {}
    for name in os.listdir(directory):
        if match := _PART.fullmatch(name):
            found.setdefault(match[1], []).append(directory / name)
    return found


def remove_stale(stale: dict[str, list[Path]], target: Path) -> None:
    """Remove what interrupted downloads of other blobs to `target` left. What another process is writing stays."""
    for part in stale.pop(_stem(target.name), ()):
        _remove_if_free(part)


def _stem(name: str) -> str:
    # Room for the rest of the name within the 255 bytes of a file name.
    return (
        name
        if len(name.encode("utf-8", "surrogateescape")) <= 200
        else hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    )


def _remove_if_free(part: Path) -> None:
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
        part.with_name(part.name + ".done").unlink(missing_ok=True)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
