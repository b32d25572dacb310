"""Open buckets: one interface in `base`, one file a kind of storage."""

from dataclasses import replace

from neuro_sdk._errors import NotSupportedError
from neuro_sdk._http import HttpClient
from neuro_sdk._models import Bucket

from .base import BlobStore
from .credentials import Credentials

_S3_KIN = frozenset({Bucket.Provider.AWS, Bucket.Provider.MINIO, Bucket.Provider.SEAWEEDFS, Bucket.Provider.OPEN_STACK})


async def open_store(
    bucket: Bucket, credentials: Credentials, http: HttpClient, *, checksums: bool = True
) -> BlobStore:
    """The store for a bucket, by its provider; no request to the provider is made. Without `checksums`, S3 and Azure are asked for none."""
    if bucket.provider in _S3_KIN:
        from .s3 import S3Store
        from .s3_kin import traits_of

        # "aws" stands for several, and the credentials say which; those of all others are asked for when they are needed.
        told = await credentials.get() if bucket.provider is Bucket.Provider.AWS else {}
        traits = traits_of(bucket.provider, told)
        return S3Store(http, bucket, credentials, replace(traits, checksums=False) if not checksums else traits)
    if bucket.provider is Bucket.Provider.AZURE:
        from .azure import AzureStore

        return AzureStore(http, bucket, credentials, checksums=checksums)
    if bucket.provider is Bucket.Provider.GCP:
        from .gcs import GcsStore

        return GcsStore(http, bucket, credentials)
    if bucket.provider is Bucket.Provider.MEMORY:
        from .memory import MemoryStore

        return MemoryStore((await credentials.get())["bucket_name"])
    raise NotSupportedError(
        f"bucket {bucket.name or bucket.id!r} is on {bucket.provider}, which this release cannot open yet"
    )
