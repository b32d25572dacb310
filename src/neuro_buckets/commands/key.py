"""`neuro key`: the key that seals secrets in the database. It can be replaced while the service runs; nobody notices."""

import asyncio

import click

from neuro_buckets.commands.local import configured
from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.errors import ConfigError
from neuro_buckets.key_files import replace_key
from neuro_buckets.repository import Repository
from neuro_buckets.services.sealing import OLD_KEY_SECONDS, forget_lost, open_sealed, remove_old_keys, reseal
from neuro_buckets.vault import Vault


@click.group()
def key() -> None:
    """The key that seals secrets in the service's database."""


@key.command()
@configured
def rotate(config: ServiceConfig) -> None:
    """Replace the key, and seal every secret again with the new one.

    The service may run meanwhile. The old key is removed once nothing is sealed with it: at once where no service runs, else
    by the service. Make a new backup of the data directory afterwards.
    """
    click.echo(asyncio.run(_rotate(config)))


@key.command()
@click.confirmation_option(prompt="End persistent credentials, and forget imported buckets, whose key is lost?")
@configured
def forget(config: ServiceConfig) -> None:
    """Give up the secrets whose key is lost, so that the service can start without them.

    Persistent credentials that only the lost key opens end at the next start, and imported buckets are removed from the list; the
    buckets themselves, and everything else, stay.
    """
    click.echo(asyncio.run(_forget(config)))


async def _forget(config: ServiceConfig) -> str:
    make_data_directory(config.data_dir)
    repository = await Repository.open(config.database)
    try:
        count = await forget_lost(repository, Vault(config.vault_key_file))
    finally:
        await repository.aclose()
    return f"{count} secrets are given up; start the service"


async def _rotate(config: ServiceConfig) -> str:
    async with open_sealed(config) as (repository, vault):
        replace_key(vault.file)
        count = await reseal(repository, vault)
        lock = DirectoryLock(config.data_dir)
        try:
            lock.acquire()
        except ConfigError:
            then = f"the service removes the old key in about {round(OLD_KEY_SECONDS / 60)} minutes"
        else:
            try:
                await remove_old_keys(repository, vault, kept_seconds=0)
            finally:
                lock.release()
            then = "the old key is removed"
    return f"key {vault.current} seals from now on; {count} secrets were sealed again; {then}"
