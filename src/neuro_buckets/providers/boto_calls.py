"""How boto3 is asked, and how its errors become ours. It is imported when it is first needed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from neuro_buckets.errors import (
    BucketNotEmpty,
    Conflict,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    ServiceError,
)
from neuro_buckets.providers.refusals import refusal
from neuro_buckets.providers.scoped_session import Endpoint

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

THREADS = 8
READ_SECONDS = 20
_CONNECT_SECONDS = 5

# Whatever is not here is the storage's trouble, not the caller's: ProviderUnavailable.
_ERRORS: Mapping[str, type[ServiceError]] = {
    "NoSuchBucket": NotFound,
    "404": NotFound,  # a HEAD has no body that could say more
    "BucketNotEmpty": BucketNotEmpty,
    "BucketAlreadyExists": Conflict,
    "InvalidBucketName": InvalidRequest,
}
MESSAGES: Mapping[type[ServiceError], str] = {
    NotFound: "bucket {bucket} is not at the storage",
    BucketNotEmpty: "bucket {bucket} is not empty; delete its blobs first",
    Conflict: "bucket {bucket} belongs to somebody else at the storage",
    InvalidRequest: "the storage does not take the bucket name {bucket}",
}


# The type of a client is made at run time; whoever calls says which it is.
def make_client(service: str, at: Endpoint, *, near: bool) -> Any:
    """A client of one side of a storage; asks nobody yet.

    Args:
        near: the storage is ours; a proxy meant for the internet would not find it.
    """
    from boto3.session import Session
    from botocore.config import Config

    config = Config(
        signature_version="s3v4" if service == "s3" else "v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=THREADS,
        proxies={} if near else None,  # None: those of the environment
    )
    return Session().client(
        service,
        endpoint_url=at.url,
        region_name=at.region,
        aws_access_key_id=at.access_key,
        aws_secret_access_key=at.secret_key,
        config=config,
    )


@contextmanager
def translated(url: str, bucket: str) -> Iterator[None]:
    """No error of boto3 leaves a provider's threads."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        kind = _ERRORS.get(code_of(error))
        if kind is None:
            raise refused(url, error) from error
        raise kind(MESSAGES[kind].format(bucket=bucket)) from error
    except BotoCoreError as error:
        raise ProviderUnavailable(f"the storage at {url} does not answer; try again") from error


def code_of(error: "ClientError") -> str:
    """What the storage calls the error; some answers of SeaweedFS carry no code at all."""
    return str(error.response.get("Error", {}).get("Code", ""))


def refused(url: str, error: "ClientError") -> ProviderUnavailable:
    """What to tell of an error that is nobody's but the storage's."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return refusal(f"the storage at {url}", code_of(error), status)
