"""Follows transfers and removals: counts, and shows the count as bars on a terminal, as a line now and then elsewhere.

The counting is here, and the plain lines; the bars are in `_bars`, which is imported only where they are drawn.
"""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from neuro_sdk import (
    AbstractDeleteProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

from . import _format, _output
from ._errors import SomeFailedError

Clock = Callable[[], float]
LINE_SECONDS = 5.0


class Tally:
    """What is done and what is under way. Read by displays, written by the progress classes below."""

    def __init__(self, done_word: str, noun: str, clock: Clock) -> None:
        self.done_word = done_word
        self.noun = noun
        self.clock = clock
        self.began = clock()
        self.objects = 0
        self.failures = 0
        self.whole_bytes = 0
        self.running: dict[str, tuple[int, int]] = {}
        """Name of each object under way: bytes that are done, and its size, 0 where that is not known."""
        self.expected: tuple[int, int] | None = None
        """How many objects and bytes there are, once that was counted."""

    @property
    def bytes(self) -> int:
        """Bytes that are done, those of unfinished objects too."""
        return self.whole_bytes + sum(current for current, _ in self.running.values())

    @property
    def objects_and_parts(self) -> float:
        """Objects that are done, and of those under way the share that is done."""
        return self.objects + sum(current / size for current, size in self.running.values() if size)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return max(self.clock() - self.began, 0.001)

    def line(self) -> str:
        """`uploaded 1,024 files, 3.2 GiB in 41 s (80 MiB/s)`."""
        if self.objects == 0 and not self.running:
            return f"nothing {self.done_word}"
        counted = f"{self.done_word} {_format.count(self.objects, self.noun)}"
        spent = _format.duration(self.seconds)
        moved = self.bytes
        if not moved:
            return f"{counted} in {spent}"
        return f"{counted}, {_format.size(moved)} in {spent} ({_format.size(moved / self.seconds)}/s)"


class Display(Protocol):
    """Somewhere to show a tally."""

    every: float
    """Seconds between two pictures."""
    wants_total: bool
    """Whether it is worth counting beforehand how much there is."""

    def show(self, tally: Tally) -> None:
        """The tally as it is now; called every `every` seconds, as long as something happens."""

    def close(self) -> None:
        """Take away what is drawn."""


class Lines:
    """A line now and then, for logs."""

    every = LINE_SECONDS
    wants_total = False

    def show(self, tally: Tally) -> None:
        """Write one line."""
        _output.note(f"{tally.line()}, {len(tally.running):,} under way" if tally.running else tally.line())

    def close(self) -> None:
        """Nothing is drawn."""


class AtTheEnd:
    """Nothing but the last line."""

    every = float("inf")
    wants_total = False

    def show(self, tally: Tally) -> None:
        """Never called."""

    def close(self) -> None:
        """Nothing is drawn."""


class _Shown:
    """What following a transfer and following a removal have in common."""

    def __init__(self, done_word: str, noun: str, display: Display | None, clock: Clock = time.monotonic) -> None:
        self.tally = Tally(done_word, noun, clock)
        self._display = display
        self._shown_at = self.tally.began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away the bars. What was done is told, unless nothing was and an error says why."""
        if self._display is None:
            return
        self._display.close()
        if error is None or self.tally.objects:
            _output.note(self.tally.line())

    @property
    def wants_total(self) -> bool:
        """Whether somebody looks at how long it will take."""
        return self._display is not None and self._display.wants_total

    def _tick(self) -> None:
        if self._display is not None:
            now = self.tally.clock()
            if now - self._shown_at >= self._display.every:
                self._shown_at = now
                self._display.show(self.tally)


class TransferProgress(_Shown, AbstractRecursiveFileProgress):
    """Follows uploads or downloads, any number of them side by side."""

    def start(self, data: StorageProgressStart) -> None:
        """One more is under way."""
        self.tally.running[str(data.src)] = (0, data.size)
        self._tick()

    def step(self, data: StorageProgressStep) -> None:
        """More bytes."""
        self.tally.running[str(data.src)] = (data.current, data.size)
        self._tick()

    def complete(self, data: StorageProgressComplete) -> None:
        """One is whole."""
        self.tally.running.pop(str(data.src), None)
        self.tally.objects += 1
        self.tally.whole_bytes += data.size
        self._tick()

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Directories are not counted."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Directories are not counted."""

    def fail(self, data: StorageProgressFail) -> None:
        """Tell of it at once."""
        self.tally.running.pop(str(data.src), None)
        self.tally.failures += 1
        name = data.src.path if data.src.scheme == "file" else data.src.human_repr()
        _output.note(f"error: {data.message}" if name in data.message else f"error: {name}: {data.message}")
        self._tick()

    def raise_for_failures(self) -> None:
        """End the command with the exit code that says so.

        Raises:
            SomeFailedError: there were failures.
        """
        if self.tally.failures:
            raise SomeFailedError(
                f"{_format.count(self.tally.failures, self.tally.noun)} not {self.tally.done_word}, all others are"
            )


class DeleteProgress(_Shown, AbstractDeleteProgress):
    """Follows a removal; with `each` it tells of everything that is gone."""

    def __init__(
        self,
        done_word: str,
        noun: str,
        display: Display | None,
        clock: Clock = time.monotonic,
        *,
        each: bool = False,
    ) -> None:
        super().__init__(done_word, noun, display, clock)
        self._each = each

    def delete(self, data: StorageProgressDelete) -> None:
        """One is gone; only blobs are counted, a folder is no thing of its own."""
        if not data.is_dir:
            self.tally.objects += 1
        if self._each:
            _output.note(f"removed {data.uri}")
        self._tick()


def display(*, quiet: bool, progress: bool | None = None) -> Display | None:
    """Where to show progress: nowhere, at the end, as bars, or as lines; `progress` is what the user said, if anything."""
    if quiet:
        return None
    if progress is False:
        return AtTheEnd()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from ._bars import Bars

        return Bars()
    return Lines()
