"""`neuro serve`: the control plane alone, over storage that runs elsewhere, until it is told to stop."""

import socket

import click

from neuro_buckets.commands.local import configured, port_option
from neuro_buckets.commands.running import run_until_stopped
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import ConfigError


@click.command()
@port_option
@configured
def serve(config: ServiceConfig) -> None:
    """Run the service over the storage that its configuration file names.

    Runs until Ctrl-C or TERM. The first token is made beside it, with the same --config: 'neuro admin user add NAME --admin',
    then 'neuro token create NAME'.
    """
    if not config.clusters:
        raise ConfigError(
            "clusters: missing, so there is no storage to use; give a table [clusters.<name>] in the configuration file,"
            " or run 'neuro up', which brings its own"
        )
    run_until_stopped(config, _serve)


async def _serve(config: ServiceConfig, listener: socket.socket) -> None:
    from neuro_buckets.providers.opening import check_storage

    [(name, cluster)] = config.clusters.items()
    try:
        await check_storage(cluster)
    except ConfigError as error:
        raise ConfigError(f"clusters.{name}.{error}") from error
    from neuro_buckets.commands.serving import serve_over_storage

    await serve_over_storage(config, cluster, listener)
