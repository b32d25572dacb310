"""AWS, MinIO, Ceph and ECS, from their tables."""

from neuro_buckets.clusters.aws import AwsCluster
from neuro_buckets.clusters.ceph import CephCluster
from neuro_buckets.clusters.emc_ecs import EcsCluster
from neuro_buckets.clusters.minio import MinioCluster
from neuro_buckets.providers.aws import AwsProvider
from neuro_buckets.providers.ceph import CephProvider
from neuro_buckets.providers.emc_ecs import EcsProvider
from neuro_buckets.providers.minio import MinioProvider
from neuro_buckets.providers.opening.s3 import list_buckets


def open_aws(cluster: AwsCluster) -> AwsProvider:
    """The provider; nothing is asked of it yet."""
    return AwsProvider(
        region=cluster.region,
        access_key=cluster.access_key_id,
        secret_key=cluster.secret,
        role_arn=cluster.role_arn,
        role_session_seconds=cluster.role_session_seconds,
        endpoint_url=cluster.endpoint_url,
        sts_url=cluster.sts_endpoint_url,
        iam_url=cluster.iam_endpoint_url,
    )


def open_minio(cluster: MinioCluster) -> MinioProvider:
    """The provider; nothing is asked of it yet."""
    return MinioProvider(
        endpoint_url=cluster.endpoint_url,
        access_key=cluster.access_key_id,
        secret_key=cluster.secret,
        region=cluster.region,
    )


def open_ceph(cluster: CephCluster) -> CephProvider:
    """The provider; nothing is asked of it yet."""
    return CephProvider(
        endpoint_url=cluster.endpoint_url,
        access_key=cluster.access_key_id,
        secret_key=cluster.secret,
        role_arn=cluster.role_arn,
        user=cluster.user,
        region=cluster.region,
    )


def open_ecs(cluster: EcsCluster) -> EcsProvider:
    """The provider; nothing is asked of it yet."""
    return EcsProvider(
        endpoint_url=cluster.endpoint_url,
        sts_url=cluster.sts_endpoint_url,
        iam_url=cluster.iam_endpoint_url,
        access_key=cluster.access_key_id,
        secret_key=cluster.secret,
        role_arn=cluster.role_arn,
        role_session_seconds=cluster.role_session_seconds,
    )


def check_aws(cluster: AwsCluster) -> None:
    """List the buckets, by the way that a proxy of the environment says. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """
    setting = None if cluster.endpoint_url else f"region = {cluster.region!r}"
    list_buckets(cluster.address, cluster.access_key_id, cluster.secret, cluster.region, setting=setting, by_proxy=True)


def check_s3(cluster: MinioCluster | CephCluster | EcsCluster) -> None:
    """List the buckets. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """
    region = "us-east-1" if isinstance(cluster, EcsCluster) else cluster.region
    list_buckets(cluster.endpoint_url, cluster.access_key_id, cluster.secret, region)
