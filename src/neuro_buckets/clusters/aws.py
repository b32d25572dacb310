"""One region of an AWS account."""

from typing import Literal

from pydantic import Field

from neuro_buckets.clusters.base import Origin
from neuro_buckets.clusters.s3 import Region, RoleArn, S3Table


class AwsCluster(S3Table):
    """What is needed to use AWS: docs/providers/aws.md says how its user and its role are made."""

    provider: Literal["aws"]
    region: Region
    role_arn: RoleArn
    role_session_seconds: int = Field(default=3600, ge=900, le=43_200)
    """The role's own maximum."""
    endpoint_url: Origin | None = None
    """The addresses are those of the region, unless they are given."""
    sts_endpoint_url: Origin | None = None
    iam_endpoint_url: Origin | None = None

    @property
    def most_session_seconds(self) -> int:
        """As long as the role allows."""
        return self.role_session_seconds

    @property
    def most_session_reason(self) -> str:
        """It can be more where the role is told so."""
        return " (its role_session_seconds)"

    @property
    def address(self) -> str:
        """Its S3 side."""
        return self.endpoint_url or f"https://s3.{self.region}.amazonaws.com"
