"""From what the configuration says of a storage to a provider, and the first question to that storage, before anything is served.

The question is asked once and not for long, so that a start with wrong settings ends soon. One file a provider, but for those that are
like AWS.
"""

import asyncio

from neuro_buckets.clusters.aws import AwsCluster
from neuro_buckets.clusters.azure import AzureCluster
from neuro_buckets.clusters.base import ClusterTable
from neuro_buckets.clusters.ceph import CephCluster
from neuro_buckets.clusters.emc_ecs import EcsCluster
from neuro_buckets.clusters.gcp import GcpCluster
from neuro_buckets.clusters.minio import MinioCluster
from neuro_buckets.clusters.seaweedfs import SeaweedCluster
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.providers.opening.azure import check_azure, open_azure
from neuro_buckets.providers.opening.gcp import check_gcp, open_gcp
from neuro_buckets.providers.opening.s3_kin import (
    check_aws,
    check_ceph,
    check_ecs,
    check_minio,
    open_aws,
    open_ceph,
    open_ecs,
    open_minio,
)
from neuro_buckets.providers.opening.seaweedfs import check_seaweedfs, open_seaweedfs


def open_provider(cluster: ClusterTable) -> BucketProvider:
    """The provider over this storage; nothing is asked of it yet."""
    match cluster:
        case SeaweedCluster():
            return open_seaweedfs(cluster)
        case AwsCluster():
            return open_aws(cluster)
        case MinioCluster():
            return open_minio(cluster)
        case CephCluster():
            return open_ceph(cluster)
        case EcsCluster():
            return open_ecs(cluster)
        case AzureCluster():
            return open_azure(cluster)
        case GcpCluster():
            return open_gcp(cluster)
    raise NotImplementedError(cluster.provider)


async def check_storage(cluster: ClusterTable) -> None:
    """Ask the storage for something harmless, with our key pair.

    Raises:
        ConfigError: it does not answer (`NoAnswer`), refuses us, or has another time; the message begins with the setting that is to blame.
    """
    match cluster:
        case SeaweedCluster():
            await asyncio.to_thread(check_seaweedfs, cluster)
        case AwsCluster():
            await asyncio.to_thread(check_aws, cluster)
        case MinioCluster():
            await asyncio.to_thread(check_minio, cluster)
        case CephCluster():
            await asyncio.to_thread(check_ceph, cluster)
        case EcsCluster():
            await asyncio.to_thread(check_ecs, cluster)
        case AzureCluster():
            await asyncio.to_thread(check_azure, cluster)
        case GcpCluster():
            await asyncio.to_thread(check_gcp, cluster)
        case _:
            raise NotImplementedError(cluster.provider)
