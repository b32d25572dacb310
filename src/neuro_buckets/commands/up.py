"""`neuro up`: the storage engine and the control plane in one process, for this machine, until it is told to stop."""

import asyncio
import getpass
import http.client
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import click
import uvicorn
from fastapi import FastAPI

from neuro_buckets.app import create_app
from neuro_buckets.commands.logs import configure_logging
from neuro_buckets.commands.refused import clear_errors
from neuro_buckets.config import DEFAULT_PORT, ServiceConfig, load_config, make_data_directory
from neuro_buckets.engine import Engine
from neuro_buckets.engine.files import write_private
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.errors import ConfigError
from neuro_buckets.models import USER_NAME
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from neuro_buckets.routes.context import Context
from neuro_buckets.routes.service import HEALTH_PATH

TOKEN_LABEL = "neuro up"  # noqa: S105 - a label
TOKEN_LIFETIME = timedelta(days=365)
STOP_SECONDS = 9
"""For all of stopping; of it:"""
REQUESTS_END_SECONDS = 2
_HEALTH_SECONDS = 15.0
_INTERRUPTED = 130


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept. [default: $NEURO_DATA, else ~/.local/share/neuro-buckets]",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Of the control plane; 0 for any. [default: {DEFAULT_PORT}]"
)
def up(data: Path | None, port: int | None) -> None:
    """Run the service with its storage engine on this machine.

    Runs until Ctrl-C; a second Ctrl-C ends it at once. What was stored is there again at the next start.
    """
    with clear_errors():
        config = load_config(data_dir=data, port=port)
        configure_logging()
        asyncio.run(_until_stopped(config))


async def _until_stopped(config: ServiceConfig) -> None:
    """Run until the first Ctrl-C or TERM, then take down what stands; whatever stood in the way is raised."""
    running = asyncio.create_task(_run(config))
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if stopping and number is signal.SIGINT:
            os._exit(_INTERRUPTED)  # the engine ends with us
        if not stopping:
            stopping = True
            running.cancel()
            loop.call_later(STOP_SECONDS, _give_up)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await running
    except asyncio.CancelledError:
        if not stopping:
            raise


def _give_up() -> None:
    click.echo(f"stopping took longer than {STOP_SECONDS} seconds; ended without waiting any longer", err=True)
    os._exit(1)


async def _run(config: ServiceConfig) -> None:
    make_data_directory(config.data_dir)
    with _held(config.data_dir), _listening(config) as listener:
        ready_file = config.data_dir / "ready.json"
        ready_file.unlink(missing_ok=True)  # of a run that was killed
        async with Engine(config.data_dir / "engine") as engine:
            provider = SeaweedProvider(
                engine.endpoint_url, engine.admin_credentials.access_key, engine.admin_credentials.secret_key
            )
            app = create_app(config, provider)
            async with app.router.lifespan_context(app), _serving(app, listener) as server:
                address = listener.getsockname()
                await asyncio.to_thread(_check_health, *address)
                url = f"http://{address[0]}:{address[1]}/api/v1"
                user = _login_name()
                try:
                    await _write_ready(ready_file, app.state.context, url, user)
                    _announce(config, url, engine.endpoint_url, user, ready_file)
                    await server
                finally:
                    ready_file.unlink(missing_ok=True)


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """The data directory, for this process alone."""
    lock = DirectoryLock(directory)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _listening(config: ServiceConfig) -> Iterator[socket.socket]:
    """The port of the control plane, taken before anything is started."""
    try:
        listener = socket.create_server((config.host, config.port), family=_family(config.host), backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"port = {config.port}: cannot listen there on {config.host} ({os.strerror(error.errno or 0)});"
            " stop the program that does, or choose another with --port (0 takes any that is free)"
        ) from error
    with listener:
        yield listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


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
    """Tell others on this machine that all answers, and how to log in; the token of the last run ends."""
    await context.tokens.revoke_labelled(TOKEN_LABEL)
    token = await context.tokens.issue(user, TOKEN_LIFETIME, label=TOKEN_LABEL)
    ready = {"url": url, "token": token, "user": user, "cluster": context.config.cluster_name}
    write_private(file, json.dumps(ready, indent=2).encode())


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
