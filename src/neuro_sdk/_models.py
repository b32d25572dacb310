"""What the SDK hands out: frozen values without any I/O."""

import abc
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from yarl import URL

from ._uri import blob_uri, key_in_bucket


@dataclass(frozen=True)
class Bucket:
    """One bucket. `project_name` is None where the control plane knows owners only."""

    class Provider(str, enum.Enum):
        """The kinds of storage that a bucket can be on; the values are the wire's."""

        __module__ = "neuro_sdk"  # nested, so that `__init__` does not reach it

        AWS = "aws"
        MINIO = "minio"
        AZURE = "azure"
        GCP = "gcp"
        OPEN_STACK = "open_stack"
        SEAWEEDFS = "seaweedfs"
        MEMORY = "memory"

        def __str__(self) -> str:
            return self.value

    id: str
    owner: str
    cluster_name: str
    org_name: str | None
    provider: Provider
    created_at: datetime
    imported: bool
    public: bool = False
    name: str | None = None
    project_name: str | None = None

    @property
    def uri(self) -> URL:
        """`blob://cluster/[org/]owner/name`; the id stands in for a missing name."""
        return self.uri_of("")

    def uri_of(self, key: str) -> URL:
        """The address of a key in this bucket, encoded so that it names exactly this key again."""
        return blob_uri(self.cluster_name, self.org_name, self.project_name or self.owner, self.name or self.id, key)

    def get_key_for_uri(self, uri: URL) -> str:
        """The decoded key that `uri` names in this bucket.

        Raises:
            ValueError: `uri` is not inside this bucket.
        """
        return key_in_bucket(
            uri, self.cluster_name, self.org_name, self.project_name or self.owner, (self.id, self.name)
        )


@dataclass(frozen=True)
class BucketCredentials:
    """Raw provider credentials for one bucket; they do not show in a repr."""

    bucket_id: str
    provider: Bucket.Provider
    credentials: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class PersistentBucketCredentials:
    """Credentials that stay until they are removed, for a set of buckets."""

    id: str
    owner: str
    cluster_name: str
    name: str | None
    read_only: bool
    credentials: Sequence[BucketCredentials] = field(repr=False)


class BucketRole(str, enum.Enum):
    """What somebody may do with a bucket that was shared with them; each role includes what comes before it."""

    READER = "reader"
    """Read and list blobs."""
    WRITER = "writer"
    """Write and delete blobs; in a project also create buckets."""
    MANAGER = "manager"
    """Delete the bucket, make it public, share it."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class BucketShare:
    """A role that a user was given, on a bucket or on a project."""

    user: str
    role: BucketRole


@dataclass(frozen=True)
class BucketEntry(abc.ABC):
    """Something that a listing shows: a blob, or a common prefix that stands for many."""

    key: str
    bucket: Bucket = field(repr=False)
    size: int = 0
    created_at: datetime | None = None
    modified_at: datetime | None = None

    @property
    def name(self) -> str:
        """The last part of the key; `folder/` is named `folder`."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def uri(self) -> URL:
        """`blob://cluster/[org/]owner/bucket/key`, encoded so that it names exactly this key again."""
        return self.bucket.uri_of(self.key)

    @abc.abstractmethod
    def is_dir(self, uri: URL | None = None) -> bool:
        """Whether this stands for a folder. `uri` is accepted as documented and not needed."""

    def is_file(self, uri: URL | None = None) -> bool:
        """Whether this is a blob with content of its own."""
        return not self.is_dir(uri)


@dataclass(frozen=True)
class BlobObject(BucketEntry):
    """A key that is there in the storage."""

    def is_dir(self, uri: URL | None = None) -> bool:  # noqa: ARG002
        """A marker (`folder/`, zero bytes) counts as a folder."""
        return self.key.endswith("/") and self.size == 0


@dataclass(frozen=True)
class BlobCommonPrefix(BucketEntry):
    """All keys that begin alike up to a `/`, in a listing that is not recursive."""

    def is_dir(self, uri: URL | None = None) -> bool:  # noqa: ARG002
        """Always."""
        return True


@dataclass(frozen=True)
class BucketUsage:
    """How much a bucket holds, as counted so far."""

    total_bytes: int
    object_count: int
