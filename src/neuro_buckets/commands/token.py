"""`neuro token`: make, list and revoke tokens in a data directory, whether the service runs on it or not."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import click

from neuro_buckets.auth import Tokens, open_tokens
from neuro_buckets.commands.local import configured, show_table
from neuro_buckets.config import ServiceConfig
from neuro_buckets.models import Token, TokenScope

T = TypeVar("T")

_LIFETIME = re.compile(
    r"(?:(?P<days>\d{1,4})d)?(?:(?P<hours>\d{1,5})h)?(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,8})s)?"
)
_COLUMNS = ("id", "user", "scope", "created", "expires", "revoked")


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


@click.group()
def token() -> None:
    """Make and revoke the tokens that users log in with."""


@token.command()
@click.argument("user")
@click.option("--expires", type=_Lifetime(), default="30d", show_default=True, help="How long the token is good for.")
@click.option(
    "--scope",
    type=click.Choice([scope.name.lower() for scope in TokenScope]),
    default=TokenScope.ALL.name.lower(),
    show_default=True,
    help="How far it goes: read blobs, write them, manage buckets, or all that USER may.",
)
@click.option("--label", default="", help="What it is for.")
@configured
def create(config: ServiceConfig, user: str, expires: timedelta, scope: str, label: str) -> None:
    """Make a token for USER and print it; it is shown this once."""
    wanted = TokenScope[scope.upper()]
    click.echo(_with_tokens(config, lambda tokens: tokens.issue(user, expires, label=label, scope=wanted)))


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@configured
def list_(config: ServiceConfig, as_json: bool) -> None:
    """List the tokens that were made, and whether they still hold."""
    rows = [_row(known) for known in _with_tokens(config, lambda tokens: tokens.list())]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    show_table(_COLUMNS, rows)


@token.command()
@click.argument("token_id", metavar="ID")
@configured
def revoke(config: ServiceConfig, token_id: str) -> None:
    """End the token with this ID now, also in a service that runs."""
    _with_tokens(config, lambda tokens: tokens.revoke(token_id))


def _with_tokens(config: ServiceConfig, act: Callable[[Tokens], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_tokens(config) as tokens:
            return await act(tokens)

    return asyncio.run(run())


def _row(known: Token) -> dict[str, str | None]:
    return {
        "id": known.id,
        "user": known.user,
        "label": known.label,
        "scope": known.scope.name.lower(),
        "created": _time(known.created_at),
        "expires": _time(known.expires_at),
        "revoked": None if known.revoked_at is None else _time(known.revoked_at),
    }


def _time(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
