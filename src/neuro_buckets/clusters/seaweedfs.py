"""A SeaweedFS that runs elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ValidationInfo

from neuro_buckets.clusters.base import (
    AuthorityFile,
    Origin,
    PrivateFile,
    ReadableFile,
    Table,
    check_address,
    check_key_of,
)
from neuro_buckets.clusters.s3 import S3Table


def _check_iam_key(key: Path, info: ValidationInfo) -> Path:
    return check_key_of(key, info, "certificate_file")


class SeaweedIam(Table):
    """How a SeaweedFS lets its users be changed: the gRPC side of its filer."""

    remedies: ClassVar[Mapping[str, str]] = {
        "address": "give host and port of the filer's gRPC side, like 127.0.0.1:18888"
    }

    address: Annotated[str, AfterValidator(check_address)]
    signing_key_file: PrivateFile
    """Holds `jwt.filer_signing.key` of its security.toml."""
    authority_file: AuthorityFile
    certificate_file: ReadableFile
    key_file: Annotated[PrivateFile, AfterValidator(_check_iam_key)]


class SeaweedCluster(S3Table):
    """What is needed to use a SeaweedFS."""

    remedies: ClassVar[Mapping[str, str]] = {
        **S3Table.remedies,
        "access_key_id": "give the id of a key that administers the storage",
        "iam": "give a table with address, signing_key_file, authority_file, certificate_file and key_file, or nothing",
    }

    provider: Literal["seaweedfs"]
    endpoint_url: Origin
    iam: SeaweedIam | None = None
    """Without it, no persistent credentials can be made."""

    @property
    def address(self) -> str:
        """Its S3 side."""
        return self.endpoint_url
