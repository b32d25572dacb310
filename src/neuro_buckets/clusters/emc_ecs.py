"""A namespace of a Dell EMC ECS."""

from typing import Literal

from pydantic import Field

from neuro_buckets.clusters.base import Origin, Url
from neuro_buckets.clusters.s3 import S3Table


class EcsCluster(S3Table):
    """What is needed to use an ECS: docs/providers/emc_ecs.md says how its user and its role are made."""

    provider: Literal["emc_ecs"]
    endpoint_url: Origin
    sts_endpoint_url: Url
    iam_endpoint_url: Url
    role_arn: str = Field(min_length=1)
    role_session_seconds: int = Field(default=3600, ge=900, le=43_200)

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
        return self.endpoint_url
