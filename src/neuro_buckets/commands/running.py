"""What `neuro up` and `neuro serve` do around the service: what must be free before anything starts, and the signals that end it."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import click

from neuro_buckets.commands.logs import configure_logging
from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.errors import ConfigError

STOP_SECONDS = 9
"""For all of stopping."""
_INTERRUPTED = 130

Service = Callable[[ServiceConfig, socket.socket], Awaitable[None]]
"""Serves on the socket until it is cancelled. It imports what it needs when it is called: what stands in the way is told before."""


def run_until_stopped(config: ServiceConfig, service: Service) -> None:
    """Run a service until Ctrl-C or TERM; a second Ctrl-C ends it at once.

    Raises:
        ConfigError: it cannot run like this.
    """
    os.umask(0o077)  # whatever is made from here on, database and log included, is for this user only
    asyncio.run(_until_stopped(config, service))


async def _until_stopped(config: ServiceConfig, service: Service) -> None:
    """Run until the first Ctrl-C or TERM, then take down what stands; whatever stood in the way is raised."""
    running = asyncio.create_task(_run(config, service))
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if stopping and number is signal.SIGINT:
            os._exit(_INTERRUPTED)  # an engine ends with us
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


async def _run(config: ServiceConfig, service: Service) -> None:
    make_data_directory(config.data_dir)
    with _held(config), _listening(config) as listener:
        configure_logging(config.data_dir / "service.log", config.log_level)
        await service(config, listener)


@contextmanager
def _held(config: ServiceConfig) -> Iterator[None]:
    """The data directory, for this process alone."""
    lock = DirectoryLock(config.data_dir)
    try:
        lock.acquire()
    except OSError as error:
        raise ConfigError(
            f"data_dir = {config.data_dir}: cannot be written ({error.strerror}); make room there, or give another directory"
        ) from error
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
        # asyncio does it only where a socket names its protocol, which this one does not: each answer would wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        yield listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
