"""From what the configuration says of a storage to a provider, and the first question to that storage, before anything is served.

The question is asked once and not for long, so that a start with wrong settings ends soon. One file a provider.
"""

import asyncio

from neuro_buckets.clusters.base import ClusterTable
from neuro_buckets.clusters.seaweedfs import SeaweedCluster
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.providers.opening.seaweedfs import check_seaweedfs, open_seaweedfs


def open_provider(cluster: ClusterTable) -> BucketProvider:
    """The provider over this storage; nothing is asked of it yet."""
    match cluster:
        case SeaweedCluster():
            return open_seaweedfs(cluster)
    raise NotImplementedError(cluster.provider)


async def check_storage(cluster: ClusterTable) -> None:
    """Ask the storage for something harmless, with our key pair.

    Raises:
        ConfigError: it does not answer (`NoAnswer`), refuses us, or has another time; the message begins with the setting that is to blame.
    """
    match cluster:
        case SeaweedCluster():
            await asyncio.to_thread(check_seaweedfs, cluster)
        case _:
            raise NotImplementedError(cluster.provider)
