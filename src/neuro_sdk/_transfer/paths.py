"""From keys to local names: a key that could leave the destination, or hide in it, is refused by name; none is rewritten."""

import os
import stat
from pathlib import Path

from .resume import is_part_name, remove_stale, stale_parts

_MAX_NAME_BYTES = 255


class UnsafeName(Exception):
    """This key has no place in the destination; the message says why."""


def safe_parts(relative: str) -> list[str]:
    """The directory names and the file name for a key relative to the source.

    Raises:
        UnsafeName: a part is empty, `.`, `..`, too long, holds a NUL, or looks like one of our unfinished files.
    """
    parts = relative.split("/")
    for part in parts:
        if part in {"", ".", ".."}:
            raise UnsafeName(f"a part of it is {part!r}, which is no file name")
        if "\0" in part:
            raise UnsafeName("it holds a NUL, which no file name can")
        if len(part.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
            raise UnsafeName(f"a part of it is longer than {_MAX_NAME_BYTES} bytes")
        if is_part_name(part):
            raise UnsafeName(f"{part!r} has the form of an unfinished download")
    return parts


class LocalTree:
    """The destination of one download: makes directories below a root, and follows no link on the way down."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: set[str] = set()
        self._stale: dict[Path, dict[str, list[Path]]] = {}

    def make(self, relative: str) -> Path:
        """The directory at `relative` ("" is the root; else without a trailing slash), made if it is not there.

        Raises:
            UnsafeName: a file or a link is in the way.
        """
        path = self._root / relative
        if relative not in self._made:
            if relative:
                path = self.make(relative.rpartition("/")[0]) / relative.rpartition("/")[2]
            _make_one(path, follow=not relative)
            self._stale[path] = stale_parts(path)
            self._made.add(relative)
        return path

    def clean(self, target: Path) -> None:
        """Remove what interrupted downloads to `target`, in a directory of this tree, left."""
        remove_stale(self._stale[target.parent], target)


def _make_one(path: Path, *, follow: bool) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        mode = (os.stat if follow else os.lstat)(path).st_mode
        if stat.S_ISLNK(mode):
            raise UnsafeName(f"{path} is a link, and what is behind it may be elsewhere") from None
        if not stat.S_ISDIR(mode):
            raise UnsafeName(f"{path} is a file, where a directory is needed") from None
