"""The service as `neuro up` runs it: engine, control plane and the file that says they are ready, up and down in order."""

import asyncio
import getpass
import http.client
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import click
import uvicorn
from fastapi import FastAPI

from neuro_buckets.app import create_app
from neuro_buckets.auth import open_tokens
from neuro_buckets.config import ServiceConfig
from neuro_buckets.engine import Engine
from neuro_buckets.engine.files import write_private
from neuro_buckets.errors import ConfigError, Unauthenticated
from neuro_buckets.models import USER_NAME
from neuro_buckets.providers.seaweed_iam import IamEndpoint
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from neuro_buckets.routes.context import Context
from neuro_buckets.routes.service import HEALTH_PATH
from neuro_buckets.services.sealing import open_sealed

TOKEN_LABEL = "neuro up"  # noqa: S105 - a label
TOKEN_LIFETIME = timedelta(days=3650)  # it opens nothing that the reader of its file could not open anyway
REQUESTS_END_SECONDS = 2
_HEALTH_SECONDS = 15.0


async def serve(config: ServiceConfig, listener: socket.socket) -> None:
    """Serve on `listener` until cancelled. The ready file is there exactly while all answers.

    Raises:
        ConfigError: it cannot start like this.
    """
    ready_file = config.data_dir / "ready.json"
    ready_file.unlink(missing_ok=True)  # of a run that was killed
    async with open_tokens(config), open_sealed(config):
        pass  # a database or a key that cannot be used is told at once, before the engine is started
    async with Engine(config.data_dir / "engine") as engine:
        app = create_app(config, provider_over(engine))
        async with app.router.lifespan_context(app), _serving(app, listener) as server:
            host, port = listener.getsockname()[:2]
            await asyncio.to_thread(_check_health, host, port)
            url = f"http://{host if ':' not in host else f'[{host}]'}:{port}/api/v1"
            user = _login_name()
            try:
                await _write_ready(ready_file, app.state.context, url, user)
                _announce(config, url, engine.endpoint_url, user, ready_file)
                await server
            finally:
                ready_file.unlink(missing_ok=True)


def provider_over(engine: Engine) -> SeaweedProvider:
    """The provider of the buckets on a started engine."""
    admin, iam = engine.admin_credentials, engine.iam_access
    pem = iam.certificates
    endpoint = IamEndpoint(iam.address, iam.signing_key, pem.authority, pem.certificate, pem.key)
    return SeaweedProvider(engine.endpoint_url, admin.access_key, admin.secret_key, endpoint)


class _Server(uvicorn.Server):
    """A server that leaves the signals to us."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]  # any context manager will do
        return nullcontext()


@asynccontextmanager
async def _serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """The application behind the socket; at the end, requests have a moment to finish. Yields what ends with the server."""
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",  # ours is entered by us, so that its errors arrive as what they are
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=REQUESTS_END_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    finally:
        server.should_exit = True
        await asyncio.wait([task])


def _check_health(host: str, port: int) -> None:
    """Ask our own door, as a client will."""
    connection = http.client.HTTPConnection(host, port, timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", HEALTH_PATH)
        answer = connection.getresponse()
        text = answer.read(1000).decode(errors="replace")
    except OSError as error:
        raise ConfigError(f"the control plane does not answer on its own port ({error}); see the log above") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ConfigError(f"the service is not well: {text}; see the log above")


async def _write_ready(file: Path, context: Context, url: str, user: str) -> None:
    """Tell others on this machine that all answers, and how to log in. Who can read the file can administer."""
    token = await _keep_token(context, user)
    await context.people.put_user(user, is_admin=True)
    ready = {"url": url, "token": token, "user": user, "cluster": context.config.cluster_name}
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
