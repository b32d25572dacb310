"""The application behind its socket: up, asked through its own door whether it is well, and down again."""

import asyncio
import http.client
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import uvicorn

from neuro_buckets.app import create_app
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import ConfigError
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.routes.context import Context
from neuro_buckets.routes.service import HEALTH_PATH

REQUESTS_END_SECONDS = 2
_HEALTH_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Served:
    """A service that answers."""

    url: str
    """Where clients find its API."""
    context: Context
    ended: asyncio.Task[None]
    """Done when the server is."""


@asynccontextmanager
async def serving(
    config: ServiceConfig, provider: BucketProvider | Mapping[str, BucketProvider], listener: socket.socket
) -> AsyncIterator[Served]:
    """The control plane over a provider, or over that of each cluster. It answers when this yields.

    At the end, requests have a moment to finish.

    Raises:
        ConfigError: it cannot serve like this.
    """
    app = create_app(config, provider)
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",  # the other parser that uvicorn may find keeps a header of any length
            lifespan="off",  # ours is entered by us, so that its errors arrive as what they are
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=REQUESTS_END_SECONDS,
            ssl_certfile=config.tls_certificate_file,
            ssl_keyfile=config.tls_key_file,
        )
    )
    async with app.router.lifespan_context(app):
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            host, port = listener.getsockname()[:2]
            await asyncio.to_thread(_check_health, host, port, config.has_tls)
            yield Served(f"{_origin(config, host, port)}/api/v1", app.state.context, task)
        finally:
            server.should_exit = True
            await asyncio.wait([task])


class _Server(uvicorn.Server):
    """A server that leaves the signals to us."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]  # any context manager will do
        return nullcontext()


def _check_health(host: str, port: int, has_tls: bool) -> None:
    """Ask our own door, as a client will."""
    connection: http.client.HTTPConnection
    if has_tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # we know who we are
        connection = http.client.HTTPSConnection(host, port, timeout=_HEALTH_SECONDS, context=context)
    else:
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


def _origin(config: ServiceConfig, host: str, port: int) -> str:
    if not config.has_tls:
        return f"http://{host if ':' not in host else f'[{host}]'}:{port}"
    # A certificate is for a name, not for what we listen on.
    return config.public_url or f"https://{socket.getfqdn()}:{port}"
