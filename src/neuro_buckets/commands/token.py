"""`neuro token`: make, list and revoke tokens in a data directory, whether the service runs on it or not."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from neuro_buckets.auth import Tokens, open_tokens
from neuro_buckets.commands.refused import clear_errors
from neuro_buckets.config import load_config
from neuro_buckets.models import Token

T = TypeVar("T")

_LIFETIME = re.compile(
    r"(?:(?P<days>\d{1,4})d)?(?:(?P<hours>\d{1,5})h)?(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,8})s)?"
)
_COLUMNS = ("id", "user", "created", "expires", "revoked")


class _Lifetime(click.ParamType[timedelta]):
    """A duration like 30d or 1d12h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        match = _LIFETIME.fullmatch(str(value))
        parts = {unit: int(number) for unit, number in match.groupdict().items() if number} if match else {}
        lifetime = timedelta(**parts)
        if not lifetime:
            self.fail(f"{value!r} is not a duration; write it like 30d, 12h or 1d12h30m", param, ctx)
        return lifetime


_data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The service's data directory. [default: $NEURO_DATA, else ~/.local/share/neuro-buckets]",
)


@click.group()
def token() -> None:
    """Make and revoke the tokens that users log in with."""


@token.command()
@click.argument("user")
@_data_option
@click.option("--expires", type=_Lifetime(), default="30d", show_default=True, help="How long the token is good for.")
def create(user: str, data: Path | None, expires: timedelta) -> None:
    """Make a token for USER and print it; it is shown this once."""
    click.echo(_with_tokens(data, lambda tokens: tokens.issue(user, expires)))


@token.command(name="list")
@_data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_(data: Path | None, as_json: bool) -> None:
    """List the tokens that were made, and whether they still hold."""
    rows = [_row(known) for known in _with_tokens(data, lambda tokens: tokens.list())]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [_COLUMNS, *(tuple(row[column] or "-" for column in _COLUMNS) for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(_COLUMNS))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@token.command()
@click.argument("token_id", metavar="ID")
@_data_option
def revoke(token_id: str, data: Path | None) -> None:
    """End the token with this ID now, also in a service that runs."""
    _with_tokens(data, lambda tokens: tokens.revoke(token_id))


def _with_tokens(data: Path | None, act: Callable[[Tokens], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_tokens(load_config(data_dir=data)) as tokens:
            return await act(tokens)

    with clear_errors():
        return asyncio.run(run())


def _row(known: Token) -> dict[str, str | None]:
    return {
        "id": known.id,
        "user": known.user,
        "label": known.label,
        "created": _time(known.created_at),
        "expires": _time(known.expires_at),
        "revoked": None if known.revoked_at is None else _time(known.revoked_at),
    }


def _time(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
