"""The one place that turns exceptions into `error: what` and `  try: next step`, and into an exit code.

    0   all done
    1   some objects failed, or the local disk or a stream did
    2   the command, an argument or the configuration is wrong
    3   not logged in any more, or not allowed
    4   not there
    5   in conflict with what is there
    6   the service or the storage does not answer
    70  a fault of this program
    130 interrupted

A command that knows a better next step than the table says so with `advise`.
"""

import re
from typing import NamedTuple, TypeVar

import click

E = TypeVar("E", bound=BaseException)

FAILED, USAGE, AUTH, NOT_FOUND, CONFLICT, UNREACHABLE, BUG, INTERRUPTED = 1, 2, 3, 4, 5, 6, 70, 130
_TRY = "try: "
_MOST_LINES = 20
_SECRET = re.compile(r"(?i)(X-Amz-\w+(?:-\w+)*=|\bsig=|\bsignature=|\btoken=|\bbearer\s+)[^\s&'\"]+")
_ORDINARY_WORD = re.compile(r"[A-Z][a-z]*[,:]?(?!\S)")


class SomeFailedError(Exception):
    """Some objects failed, and each has been told of; the rest is done."""


class Problem(NamedTuple):
    """What to tell, and how to end."""

    message: str
    hint: str | None
    code: int

    def __str__(self) -> str:
        lines = self.message.splitlines() or [""]
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], f"  … and {len(lines) - _MOST_LINES + 1:,} more"]
        return "\n".join([f"error: {lines[0]}", *lines[1:], *([f"  try: {self.hint}"] if self.hint else [])])


def advise(error: E, hint: str) -> E:
    """Attach the next step to type after `error`."""
    error.add_note(_TRY + hint)
    return error


def explain(error: Exception) -> Problem:
    """What to tell of `error`. What is in no table is a bug, and says so."""
    advice = next((note.removeprefix(_TRY) for note in getattr(error, "__notes__", ()) if note.startswith(_TRY)), None)
    if isinstance(error, click.ClickException):
        return Problem(_of_click(error), advice or _help_of(error), error.exit_code)
    if isinstance(error, SomeFailedError):
        return Problem(str(error), advice, FAILED)
    for types, code, hint in _table():
        if isinstance(error, types):
            return Problem(_message(error), advice or hint, code)
    said = _SECRET.sub(r"\1***", str(error))
    bug = f"this is a bug in neuro: {type(error).__name__}: {said}"
    return Problem(bug, "the same with NEURO_DEBUG=1, and report what it prints", BUG)


def _table() -> tuple[tuple[type[Exception], int, str | None], ...]:
    """Exceptions, exit codes, next steps. The first that fits counts; ours are built-in ones too, so they come first."""
    import neuro_sdk as sdk

    return (
        (sdk.TransferError, FAILED, "the same command again: what is done is not harmed by it"),
        (sdk.BlobChanged, FAILED, "the same command again, when nothing else writes there"),
        (sdk.IntegrityError, FAILED, "the same command again"),
        (sdk.AuthenticationError, AUTH, "neuro login URL, with a token that is valid there"),
        (sdk.AuthError, AUTH, "neuro status, to see who you are; the owner can give you access"),
        (sdk.BucketNotFound, NOT_FOUND, "neuro blob lsbucket, to see which there are"),
        (sdk.BlobNotFound, NOT_FOUND, "neuro blob ls, to see which there are"),
        (sdk.ResourceNotFound, NOT_FOUND, None),
        (sdk.Conflict, CONFLICT, None),
        (sdk.IllegalArgumentError, USAGE, None),
        (sdk.ConfigError, USAGE, "neuro login URL"),
        (sdk.ServerNotAvailable, UNREACHABLE, "neuro status; or again later"),
        (sdk.BadGateway, UNREACHABLE, "neuro status, to see whether the address is the right one"),
        (sdk.NotSupportedError, USAGE, None),
        (sdk.ClientError, USAGE, None),
        (sdk.NeuroError, FAILED, None),
        (FileNotFoundError, NOT_FOUND, None),
        (IsADirectoryError, USAGE, "-r, which takes a directory with all that is in it"),
        (NotADirectoryError, USAGE, None),
        (OSError, FAILED, None),
    )


def _message(error: Exception) -> str:
    """An error of the operating system names its path first; all others say it themselves."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        name = error.filename if isinstance(error.filename, str) else repr(error.filename)
        return f"{name}: {error.strerror}"
    return str(error) or type(error).__name__


def _of_click(error: click.ClickException) -> str:
    message = error.format_message().strip().removesuffix(".")
    # A sentence of click's begins with a capital, which goes; a name (NEURO_URL, PostgreSQL, S3) stays as it is.
    return message[:1].lower() + message[1:] if _ORDINARY_WORD.match(message) else message


def _help_of(error: click.ClickException) -> str | None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{context.command_path} --help" if context else None
