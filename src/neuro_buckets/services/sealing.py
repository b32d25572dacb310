"""The key that seals secrets, and the rows that are sealed with it: whether they belong together, and how both are changed.

A key is replaced in three steps, each of which can be cut short: a new key file takes the old one's place, every row is sealed
again, and the old file goes once nothing is sealed with it.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.errors import ConfigError, SecretsUnavailable
from neuro_buckets.key_files import old_key_files
from neuro_buckets.repository import Repository
from neuro_buckets.vault import Vault

OLD_KEY_SECONDS = 300.0
"""How long the file of an old key stays at least: somebody may be about to write what they have just sealed with it."""

_OR = ", or, if there is none, give up what only that key opens: 'neuro key forget'"

log = structlog.get_logger(__name__)


async def open_vault(repository: Repository, file: Path) -> Vault:
    """The vault of this database; its key is made where nothing has been sealed yet.

    Raises:
        ConfigError: the key file cannot be used, or is not the one that belongs to the database.
    """
    sealed = await repository.sealed.count_by_key()
    if sealed and not file.exists():
        raise ConfigError(
            f"the key file {file} is missing, and {sum(sealed.values())} secrets in the database are sealed with"
            f" {_names(sealed)}; restore it from the backup that belongs to this database{_OR}"
        )
    vault = Vault(file)
    if strange := {key_id: count for key_id, count in sealed.items() if key_id not in vault.key_ids}:
        raise ConfigError(
            f"the key file {file} does not open {sum(strange.values())} secrets in the database: they are sealed with"
            f" {_names(strange)}, and it holds {_names(vault.key_ids)}; restore the file, or {file.name}.old-* beside it,"
            f" from the backup that belongs to this database{_OR}"
        )
    return vault


@asynccontextmanager
async def open_sealed(config: ServiceConfig) -> AsyncIterator[tuple[Repository, Vault]]:
    """The database and the vault in a data directory, made if they are not there, while a service runs on it or not.

    Raises:
        ConfigError: the directory, the database or the key cannot be used, or they do not belong together.
    """
    make_data_directory(config.data_dir)
    repository = await Repository.open(config.database)
    try:
        yield repository, await open_vault(repository, config.vault_key_file)
    finally:
        await repository.aclose()


async def reseal(repository: Repository, vault: Vault) -> int:
    """Seal with the current key what is sealed with others, while the service runs or not; returns how many values.

    What cannot be opened stays as it is.

    Raises:
        SecretsUnavailable: the key file was taken away.
    """
    vault.refresh()
    done = 0
    while page := await repository.sealed.not_with(vault.current):
        pairs = []
        for one in page:
            try:
                pairs.append((one, vault.seal(vault.open(one.text, one.row), one.row)))
            except SecretsUnavailable as error:
                log.warning("not sealed again", reason=str(error))
        if not pairs:
            break
        await repository.sealed.replace(pairs)
        done += len(pairs)
    return done


async def remove_old_keys(repository: Repository, vault: Vault, *, kept_seconds: float = OLD_KEY_SECONDS) -> list[str]:
    """Remove the files of keys with which nothing is sealed any more; returns the ids of those keys.

    Args:
        kept_seconds: how long ago a key must have been replaced; 0 only where no service runs.

    Raises:
        ConfigError: a key file cannot be used.
    """
    sealed = await repository.sealed.count_by_key()
    removed = []
    for file in old_key_files(vault.file):
        key_id = vault.key_id_in(file)
        # The file was linked to its present name when its key was replaced, and that is what its status changed last.
        is_old = time.time() - file.stat().st_ctime >= kept_seconds
        if key_id == vault.current or (key_id not in sealed and is_old):
            file.unlink()
            removed.append(key_id)
    return removed


async def forget_lost(repository: Repository, vault: Vault) -> int:
    """Give up what no key here opens; returns how many values.

    The next start ends such persistent credentials at the provider, and removes such imports here; the imported buckets themselves
    stay as they are.
    """
    return await repository.sealed.give_up(set(await repository.sealed.count_by_key()) - vault.key_ids)


def _names(key_ids: "set[str] | dict[str, int]") -> str:
    return "key " + ", ".join(sorted(key_ids))
