"""What the tables of all storages that speak S3 have in common: the service's own key."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr

from neuro_buckets.clusters.base import ClusterTable, PrivateFile, check_secret, secret_of

Region = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,40}$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws:iam::\d*:role/\S+$")]


class S3Table(ClusterTable):
    """A key, of which the secret is here or in a file."""

    remedies: ClassVar[Mapping[str, str]] = {
        "endpoint_url": "give the address of the storage's S3 side, like http://127.0.0.1:8333, without a path",
        "access_key_id": "give the id of the key that the service uses the storage with",
        "secret_access_key": "give the secret that belongs to access_key_id, here or in secret_access_key_file",
        "region": "give the name of the storage's region, like us-east-1",
        "role_arn": "give the role that sessions are made of, like arn:aws:iam::123456789012:role/neuro-buckets-data",
        "role_session_seconds": "give how long a session of the role may last, from 900 to 43200 seconds",
        "user": "give the name of the user whose key it is, like neuro-buckets",
        "sts_endpoint_url": "give the address of its STS, like https://sts.example.com, without a path",
        "iam_endpoint_url": "give the address of its IAM, like https://iam.example.com, without a path",
    }

    access_key_id: str = Field(min_length=1)
    secret_access_key_file: PrivateFile | None = None
    secret_access_key: Annotated[SecretStr | None, Field(validate_default=True), AfterValidator(check_secret)] = None

    @property
    def secret(self) -> str:
        """The secret access key, from wherever it is."""
        return secret_of(self.secret_access_key, self.secret_access_key_file)
