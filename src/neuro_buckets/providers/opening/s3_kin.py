"""AWS, MinIO, Ceph and ECS, from their tables."""

from neuro_buckets.clusters.aws import AwsCluster
from neuro_buckets.clusters.ceph import CephCluster
from neuro_buckets.clusters.emc_ecs import EcsCluster
from neuro_buckets.clusters.minio import MinioCluster
from neuro_buckets.providers.aws import AwsProvider
from neuro_buckets.providers.ceph import CephProvider
from neuro_buckets.providers.emc_ecs import REGION, EcsProvider
from neuro_buckets.providers.minio import MinioProvider
from neuro_buckets.providers.opening.s3 import Side, list_buckets, open_session
from neuro_buckets.providers.scoped_session import Endpoint


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
    """List the buckets, and open a session of the role, by the way that a proxy of the environment says. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """
    list_buckets(_aws_side(cluster, "endpoint_url", cluster.endpoint_url, "s3"))
    sts = _aws_side(cluster, "sts_endpoint_url", cluster.sts_endpoint_url, "sts")
    open_session(sts, cluster.role_arn, cluster.role_session_seconds)


def check_minio(cluster: MinioCluster) -> None:
    """List the buckets, and open a session of ourselves. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """
    side = Side(Endpoint(cluster.endpoint_url, cluster.region, cluster.access_key_id, cluster.secret), extra="minio")
    list_buckets(side)
    open_session(side, None, 900)


def check_ceph(cluster: CephCluster) -> None:
    """List the buckets, and open a session of the role. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """
    side = Side(Endpoint(cluster.endpoint_url, cluster.region, cluster.access_key_id, cluster.secret), extra="ceph")
    list_buckets(side)
    open_session(side, cluster.role_arn, 900)


def check_ecs(cluster: EcsCluster) -> None:
    """List the buckets, and open a session of the role. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """

    def side(url: str) -> Endpoint:
        return Endpoint(url, REGION, cluster.access_key_id, cluster.secret)

    list_buckets(Side(side(cluster.endpoint_url), extra="emc_ecs"))
    sts = Side(
        side(cluster.sts_endpoint_url), "sts_endpoint_url", remedy="give the address of its STS", extra="emc_ecs"
    )
    open_session(sts, cluster.role_arn, cluster.role_session_seconds)


def _aws_side(cluster: AwsCluster, setting: str, given: str | None, service: str) -> Side:
    """One of its services: at an address that was given, or that of the region, which then is to blame."""
    at = given or f"https://{service}.{cluster.region}.amazonaws.com"
    return Side(
        Endpoint(at, cluster.region, cluster.access_key_id, cluster.secret),
        setting if given else "region",
        "" if given else repr(cluster.region),
        remedy=f"look whether {at} can be reached from here, through a proxy if need be"
        + ("" if given else ", and whether there is such a region"),
        near=False,
        extra="aws",
    )
