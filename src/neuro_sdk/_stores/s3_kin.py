"""How the storages that speak S3 differ, as data. Everything else about them is the same code, in `s3`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from neuro_sdk._errors import BadGateway
from neuro_sdk._http import Origin
from neuro_sdk._models import Bucket

from .credentials import read_endpoint
from .forms import Form
from .keys import MAX_KEY_BYTES
from .sigv4 import Headers, Signer, quote_key


@dataclass(frozen=True, slots=True)
class Traits:
    """What one kind of S3 does."""

    max_key_bytes: int = MAX_KEY_BYTES
    path_like_keys: bool = False
    """Keeps keys as file paths, so `//`, `\\`, `.` and `..` would be rewritten."""
    markers_are_directories: bool = False
    """A key that ends in `/` is a directory of its own: it keeps no body, answers a HEAD even when it was never put, and replaces the
    blob of the same name without the `/`."""
    checksums: bool = True
    """Verifies `x-amz-checksum-crc32`."""
    batch_deletes: bool = True
    """Lets those delete many keys in one request who may delete each of them."""


TRAITS: Mapping[str, Traits] = {
    "aws": Traits(),
    "minio": Traits(path_like_keys=True, markers_are_directories=True),
    "seaweedfs": Traits(path_like_keys=True, markers_are_directories=True),
    "open_stack": Traits(checksums=False),
    "ceph": Traits(checksums=False, batch_deletes=False),
    "emc_ecs": Traits(checksums=False),
}
"""By the name of the storage."""


def traits_of(provider: Bucket.Provider, values: Mapping[str, str]) -> Traits:
    """What the storage behind these credentials does.

    Args:
        provider: what the bucket says; released clients know few names, so "aws" stands for everything like it.
        values: a credentials map, whose `storage` says which it is. One that we do not know is taken for what the bucket says.
    """
    return TRAITS.get(values.get("storage", "")) or TRAITS[provider]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one bucket is, and as whom it is asked; made from one credentials map."""

    values: Mapping[str, str] = field(repr=False)
    origin: Origin
    path: str
    """The bucket's own path: empty where its name is part of the host."""
    signer: Signer

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> "Endpoint":
        """Read a credentials map as the control plane sends it.

        Raises:
            BadGateway: it lacks something, or its endpoint is no address.
        """
        try:
            bucket, access_key, secret_key = (
                values[name] for name in ("bucket_name", "access_key_id", "secret_access_key")
            )
        except KeyError as error:
            raise BadGateway(f"the control plane sent S3 credentials without {error}") from None
        region = values.get("region_name") or "us-east-1"
        url = values.get("endpoint_url")
        if url:
            origin, path = read_endpoint(url)
            base = f"{path}/{bucket}"
        elif "." in bucket:  # the certificate of *.s3.amazonaws.com does not cover a dot
            origin, base = read_endpoint(f"https://s3.{region}.amazonaws.com")[0], f"/{bucket}"
        else:
            origin, base = read_endpoint(f"https://{bucket}.s3.{region}.amazonaws.com")
        return cls(values, origin, base, Signer(access_key, secret_key, values.get("session_token"), region))

    @property
    def bucket(self) -> str:
        """Its name at the storage."""
        return self.values["bucket_name"]

    @property
    def storage(self) -> str:
        """The same for two buckets between which a storage can copy; "" is AWS, with all its regions."""
        return (self.values.get("endpoint_url") or "").rstrip("/")

    def sign(
        self,
        method: str,
        key: str,
        headers: Sequence[tuple[str, str]],
        query: str = "",
        body_bytes: int = 0,  # noqa: ARG002 - S3 signs no length
    ) -> tuple[str, Headers]:
        """See `Endpoint` in `wire`."""
        path = f"{self.path}/{quote_key(key)}"
        signed = self.signer.sign(method, self.origin.host_header, path, query, list(headers))
        return f"{path}?{query}" if query else path, signed

    def form(self, method: str, headers: Sequence[tuple[str, str]], open_header: str | None = None) -> Form:
        """See `Endpoint` in `wire`."""
        return self.signer.form(method, self.origin.host_header, list(headers), open_header)

    def set_clock(self, offset_seconds: float) -> None:
        """See `Endpoint` in `wire`."""
        self.signer.clock_offset_seconds = offset_seconds

    def copy(self) -> "Endpoint":
        """See `Endpoint` in `wire`."""
        return replace(self, signer=replace(self.signer))
