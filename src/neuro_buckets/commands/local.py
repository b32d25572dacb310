"""What the commands share that run on the machine of the service: the options that say which service, and tables."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from neuro_buckets.commands.refused import clear_errors
from neuro_buckets.config import CONFIG_VARIABLE, DEFAULT_PORT, load_config

port_option = click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Of the control plane; 0 for any. [default: {DEFAULT_PORT}]"
)


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the configuration, as its first argument: from `--config`, `--data`, `port_option` and the environment.

    Where the configuration or the service refuses, one clear message ends the command.
    """

    @click.option(
        "--config",
        "file",
        type=click.Path(readable=False, path_type=Path),  # that is told by who reads it
        envvar=CONFIG_VARIABLE,
        help=f"The service's configuration file. [default: ${CONFIG_VARIABLE}, else none]",
    )
    @click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="The service's data directory. [default: $NEURO_DATA, else ~/.local/share/neuro-buckets]",
    )
    @functools.wraps(command)
    def run(*, file: Path | None, data: Path | None, **options: Any) -> None:
        with clear_errors():
            config = load_config(file, data_dir=data, port=options.pop("port", None))
        with clear_errors(file):
            command(config, **options)

    return run


def show_table(columns: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> None:
    """Rows under their headings; what is not there is a dash."""
    table = [columns, *(tuple(row[column] or "-" for column in columns) for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
