"""A file that is being downloaded: written beside its target, made the target when it is whole, found again after an interruption.

The name of the unfinished file is made from the blob's etag, so bytes of one blob are never taken for those of another. Which ranges are
in it stands in a journal beside it, a line a range, written after the bytes.
"""

import errno
import fcntl
import hashlib
import itertools
import os
import re
import stat
from contextlib import suppress
from typing import IO

from neuro_sdk._stores.base import BlobInfo, Buffer

_PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part", re.DOTALL)
_LINE = re.compile(rb"(\d{1,20})-(\d{1,20})$")
_numbers = itertools.count(int.from_bytes(os.urandom(4), "big"))  # of unfinished files that nobody resumes
_OPEN_PART = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class PartFile:
    """The unfinished form of a file in an open directory. Without `commit` only what a resume needs of it stays."""

    def __init__(self, directory: int, target: str, info: BlobInfo, source: str, *, journal: bool) -> None:
        digest = hashlib.sha256(
            "\0".join([source, info.key, info.etag or "", str(info.size)]).encode("utf-8", "surrogatepass")
        )
        self._directory = directory
        self._target = target
        self._name = f".{_stem(target)}.{digest.hexdigest()[:8]}.part"
        self._journalled = journal
        self._committed = False
        self.descriptor = -1

    def open(self, *, resume: bool) -> list[tuple[int, int]]:
        """Open it; returns the ranges that are in it already, none unless `resume`."""
        while not self._take():
            # Somebody else downloads the same blob to here, or put something there: each gets a file of its own.
            self._name = f".{_stem(self._target)}.{os.urandom(4).hex()}.part"
        done = self._read_journal() if resume else []
        if not done:
            self._forget_journal()
            if os.fstat(self.descriptor).st_size:  # ext4 writes a file that was cut to nothing to the disk at once
                os.ftruncate(self.descriptor, 0)
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
            with self._opened_journal(os.O_WRONLY | os.O_APPEND | os.O_CREAT, "ab") as journal:
                journal.write(f"{start}-{stop}\n".encode())

    def commit(self) -> None:
        """Make it the target, in one step."""
        self._forget_journal()  # before: at no moment does one speak of a file that is not there
        os.rename(self._name, self._target, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._committed = True

    def close(self, *, keep: bool) -> None:
        """Let go of it. Unless it was committed, or is kept to be resumed, it is removed."""
        if self.descriptor < 0:
            return
        if self._committed or not keep:
            self._forget_journal()
        if not self._committed and not keep:
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._directory)
        os.close(self.descriptor)

    def _take(self) -> bool:
        """Open the file of the present name and lock it; False if it is not for us."""
        try:
            descriptor = os.open(self._name, _OPEN_PART, 0o666, dir_fd=self._directory)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EISDIR}:
                return False
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A second name of a file elsewhere is none of ours; one that was finished or swept meanwhile has no name.
            ours = _is_plain(descriptor) and _is_still(descriptor, self._name, self._directory)
        except BlockingIOError:
            ours = False
        if ours:
            self.descriptor = descriptor
        else:
            os.close(descriptor)
        return ours

    def _forget_journal(self) -> None:
        if self._journalled:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._name}.done", dir_fd=self._directory)

    def _read_journal(self) -> list[tuple[int, int]]:
        try:
            with self._opened_journal(os.O_RDONLY | os.O_NONBLOCK, "rb") as journal:
                rows = [(int(found[1]), int(found[2])) for line in journal if (found := _LINE.match(line))]
        except OSError:
            return []
        size = os.fstat(self.descriptor).st_size
        return [(start, stop) for start, stop in rows if stop <= size]

    def _opened_journal(self, flags: int, mode: str) -> IO[bytes]:
        name = f"{self._name}.done"
        return os.fdopen(os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666, dir_fd=self._directory), mode)


def write_whole(directory: int, target: str, body: Buffer) -> None:
    """Write a file of an open directory in one go: under a name of its own, and then under its own name.

    Raises:
        OSError: something is in the way; nothing is left of it.
    """
    name = f".{_stem(target)}.{next(_numbers) & 0xFFFFFFFF:08x}.part"
    descriptor = os.open(name, _OPEN_PART | os.O_EXCL, 0o666, dir_fd=directory)
    try:
        if os.write(descriptor, body) != len(body):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)
        os.rename(name, target, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(name, dir_fd=directory)
        raise
    finally:
        os.close(descriptor)


def is_part_name(name: str) -> bool:
    """Whether a name has the form of our unfinished files."""
    return name.endswith((".part", ".done")) and _PART.fullmatch(name.removesuffix(".done")) is not None


def stale_parts(directory: int) -> tuple[bool, dict[str, list[str]]]:
    """Whether an open directory is empty, and the unfinished files in it, by what they begin with; see `remove_stale`."""
    found: dict[str, list[str]] = {}
    empty = True
    with os.scandir(directory) as rows:
        for row in rows:
            empty = False
            if match := _PART.fullmatch(row.name):
                found.setdefault(match[1], []).append(row.name)
    return empty, found


def remove_stale(directory: int, stale: dict[str, list[str]], target: str) -> None:
    """Remove what interrupted downloads of other blobs to `target` left. What another process is writing stays."""
    for name in stale.pop(_stem(target), ()) if stale else ():
        _remove_if_free(directory, name)


def _stem(name: str) -> str:
    # Room for the rest of the name within the 255 bytes of a file name.
    if len(name) <= 50:  # four bytes a character at most
        return name
    encoded = name.encode("utf-8", "surrogateescape")
    return name if len(encoded) <= 200 else hashlib.sha256(encoded).hexdigest()


def _remove_if_free(directory: int, name: str) -> None:
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):
            os.unlink(f"{name}.done", dir_fd=directory)
        os.unlink(name, dir_fd=directory)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _is_plain(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _is_still(descriptor: int, name: str, directory: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:
        return False
