"""A MinIO, or a gateway with MinIO's IAM."""

from typing import Literal

from neuro_buckets.clusters.base import Origin
from neuro_buckets.clusters.s3 import Region, S3Table


class MinioCluster(S3Table):
    """What is needed to use a MinIO: docs/providers/minio.md says how its user is made."""

    provider: Literal["minio"]
    endpoint_url: Origin
    region: Region = "us-east-1"

    @property
    def address(self) -> str:
        """Its S3 side."""
        return self.endpoint_url
