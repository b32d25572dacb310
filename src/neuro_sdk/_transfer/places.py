"""The directories that downloads are written to, each held by its descriptor.

So no link on the way down is followed, nor one that is planted there meanwhile.
"""

import errno
import os
import stat
from pathlib import Path

from .folding import PROBE, folds_names, loose, same_name
from .paths import UnsafeName
from .resume import remove_stale, stale_parts

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IN_THE_WAY = {errno.ELOOP, errno.ENOTDIR, errno.ENOENT}
_NO_NAME_HERE = {errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG}


class Folder:
    """One open directory. It is closed when the one who opened it, and all that was begun in it, is done."""

    def __init__(self, path: Path, descriptor: int, *, is_root: bool, folds: bool | None) -> None:
        self.path = path
        self.descriptor = descriptor
        self._is_root = is_root
        self._users = 1
        self._under_way: set[str] = set()
        self._claimed: dict[str, list[str]] = {}
        self._empty = False
        """No directories, and nothing of anybody else's."""
        try:
            status = os.fstat(descriptor)
            self._identity = (status.st_dev, status.st_ino)
            self._empty, self._stale = stale_parts(descriptor)
            remove_stale(descriptor, self._stale, PROBE)
            self._folds = folds_names(descriptor) if folds is None else folds
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def root(cls, path: Path, *, folds: bool | None = None) -> "Folder":
        """The destination itself, links followed: the caller named it. Whether it folds names is asked, unless told."""
        return cls(path, os.open(path, _OPEN), is_root=True, folds=folds)

    def enter(self, name: str) -> "Folder":
        """The directory `name` in this one, made if it is not there.

        Raises:
            UnsafeName: a file or a link is in the way, or it is one name with another of this download.
        """
        path = self.path / name
        self._empty = False
        if name in self._under_way:
            raise UnsafeName(f"{path} is a file of this download")
        self._claim(name)
        folds: bool | None = self._folds  # a directory is made with the rule of the one that it is in
        try:
            os.mkdir(name, dir_fd=self.descriptor)
        except FileExistsError:
            folds = None
        except OSError as error:
            raise named(error, path) from error
        try:
            descriptor = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in _IN_THE_WAY:
                raise UnsafeName(self._fault(name)) from error
            raise named(error, path) from error
        return Folder(path, descriptor, is_root=False, folds=folds)

    def begin(self, name: str) -> None:
        """A file begins in it.

        Raises:
            UnsafeName: something that is no file is there, or it is one name with another of this download.
        """
        self._claim(name)
        if not self._empty:  # else what is there is what was put there by this download
            mode = self._mode(name)
            if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise UnsafeName(f"{self.path / name} is there, and is no file")
        self._under_way.add(name)
        self._users += 1

    def end(self, name: str) -> None:
        """That file ends, whole or not."""
        self._under_way.discard(name)
        self.done()

    def sweep(self, name: str) -> None:
        """Remove what interrupted downloads to that file left before this one began."""
        remove_stale(self.descriptor, self._stale, name)

    def done(self) -> None:
        """One user less."""
        self._users -= 1
        if self._users == 0:
            os.close(self.descriptor)

    def check_still(self) -> None:
        """Refuse to write where nobody would find it.

        Raises:
            UnsafeName: the directory was moved away, or a link put in its place.
        """
        if self._is_root:
            return
        try:
            there = os.stat(self.path)
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != self._identity:
            raise UnsafeName(f"{self.path} was removed or replaced meanwhile")

    def _claim(self, name: str) -> None:
        """Take a name for this download; the first one that asks gets it."""
        if not self._folds:  # then only equal names are one, and those are met on the disk
            return
        others = self._claimed.setdefault(loose(name), [])
        for other in others:
            if other == name:
                return
            if same_name(self.descriptor, other, name):
                raise UnsafeName(f"the file system takes its {name!a} for {other!a}, which another key has")
        others.append(name)

    def _fault(self, name: str) -> str:
        mode = self._mode(name)
        if mode is None:
            return f"{self.path / name} was removed meanwhile"
        if stat.S_ISLNK(mode):
            return f"{self.path / name} is a link, and what is behind it may be elsewhere"
        return f"{self.path / name} is a file, where a directory is needed"

    def _mode(self, name: str) -> int | None:
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None


def named(error: OSError, path: Path) -> Exception:
    """The error with the whole path, which a call with a descriptor does not know."""
    if error.errno in _NO_NAME_HERE:
        return UnsafeName(f"the file system takes no such name ({error.strerror})")
    return OSError(error.errno, error.strerror, str(path))
