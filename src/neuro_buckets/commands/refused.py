"""How the errors of the service end a command: one clear message on stderr, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from neuro_buckets.errors import ConfigError, ServiceError


class ConfigRefusedError(click.ClickException):
    """The command cannot run with this configuration."""

    exit_code = 2


@contextmanager
def clear_errors(file: Path | None = None) -> Iterator[None]:
    """Turn our errors into those that click shows: exit code 2 for the configuration, 1 for a refusal.

    Args:
        file: the configuration file in use, for what turns out to be wrong only when it is tried.
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigRefusedError(str(error) if file is None else f"in {file}: {error}") from error
    except ServiceError as error:
        raise click.ClickException(str(error)) from error
