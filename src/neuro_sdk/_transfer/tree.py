"""The directories of one transfer, and when each begins and ends: `enter` before anything in it, `leave` after everything in it."""

from dataclasses import dataclass

from yarl import URL

from neuro_sdk._progress import (
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)


@dataclass(slots=True)
class FileEvents:
    """The events of one file. It starts once; if it is begun anew its steps go back, perhaps with another size."""

    progress: AbstractFileProgress | None
    src: URL
    dst: URL
    _started: bool = False

    def start(self, size: int) -> None:
        """It begins."""
        if self.progress is not None and not self._started:
            self._started = True
            self.progress.start(StorageProgressStart(self.src, self.dst, size))

    def step(self, current: int, size: int) -> None:
        """`current` bytes are done."""
        if self.progress is not None:
            self.progress.step(StorageProgressStep(self.src, self.dst, current, size))

    def complete(self, size: int) -> None:
        """It is whole."""
        if self.progress is not None:
            self.progress.complete(StorageProgressComplete(self.src, self.dst, size))

    def all(self, size: int) -> None:
        """It began, and is whole."""
        self.start(size)
        self.step(size, size)
        self.complete(size)


NO_EVENTS = FileEvents(None, URL(), URL())
"""For a file that nobody watches: making its addresses would cost more than all else about it."""


class Directory:
    """One directory under way. It ends when it was walked to its end and all that was begun in it is done."""

    __slots__ = ("_open", "_parent", "_progress", "dst", "src")

    def __init__(
        self, src: URL, dst: URL, progress: AbstractRecursiveFileProgress | None, parent: "Directory | None" = None
    ) -> None:
        self.src, self.dst = src, dst
        self._progress = progress
        self._parent = parent
        self._open = 1  # the walk through it
        if parent is not None:
            parent.begin()
        if progress is not None:
            progress.enter(StorageProgressEnterDir(src, dst))

    def begin(self) -> None:
        """Something in it begins."""
        self._open += 1

    def done(self) -> None:
        """Something in it, or the walk through it, is done."""
        self._open -= 1
        if self._open == 0:
            if self._progress is not None:
                self._progress.leave(StorageProgressLeaveDir(self.src, self.dst))
            if self._parent is not None:
                self._parent.done()


class Failures:
    """What could not be transferred while the rest went on."""

    def __init__(self, progress: AbstractRecursiveFileProgress | None) -> None:
        self._progress = progress
        self.lines: list[str] = []

    def add(self, src: URL, dst: URL, message: str, *, ends_in_error: bool = True) -> None:
        """One entry that is left out; `ends_in_error`: the call as a whole must not look like a success."""
        if ends_in_error:
            self.lines.append(message)
        if self._progress is not None:
            self._progress.fail(StorageProgressFail(src, dst, message))
