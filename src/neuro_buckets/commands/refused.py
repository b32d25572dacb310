"""How the errors of the service end a command: one clear message on stderr, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from neuro_buckets.errors import ConfigError, ServiceError


class ConfigRefusedError(click.ClickException):
    """The command cannot run with this configuration."""

    exit_code = 2


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn our errors into those that click shows: exit code 2 for the configuration, 1 for a refusal."""
    try:
        yield
    except ConfigError as error:
        raise ConfigRefusedError(str(error)) from error
    except ServiceError as error:
        raise click.ClickException(str(error)) from error
