"""What is moved: files whose content follows from their name, so that the fast server knows it without keeping any.

The content of a file is a stretch of one pattern, which begins where the file's name says (`fastserver.c` does the same).
"""

import hashlib
import math
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PATTERN_BYTES = 64 << 20
SMALL_BYTES = 4096
MIXED_TOTAL_BYTES = 600 << 20
BIG_BYTES = 1 << 30
_FILES_IN_FOLDER = 100
_LONG_AGO = 1_700_000_000


@dataclass(frozen=True)
class DataSet:
    """A directory of files, and what makes another the same."""

    path: Path
    sizes: Mapping[str, int]
    digest: str

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self.sizes.values())


class Data:
    """All data sets, at a scale; made when they are first asked for."""

    def __init__(self, directory: Path, scale: float) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.directory = directory
        self.scale = scale
        self.pattern_file = directory / "pattern"
        self._pattern = random.Random(1).randbytes(PATTERN_BYTES)
        self.pattern_file.write_bytes(self._pattern)
        self._made: dict[str, DataSet] = {}

    def count(self, full: int, at_least: int = 1) -> int:
        """A number, scaled."""
        return max(at_least, round(full * self.scale))

    def get(self, name: str) -> DataSet:
        """One of `small`, `mixed` and `big`."""
        if name not in self._made:
            root = self.directory / name
            for relative, size in {"small": self._small, "mixed": self._mixed, "big": self._big}[name]():
                path = root / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                self.write(path, size)
                os.utime(path, (_LONG_AGO, _LONG_AGO))  # older than any copy of it
            self._made[name] = DataSet(root, sizes_of(root), digest_of(root))
        return self._made[name]

    def small_keys(self, count: int) -> Iterator[tuple[str, int]]:
        """Keys as they are found in buckets, with their sizes, without any files."""
        for number in range(count):
            yield f"part-{number // 1000:04}/some-file-name-{number:07}.parquet", SMALL_BYTES

    def write(self, path: Path, size: int) -> None:
        """A file with the content that its name gives it."""
        place = _place_of(path.name)
        with path.open("wb") as file:
            while size:
                piece = self._pattern[place : place + size]
                file.write(piece)
                size, place = size - len(piece), (place + len(piece)) % PATTERN_BYTES

    def content(self, name: str, start: int, size: int) -> bytes:
        """So many bytes of a file of this name, from there."""
        place = (_place_of(name) + start) % PATTERN_BYTES
        piece = self._pattern[place : place + size]
        return piece + self._pattern[: size - len(piece)]

    def _small(self) -> Iterator[tuple[str, int]]:
        for number in range(self.count(10_000)):
            yield f"d{number // _FILES_IN_FOLDER:03}/f{number:05}.bin", SMALL_BYTES

    def _mixed(self) -> Iterator[tuple[str, int]]:
        left, number, sizes = MIXED_TOTAL_BYTES * self.scale, 0, random.Random(2)
        while left > 0:
            size = int(math.exp(sizes.uniform(math.log(1 << 10), math.log(16 << 20))))
            yield f"d{number % 10}/m{number:05}.bin", size
            left, number = left - size, number + 1

    def _big(self) -> Iterator[tuple[str, int]]:
        yield "big.bin", self.count(BIG_BYTES)


def sizes_of(directory: Path) -> dict[str, int]:
    """The files below a directory, each with its size."""
    return {
        os.path.relpath(os.path.join(folder, name), directory): os.stat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(directory)
        for name in names
    }


def digest_of(directory: Path) -> str:
    """SHA-256 of the names, sizes and contents of all files below a directory."""
    total = hashlib.sha256()
    for name, size in sorted(sizes_of(directory).items()):
        with (directory / name).open("rb") as file:
            total.update(f"{name} {size} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _place_of(name: str) -> int:
    value = 14695981039346656037
    for byte in name.encode():
        value = (value ^ byte) * 1099511628211 % 2**64
    return value % PATTERN_BYTES
