"""What is written where: data to stdout, everything else to stderr. How a value looks as text is `_format`'s.

Whoever reads our stdout may leave (`neuro blob ls | head`). That is no fault, and it must not be taken for a broken
connection of the SDK's, so it has an exception of its own, which nothing but `_outcome` catches.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence

JsonValue = str | int | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


class OutputClosedError(Exception):
    """Nobody reads our stdout any more."""


def prepare() -> None:
    """A name that the terminal's encoding cannot show is shown escaped instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def data(line: str) -> None:
    """Write one line of what was asked for."""
    data_bytes((line + "\n").encode(sys.stdout.encoding, "backslashreplace"))


def data_json(value: Mapping[str, JsonValue]) -> None:
    """Write one JSON object as one line."""
    import json

    data(json.dumps(value, ensure_ascii=False))


def data_bytes(chunk: bytes) -> None:
    """Write part of a blob as it is."""
    with _stdout_faults():
        sys.stdout.buffer.write(chunk)


def flush() -> int:
    """Hand over what is buffered; until then nothing is known to have arrived. 0, as an exit code."""
    with _stdout_faults():
        sys.stdout.flush()
    return 0


def note(text: str) -> None:
    """Tell the person at the terminal something that is no data. Control characters are shown, not sent."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write("".join(map(_shown, text)) + "\n")
        sys.stderr.flush()


def let_go_of_stdout() -> None:
    """Make the interpreter's last flush harmless after stdout failed."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _shown(character: str) -> str:
    return character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1]


class _stdout_faults(contextlib.AbstractContextManager[None]):  # noqa: N801 - used like a function
    """Names the stream in an error of stdout, which carries no file name of its own."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, BrokenPipeError):
            raise OutputClosedError from error
        if isinstance(error, OSError):
            let_go_of_stdout()
            raise OSError(error.errno, error.strerror, "standard output") from error
