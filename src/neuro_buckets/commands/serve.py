"""`neuro serve`: the control plane alone, over storages that runs elsewhere, until it is told to stop."""

import asyncio
import socket

import click

from neuro_buckets.commands.local import configured, port_option
from neuro_buckets.commands.running import run_until_stopped
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import ConfigError, NoAnswer


@click.command()
@port_option
@configured
def serve(config: ServiceConfig) -> None:
    """Run the service over the storages that its configuration file names.

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
    await _check_storages(config)
    from neuro_buckets.commands.serving import serve_over_storages

    await serve_over_storages(config, listener)


async def _check_storages(config: ServiceConfig) -> None:
    """Ask all storages at once. One of several that does not answer now is told of, and does not keep the others from being served.

    Raises:
        ConfigError: one refuses us, or none answers.
    """
    from neuro_buckets.providers.opening import check_storage

    checks = await asyncio.gather(*map(check_storage, config.clusters.values()), return_exceptions=True)
    faults = {name: error for name, error in zip(config.clusters, checks, strict=True) if error is not None}
    for error in faults.values():
        if not isinstance(error, ConfigError):
            raise error
    told = {name: f"clusters.{name}.{error}" for name, error in faults.items()}
    refused = [told[name] for name, error in faults.items() if not isinstance(error, NoAnswer)]
    if refused or len(told) == len(config.clusters):
        raise ConfigError("\n".join(refused or told.values()))
    for text in told.values():
        click.echo(f"served without it until it answers: {text}", err=True)
