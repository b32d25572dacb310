"""What commands share that work on a data directory, on the machine of the service."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The service's data directory. [default: $NEURO_DATA, else ~/.local/share/neuro-buckets]",
)


def show_table(columns: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> None:
    """Rows under their headings; what is not there is a dash."""
    table = [columns, *(tuple(row[column] or "-" for column in columns) for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
