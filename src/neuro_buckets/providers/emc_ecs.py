"""Buckets on Dell EMC ECS (and ObjectScale), which speaks AWS's S3, STS and IAM at addresses of its own.

None of it can be run here: what is sent is AWS's dialect, and is tested against moto. Source: Dell's ECS Data Access Guide.
"""

from neuro_buckets.providers.aws import IamUsers
from neuro_buckets.providers.s3_buckets import S3_ACTIONS, S3Provider
from neuro_buckets.providers.scoped_session import Endpoint

ACTIONS = S3_ACTIONS

REGION = "any"
"""What the released service tells clients; ECS does not look at it."""


class EcsProvider(S3Provider):
    """Buckets in one namespace of an ECS, with an IAM user's key and a role that sessions are made of."""

    kind = "aws"  # released clients know no other name for it; `storage` says which it is
    storage = "emc_ecs"
    extra = "emc_ecs"
    actions = ACTIONS

    def __init__(
        self,
        *,
        endpoint_url: str,
        sts_url: str,
        iam_url: str,
        access_key: str,
        secret_key: str,
        role_arn: str,
        role_session_seconds: int = 3600,
    ) -> None:
        """Three addresses: of its S3 side, and of STS and IAM, which have a port or path of their own there."""
        s3, sts, iam = (Endpoint(url, REGION, access_key, secret_key) for url in (endpoint_url, sts_url, iam_url))
        super().__init__(s3, sts=sts, role_arn=role_arn, users=IamUsers(iam, near=self.near))
        self.session_seconds = range(900, role_session_seconds + 1)
