"""Every exception has its message, its next step and its exit code."""

import errno

import click
import pytest

import neuro_sdk as sdk
from neuro_cli import _errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (sdk.TransferError("2 of 9 failed", ["a: gone", "b: gone"]), 1),
        (sdk.BlobChanged("b/k changed"), 1),
        (sdk.IntegrityError("b/k is not what was sent"), 1),
        (_errors.SomeFailedError("1 failed"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "/f"), 1),
        (sdk.IllegalArgumentError("bad name"), 2),
        (sdk.ConfigError("not logged in"), 2),
        (sdk.NotSupportedError("no such thing here"), 2),
        (sdk.ClientError("405"), 2),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/d"), 2),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/d"), 2),
        (click.UsageError("what?"), 2),
        (sdk.AuthenticationError("expired"), 3),
        (sdk.AuthorizationError("not yours"), 3),
        (sdk.ResourceNotFound("no such thing"), 4),
        (sdk.BucketNotFound("no bucket b"), 4),
        (sdk.BlobNotFound("no blob b/k"), 4),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/f"), 4),
        (sdk.Conflict("the name is taken"), 5),
        (sdk.ServerNotAvailable("later"), 6),
        (sdk.ConnectionFailed("refused"), 6),
        (sdk.ServerTimeout("no answer"), 6),
        (sdk.BadGateway("what?"), 6),
        (sdk.NDJSONError("broken"), 6),
        (KeyError("x"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_exception_has_its_exit_code(error: Exception, code: int) -> None:
    assert _errors.explain(error).code == code


def test_every_exception_of_the_sdk_is_known() -> None:
    def below(kind: type[Exception]) -> list[type[Exception]]:
        return [kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))]

    for kind in below(sdk.NeuroError):
        error = sdk.TransferError("m", []) if kind is sdk.TransferError else kind("m")
        assert _errors.explain(error).code != _errors.BUG, kind


def test_a_message_is_what_and_then_the_next_step() -> None:
    problem = _errors.explain(sdk.BucketNotFound("there is no bucket 'phots'"))
    assert str(problem) == ("error: there is no bucket 'phots'\n  try: neuro blob lsbucket, to see which there are")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Missing argument 'URL'.", "missing argument 'URL'"),
        ("No, not that", "no, not that"),
        ("NEURO_SERVICE_PROT is no setting", "NEURO_SERVICE_PROT is no setting"),
        ("NEURO_SERVICE_PROT: no setting", "NEURO_SERVICE_PROT: no setting"),
        ("PostgreSQL does not answer", "PostgreSQL does not answer"),
        ("S3 does not answer", "S3 does not answer"),
        ("Data/today.txt is not the address of a blob", "Data/today.txt is not the address of a blob"),
    ],
)
def test_a_sentence_begins_small_and_a_name_stays_as_it_is(said: str, told: str) -> None:
    assert _errors.explain(click.UsageError(said)).message == told


def test_the_advice_of_a_command_stands_before_the_table() -> None:
    error = _errors.advise(sdk.BucketNotFound("there is no bucket 'b'"), "neuro blob mkbucket --name b")
    assert _errors.explain(error).hint == "neuro blob mkbucket --name b"


def test_an_error_of_the_system_names_its_path() -> None:
    problem = _errors.explain(OSError(errno.ENOSPC, "No space left on device", "/data/f"))
    assert problem.message == "/data/f: No space left on device"


def test_many_failures_stay_on_one_screen() -> None:
    text = str(_errors.explain(sdk.TransferError("500 failed", [f"f{number}: gone" for number in range(500)])))
    assert text.startswith("error: 500 failed\n  f0: gone\n")
    assert "\n  … and 482 more\n" in text
    assert len(text.splitlines()) <= 24


def test_a_bug_says_that_it_is_one_and_keeps_secrets() -> None:
    error = RuntimeError("GET /k?X-Amz-Signature=canary&sig=canary failed with Bearer canary")
    problem = _errors.explain(error)
    assert problem.message.startswith("this is a bug in neuro: RuntimeError: GET /k?X-Amz-Signature=***")
    assert "canary" not in problem.message
    assert "NEURO_DEBUG=1" in (problem.hint or "")
