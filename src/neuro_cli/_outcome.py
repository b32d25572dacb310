"""Runs a command line and makes its end: what is told of a failure, and the exit code. No traceback escapes it.

What an exception means is `_errors`'; here is only the order in which things are caught.
"""

import os
from collections.abc import Callable, Sequence

import click

from . import _errors, _output


def conclude(arguments: Sequence[str]) -> int:
    """Run `neuro ARGUMENTS`; returns the exit code."""
    _output.prepare()
    code = _guarded(lambda: _run(arguments))
    # What a failing command wrote before is data too, and may itself not arrive.
    return _guarded(_output.flush) or code


def _guarded(act: Callable[[], int]) -> int:
    try:
        return act()
    except _output.OutputClosedError:
        _output.let_go_of_stdout()
        return 0
    except (KeyboardInterrupt, click.Abort):
        _output.note("interrupted")
        return _errors.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - this is where every error ends
        return report(error)


def report(error: Exception) -> int:
    """Tell of `error`; returns its exit code."""
    problem = _errors.explain(error)
    if os.environ.get("NEURO_DEBUG") == "1":
        import traceback

        _output.note("".join(traceback.format_exception(error)).rstrip())
    _output.note(str(problem))
    return problem.code


def _run(arguments: Sequence[str]) -> int:
    """What click's own `main` would do, without its handling of errors, which takes ours for its own."""
    from ._cli import cli

    try:
        with cli.make_context("neuro", list(arguments)) as context:
            cli.invoke(context)
    except click.exceptions.NoArgsIsHelpError as help_instead:
        _output.note(help_instead.format_message())
        return _errors.USAGE
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError as error:
        # Only help text is written by click itself, and nothing of ours raises this bare.
        raise _output.OutputClosedError from error
    return 0
