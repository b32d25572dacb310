"""`neuro up`: the storage engine and the control plane in one process, for this machine, until it is told to stop.

Here are the command, the signals, and what must be free before anything starts; what is started is in `serving`.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from neuro_buckets.commands.logs import configure_logging
from neuro_buckets.commands.refused import clear_errors
from neuro_buckets.config import DEFAULT_PORT, ServiceConfig, load_config, make_data_directory
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.errors import ConfigError

STOP_SECONDS = 9
"""For all of stopping."""
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
        os.umask(0o077)  # whatever is made from here on, database and log included, is for this user only
        config = load_config(data_dir=data, port=port)
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
        configure_logging(config.data_dir / "service.log", config.log_level)
        # Only now: this imports all of the service, and what is wrong with the configuration should be told before.
        from neuro_buckets.commands.serving import serve

        await serve(config, listener)


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
        # asyncio does it only where a socket names its protocol, which this one does not: each answer would wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        yield listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
