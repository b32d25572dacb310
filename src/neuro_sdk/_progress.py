"""What transfers and removals tell about themselves: frozen events, and the callback classes that receive them.

Callbacks are plain functions called in the event loop, in order; an exception raised in one ends the operation and reaches the caller.
"""

import abc
from dataclasses import dataclass

from yarl import URL


@dataclass(frozen=True, slots=True)
class StorageProgressStart:
    """One file begins; `size` in bytes."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True, slots=True)
class StorageProgressStep:
    """`current` bytes of `size` are done."""

    src: URL
    dst: URL
    current: int
    size: int


@dataclass(frozen=True, slots=True)
class StorageProgressComplete:
    """One file is whole at its destination."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True, slots=True)
class StorageProgressEnterDir:
    """A directory begins; comes before anything in it."""

    src: URL
    dst: URL


@dataclass(frozen=True, slots=True)
class StorageProgressLeaveDir:
    """A directory is done; comes after everything in it."""

    src: URL
    dst: URL


@dataclass(frozen=True, slots=True)
class StorageProgressFail:
    """One entry cannot be transferred; the others go on."""

    src: URL
    dst: URL
    message: str


@dataclass(frozen=True, slots=True)
class StorageProgressDelete:
    """One blob, or one directory after its children, was removed."""

    uri: URL
    is_dir: bool


class AbstractFileProgress(abc.ABC):
    """Follows one file: start, then steps, then complete."""

    @abc.abstractmethod
    def start(self, data: StorageProgressStart) -> None:
        """The transfer begins."""

    @abc.abstractmethod
    def complete(self, data: StorageProgressComplete) -> None:
        """The file is whole at its destination."""

    @abc.abstractmethod
    def step(self, data: StorageProgressStep) -> None:
        """More bytes are done."""


class AbstractRecursiveFileProgress(AbstractFileProgress):
    """Follows a directory; events of files that move side by side interleave."""

    @abc.abstractmethod
    def enter(self, data: StorageProgressEnterDir) -> None:
        """A directory begins."""

    @abc.abstractmethod
    def leave(self, data: StorageProgressLeaveDir) -> None:
        """A directory is done."""

    @abc.abstractmethod
    def fail(self, data: StorageProgressFail) -> None:
        """One entry cannot be transferred."""


class AbstractDeleteProgress(abc.ABC):
    """Follows a removal."""

    @abc.abstractmethod
    def delete(self, data: StorageProgressDelete) -> None:
        """A blob or directory was removed."""
