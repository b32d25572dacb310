"""A service in a process of its own, to be killed: `running`.

Its processes are forked from one that has imported everything already, so that a start takes a small part of a second. A file `down`
beside its buckets names the calls of the provider that fail for now, a
file `held-CALL` lets that call wait.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import boto3  # noqa: F401 - imported before the fork, once for all
import grpc  # noqa: F401
import httpx
import structlog

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.errors import ProviderUnavailable
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.services import reconcile
from neuro_buckets.services.failpoints import VARIABLE
from tests.service.support import DirectoryProvider, over_a_socket

USERS = ("alice", "bob")
CALLS = ("create_bucket", "delete_bucket", "create_principal", "grant", "delete_principal", "set_public_access")
_START_SECONDS = 30
_END_SECONDS = 10

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "tests.service.warm_service"])


@dataclass(frozen=True)
class Process:
    """A service, as its process."""

    process: ForkServerProcess
    users: dict[str, httpx.Client]
    orders: Connection

    def die_at(self, failpoint: str) -> None:
        """Let it be killed at this failpoint, once it gets there."""
        self.orders.send(failpoint)
        assert self.orders.recv() == failpoint

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.process.kill()
        self.process.join(_END_SECONDS)

    def killed_itself(self) -> bool:
        """Whether it was killed at its failpoint, or is in a moment."""
        self.process.join(_END_SECONDS)
        return self.process.exitcode == -signal.SIGKILL


@contextmanager
def running(
    directory: Path,
    failpoint: str = "",
    *,
    interval_seconds: float = 60,
    provider: Callable[[], BucketProvider] | None = None,
) -> Iterator[tuple[Process, httpx.Client]]:
    """A service that serves, and alice's client of it; killed at the end. Without a provider it keeps buckets as directories."""
    with _started(directory, failpoint, interval_seconds, provider) as (process, ready):
        assert ready.poll(_START_SECONDS), "the service does not start"
        url, tokens = ready.recv()
        clients = {
            user: httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
            for user, token in tokens.items()
        }
        try:
            yield Process(process, clients, ready), clients["alice"]
        finally:
            for client in clients.values():
                client.close()


def dies_at_start(directory: Path, failpoint: str, *, provider: Callable[[], BucketProvider] | None = None) -> bool:
    """Start a service that is killed at this failpoint while it starts; whether it was."""
    with _started(directory, failpoint, 60, provider) as (process, ready):
        return Process(process, {}, ready).killed_itself()


def at_provider(directory: Path, what: str = "provider") -> list[str]:
    """What is there, of a provider of files."""
    return sorted(path.name for path in (directory / what).iterdir())


@contextmanager
def _started(
    directory: Path, failpoint: str, interval_seconds: float, provider: Callable[[], BucketProvider] | None
) -> Iterator[tuple[ForkServerProcess, Connection]]:
    ready, ours = _context.Pipe()
    environment = {**os.environ, VARIABLE: failpoint}
    make = provider or partial(DirectoryProvider, directory / "provider")
    process = _context.Process(target=_main, args=(directory, environment, interval_seconds, make, ours), daemon=True)
    process.start()
    ours.close()
    try:
        yield process, ready
    finally:
        process.kill()
        process.join()
        process.close()
        ready.close()


def _main(
    directory: Path,
    environment: dict[str, str],
    interval_seconds: float,
    make: Callable[[], BucketProvider],
    ready: Connection,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    reconcile.INTERVAL_SECONDS = interval_seconds
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # nobody reads its log
    asyncio.run(_serve(directory, make(), ready))


async def _serve(directory: Path, provider: BucketProvider, ready: Connection) -> None:
    for call in CALLS:
        setattr(provider, call, _as_told(getattr(provider, call), directory))
    app = create_app(load_config(data_dir=directory, import_networks="127.0.0.0/8"), provider)
    async with app.router.lifespan_context(app), over_a_socket(app) as url:
        tokens = app.state.context.tokens
        ready.send((url, {user: await tokens.issue(user, timedelta(hours=1)) for user in USERS}))
        asyncio.get_running_loop().add_reader(ready.fileno(), _obey, ready)
        await asyncio.Event().wait()


def _obey(orders: Connection) -> None:
    try:
        os.environ[VARIABLE] = orders.recv()
    except (EOFError, ConnectionError):  # whoever started it was killed
        os._exit(1)
    orders.send(os.environ[VARIABLE])


def _as_told(call: Callable[..., Awaitable[Any]], directory: Path) -> Callable[..., Awaitable[Any]]:
    name = call.__name__
    down, held = directory / "down", directory / f"held-{name}"

    async def called(*arguments: Any, **named: Any) -> Any:
        if down.exists() and name in down.read_text().split():
            raise ProviderUnavailable("the storage does not answer; try again")
        while held.exists():
            await asyncio.sleep(0.01)
        return await call(*arguments, **named)

    return called
