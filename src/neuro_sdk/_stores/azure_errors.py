"""What a refusal of Azure Blob Storage means: one table from its code to our error. What all providers agree on is in `refusals`.

Source: "Blob Storage error codes" and "Common REST API error codes" in the Azure Storage REST reference.
"""

from collections.abc import Mapping

from neuro_sdk._errors import (
    AuthenticationError,
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    Conflict,
    IllegalArgumentError,
    IntegrityError,
    NeuroError,
    NotSupportedError,
    ResourceNotFound,
    ServerNotAvailable,
)

from .refusals import Refusal, error_by

_UNKNOWN = ("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation")
STALE_CREDENTIALS = frozenset({*_UNKNOWN, "AuthorizationFailure"})
"""The last is what Azure says of networks that may not come in; one try with new credentials does no harm."""
CLOCK_SKEW = frozenset({"AuthenticationFailed"})
"""Azure has one code for a SAS that ended, a key that is not the account's, and a clock that is wrong."""

BY_CODE: Mapping[str, type[NeuroError]] = {
    "BlobNotFound": BlobNotFound,
    "ContainerNotFound": BucketNotFound,
    "ContainerBeingDeleted": BucketNotFound,
    "ContainerDisabled": BucketNotFound,
    "InvalidBlockList": ResourceNotFound,
    **dict.fromkeys(_UNKNOWN, AuthenticationError),
    "PublicAccessNotPermitted": AuthorizationError,
    "ConditionNotMet": BlobChanged,
    "SourceConditionNotMet": BlobChanged,
    "LeaseIdMissing": Conflict,
    "LeaseIdMismatchWithBlobOperation": Conflict,
    "InvalidBlobOrBlock": Conflict,
    "Md5Mismatch": IntegrityError,
    "Crc64Mismatch": IntegrityError,
    "RequestBodyTooLarge": IllegalArgumentError,
    "BlobArchived": NotSupportedError,
    "BlobBeingRehydrated": NotSupportedError,
    "InvalidBlobType": NotSupportedError,
    "ServerBusy": ServerNotAvailable,
    "InternalError": ServerNotAvailable,
    "OperationTimedOut": ServerNotAvailable,
}


def error_for(status: int, refusal: Refusal, what: str, retry_after_seconds: float | None = None) -> NeuroError:
    """Our error for a refused request; `what` names the bucket and key."""
    return error_by(BY_CODE, status, refusal, what, retry_after_seconds)
