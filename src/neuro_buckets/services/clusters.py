"""Clusters as the configuration and the database know them: they must agree before anything is served, and an operator can make them.

What is in a cluster is at its storage, so nothing is ever moved to another one: only what a cluster is called can change.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from neuro_buckets.errors import ConfigError, Conflict, NotFound
from neuro_buckets.repository import Repository

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClusterCount:
    """What the database has of one cluster."""

    name: str
    buckets: int
    credentials: int


async def agree(repository: Repository, kinds: Mapping[str, str]) -> None:
    """Give what was there before clusters had names to the first one, and look whether all that there is can be served.

    Args:
        kinds: the clusters that are configured, the default one first, each with the kind of its provider.

    Raises:
        ConfigError: something is in a cluster that is not configured, or that has another provider now.
    """
    default = next(iter(kinds))
    try:
        if count := await repository.clusters.rename("", default, into=True):
            log.info("given to the default cluster", cluster=default, count=count)
    except Conflict as error:
        raise ConfigError(
            f"clusters: what an older version has made cannot be given to {default!r}: {error}"
        ) from error
    for name, found in (await repository.clusters.counts()).items():
        there = f"clusters: the database has {found.buckets} buckets and {found.credentials} credentials in {name!r}, which is"
        if name not in kinds:
            raise ConfigError(
                f"{there} not configured ({', '.join(kinds)}); give its table back, or, if it has another name now,"
                f" run 'neuro admin cluster rename {name} NEW', or, if it is gone for good, 'neuro admin cluster forget {name}'"
            )
        if strange := sorted(found.providers - {kinds[name]}):
            raise ConfigError(
                f"{there} configured as {kinds[name]!r}, and they were made in {', '.join(strange)};"
                " give it its provider back, and the new storage another name"
            )


class Clusters:
    """What an operator can see and say of clusters, while no service runs."""

    def __init__(self, repository: Repository) -> None:
        self._rows = repository.clusters

    async def list(self) -> list[ClusterCount]:
        """The clusters that anything is in, by name."""
        found = await self._rows.counts()
        return [ClusterCount(name, found[name].buckets, found[name].credentials) for name in sorted(found)]

    async def rename(self, old: str, new: str) -> None:
        """Let a cluster have another name.

        Raises:
            NotFound: nothing is in it.
            Conflict: something is in one of the new name.
        """
        if not await self._rows.rename(old, new):
            raise _unknown(old)
        log.info("cluster renamed", old=old, new=new)

    async def forget(self, name: str) -> None:
        """Remove all that is known of a cluster. Its storage is not asked: what is there stays there, and so do keys that open it.

        Raises:
            NotFound: nothing is in it.
        """
        if not await self._rows.forget(name):
            raise _unknown(name)
        log.info("cluster forgotten", cluster=name)


def _unknown(name: str) -> NotFound:
    return NotFound(f"nothing is in a cluster {name!r}; 'neuro admin cluster list' shows where something is")
