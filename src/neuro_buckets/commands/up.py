"""`neuro up`: the storage engine and the control plane in one process, for this machine, until it is told to stop."""

import socket

import click

from neuro_buckets.commands.local import configured, port_option
from neuro_buckets.commands.running import run_until_stopped
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import ConfigError


@click.command()
@port_option
@configured
def up(config: ServiceConfig) -> None:
    """Run the service with its storage engine on this machine.

    Runs until Ctrl-C; a second Ctrl-C ends it at once. What was stored is there again at the next start.
    """
    if config.clusters:
        raise ConfigError(
            f"clusters.{config.cluster_name}: 'neuro up' brings its own storage and would not use this one;"
            " run 'neuro serve' for it, or remove the table"
        )
    run_until_stopped(config, _serve)


async def _serve(config: ServiceConfig, listener: socket.socket) -> None:
    from neuro_buckets.commands.serving import serve_with_engine

    await serve_with_engine(config, listener)
