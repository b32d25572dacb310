"""A Ceph with its object gateway."""

from typing import Literal

from pydantic import Field

from neuro_buckets.clusters.base import Origin
from neuro_buckets.clusters.s3 import Region, RoleArn, S3Table


class CephCluster(S3Table):
    """What is needed to use a Ceph: docs/providers/ceph.md says how its user and its role are made."""

    provider: Literal["ceph"]
    endpoint_url: Origin
    role_arn: RoleArn
    user: str = Field(default="neuro-buckets", min_length=1)
    """Whose key it is."""
    region: Region = "us-east-1"

    @property
    def most_session_seconds(self) -> int:
        """Ceph's maximum for a role."""
        return 3600

    @property
    def address(self) -> str:
        """Its S3 side."""
        return self.endpoint_url
