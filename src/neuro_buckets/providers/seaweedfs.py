"""Buckets on SeaweedFS: its S3 side for buckets and signed URLs, its STS side for credentials that end, its IAM for those that stay."""

from neuro_buckets.providers.s3_buckets import S3_ACTIONS, S3Provider
from neuro_buckets.providers.scoped_session import Endpoint
from neuro_buckets.providers.seaweed_iam import IamEndpoint, SeaweedUsers

ACTIONS = S3_ACTIONS

_REGION = "us-east-1"


class SeaweedProvider(S3Provider):
    """Buckets on one SeaweedFS, with a key pair of it that may do everything; with `iam`, also persistent credentials.

    The storage loads all its users anew after each change, so with a thousand of them a second may become one and a half.
    """

    kind = "seaweedfs"
    extra = "seaweedfs"
    actions = ACTIONS
    principal_policy_characters = (
        64 << 10
    )  # far below what SeaweedFS takes (seen: 400,000), and still some hundreds of buckets
    path_like_keys = True
    no_users = (
        "this storage makes no persistent credentials: who runs the service must give its provider an IamEndpoint"
        " (the filer's gRPC address, its jwt.filer_signing key and certificates)"
    )

    def __init__(self, endpoint_url: str, access_key: str, secret_key: str, iam: IamEndpoint | None = None) -> None:
        users = None if iam is None else SeaweedUsers(iam)
        super().__init__(Endpoint(endpoint_url, _REGION, access_key, secret_key), users=users)
        self.signs_as_principals = users is not None
