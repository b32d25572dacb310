"""`neuro login`: where, and with which token. That is never an argument: every user of the machine could read it."""

import json
import sys
from pathlib import Path

import click
from yarl import URL

import neuro_sdk
from neuro_cli import _format, _output
from neuro_cli._errors import advise
from neuro_sdk import ServerNotAvailable


@click.command()
@click.argument("url", required=False)
@click.option(
    "--ready",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take address and token from the ready.json that 'neuro up' wrote.",
)
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin instead of asking for it.")
def login(url: str | None, ready: Path | None, token_stdin: bool) -> None:
    """Log in to the service at URL with a token.

    The token is asked for, or read from stdin where that is no terminal. It is checked with the service, and stored
    where only you can read it.
    """
    if (url is None) == (ready is None):
        error = click.UsageError("give the address of the service, or --ready FILE" + (", not both" if url else ""))
        raise advise(error, "neuro login https://HOST/api/v1")
    if ready is not None:
        if token_stdin:
            raise click.UsageError("--ready FILE holds the token, --token-stdin reads another one: give one of them")
        url, token = _read_ready(ready)
    else:
        assert url is not None
        _service_url(url)
        token = _ask_token(from_stdin=token_stdin or not sys.stdin.isatty())
    import asyncio

    asyncio.run(_login(_service_url(url), token))


async def _login(url: URL, token: str) -> None:
    try:
        await neuro_sdk.login_with_token(token, url=url)
    except ServerNotAvailable as error:
        raise advise(error, "curl that address; a service on this machine is started with: neuro up") from None
    # Without arguments, as every later command does it: what was stored is what is told.
    async with neuro_sdk.get() as client:
        who = [("Service", str(client.url)), ("User", client.username), ("Cluster", await client.cluster_name())]
        if client.url.authority != url.authority:
            _output.note(
                "The environment (NEURO_URL, NEURO_TOKEN, NEURO_PASSED_CONFIG) is used before what was stored now:"
            )
        _output.note("\n".join(_format.facts(who)))


def _service_url(text: str) -> URL:
    try:
        url = URL(text)
        usable = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        raise advise(
            click.UsageError("the address of a service begins with https:// or http://"),
            "neuro login https://HOST/api/v1",
        )
    if url.user or url.password:
        raise click.UsageError("the address of a service holds no user and password: the token says who you are")
    return url


def _ask_token(*, from_stdin: bool) -> str:
    answer = sys.stdin.readline() if from_stdin else str(click.prompt("Token", hide_input=True, err=True))
    token = answer.strip()
    if not token:
        raise advise(click.UsageError("the token is empty"), "neuro login URL --token-stdin < FILE")
    return token


def _read_ready(file: Path) -> tuple[str, str]:
    text = file.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
        return str(values["url"]), str(values["token"])
    except (ValueError, TypeError, KeyError):
        # The cause quotes the text, and the text holds the token.
        error = click.UsageError(f"{file} is no ready.json: it has to hold a JSON object with 'url' and 'token'")
    raise advise(error, "neuro login --ready DIR/ready.json, with the DIR of 'neuro up --data DIR'")
