"""The service as `neuro up` and `neuro serve` run it: storage, control plane, and for `up` the file that says they are ready."""

import getpass
import json
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import click

from neuro_buckets.auth import open_tokens
from neuro_buckets.commands.server import Served, serving
from neuro_buckets.config import ServiceConfig
from neuro_buckets.engine import Engine
from neuro_buckets.engine.files import write_private
from neuro_buckets.errors import Unauthenticated
from neuro_buckets.models import USER_NAME
from neuro_buckets.providers.opening import open_provider
from neuro_buckets.providers.seaweed_iam import IamEndpoint
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from neuro_buckets.routes.context import Context
from neuro_buckets.services.clusters import agree
from neuro_buckets.services.sealing import open_sealed

TOKEN_LABEL = "neuro up"  # noqa: S105 - a label
TOKEN_LIFETIME = timedelta(days=3650)  # it opens nothing that the reader of its file could not open anyway


async def serve_with_engine(config: ServiceConfig, listener: socket.socket) -> None:
    """Serve over an engine of our own until cancelled. The ready file is there exactly while all answers.

    Raises:
        ConfigError: it cannot start like this.
    """
    ready_file = config.data_dir / "ready.json"
    ready_file.unlink(missing_ok=True)  # of a run that was killed
    await _check_data(config, {config.cluster_name: SeaweedProvider.kind})
    async with Engine(config.data_dir / "engine") as engine, serving(config, provider_over(engine), listener) as served:
        user = _login_name()
        try:
            await _write_ready(ready_file, served, user)
            _announce(config, served.url, engine.endpoint_url, user, ready_file)
            await served.ended
        finally:
            ready_file.unlink(missing_ok=True)


async def serve_over_storages(config: ServiceConfig, listener: socket.socket) -> None:
    """Serve over the storages of the configuration, which were checked, until cancelled.

    Raises:
        ConfigError: it cannot start like this.
    """
    providers = {name: open_provider(table) for name, table in config.storages.items()}
    await _check_data(config, {name: provider.kind for name, provider in providers.items()})
    async with serving(config, providers, listener) as served:
        for name, table in config.storages.items():
            where = served.url if name == config.cluster_name else f"its cluster {name}"
            click.echo(f"neuro serves {where} over {table.provider} at {table.address}", err=True)
        await served.ended


async def _check_data(config: ServiceConfig, kinds: Mapping[str, str]) -> None:
    """A database or a key that cannot be used, or not with these clusters, is told at once, before anything else is started."""
    async with open_tokens(config), open_sealed(config) as (repository, _vault):
        await agree(repository, kinds)


def provider_over(engine: Engine) -> SeaweedProvider:
    """The provider of the buckets on a started engine."""
    admin, iam = engine.admin_credentials, engine.iam_access
    pem = iam.certificates
    endpoint = IamEndpoint(iam.address, iam.signing_key, pem.authority, pem.certificate, pem.key)
    return SeaweedProvider(engine.endpoint_url, admin.access_key, admin.secret_key, endpoint)


async def _write_ready(file: Path, served: Served, user: str) -> None:
    """Tell others on this machine that all answers, and how to log in. Who can read the file can administer."""
    context = served.context
    token = await _keep_token(context, user)
    await context.people.put_user(user, is_admin=True)
    ready = {"url": served.url, "token": token, "user": user, "cluster": context.config.cluster_name}
    write_private(file, json.dumps(ready, indent=2).encode())


async def _keep_token(context: Context, user: str) -> str:
    """The token of the last run, so that a login outlives a restart; a new one when it has ended or is another user's."""
    file = context.config.data_dir / "up.token"
    try:
        token = file.read_text(encoding="ascii")
        if (await context.tokens.authenticate(token)).user == user:
            return token
    except (OSError, UnicodeDecodeError, Unauthenticated):
        pass  # none yet, or none that can be used: it is replaced
    token = await context.tokens.issue(user, TOKEN_LIFETIME, label=TOKEN_LABEL)
    write_private(file, token.encode())
    return token


def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a process of a user id that has no name
        name = ""
    return name if USER_NAME.fullmatch(name) else "user"


def _announce(config: ServiceConfig, url: str, engine_url: str, user: str, ready_file: Path) -> None:
    click.echo(
        f"""
neuro is up, for user {user}
  control plane  {url}
  engine         {engine_url}
  data           {config.data_dir}

Next, in another terminal:
  neuro login --ready {ready_file}
  neuro blob mkbucket --name first
  neuro blob cp README.md blob:first/
  neuro blob ls blob:first

Ctrl-C stops it.
""",
        err=True,
    )
