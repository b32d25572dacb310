"""A Google Cloud project."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from neuro_buckets.clusters.base import ClusterTable, Origin, PrivateFile

_STORAGE = "https://storage.googleapis.com"


class GcpCluster(ClusterTable):
    """What is needed to use Google Cloud: docs/providers/gcp.md says which accounts it takes."""

    remedies: ClassVar[Mapping[str, str]] = {
        "project": "give the id of the project, like my-project-123456",
        "access_account": "give the e-mail of the account whose rights temporary credentials are cut from",
        "location": "give where new buckets are made, like EU or europe-west4",
        "storage_endpoint_url": f"give the address of the storage, like {_STORAGE}, or nothing",
        "iam_endpoint_url": "give the address of IAM, like https://iam.googleapis.com, or nothing",
        "iam_credentials_endpoint_url": "give its address, like https://iamcredentials.googleapis.com, or nothing",
        "sts_endpoint_url": "give the address of the token service, like https://sts.googleapis.com, or nothing",
    }

    provider: Literal["gcp"]
    project: Annotated[str, Field(pattern=r"^[a-z0-9.:-]{1,100}$")]
    access_account: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+$")]
    location: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{2,40}$")] = "US"
    key_file: PrivateFile | None = None
    """The JSON key of our service account; without it, what Google's libraries find on this machine."""
    storage_endpoint_url: Origin = _STORAGE
    iam_endpoint_url: Origin = "https://iam.googleapis.com"
    iam_credentials_endpoint_url: Origin = "https://iamcredentials.googleapis.com"
    sts_endpoint_url: Origin = "https://sts.googleapis.com"

    @property
    def most_session_seconds(self) -> int:
        """Google's maximum for a token."""
        return 3600

    @property
    def address(self) -> str:
        """The project there."""
        return f"{self.storage_endpoint_url} (project {self.project})"
