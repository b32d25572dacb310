"""What an S3 refusal means: one table from its code to our error. What all providers agree on is in `refusals`."""

from collections.abc import Mapping

from neuro_sdk._errors import (
    AuthenticationError,
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    Conflict,
    IntegrityError,
    NeuroError,
    NotSupportedError,
    ResourceNotFound,
    ServerNotAvailable,
)

from .refusals import Refusal, error_by

STALE_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "InvalidTokenId",
        "TokenRefreshRequired",
    }
)
"""`InvalidTokenId` is MinIO's word for what AWS calls `InvalidToken`."""
CLOCK_SKEW = frozenset({"RequestTimeTooSkewed"})

BY_CODE: Mapping[str, type[NeuroError]] = {
    "NoSuchKey": BlobNotFound,
    "NoSuchBucket": BucketNotFound,
    "NoSuchUpload": ResourceNotFound,
    **dict.fromkeys(STALE_CREDENTIALS, AuthenticationError),
    "SignatureDoesNotMatch": AuthenticationError,
    "RequestTimeTooSkewed": AuthenticationError,
    # They are not valid here: another region's server was asked, or was named in the signature.
    "AuthorizationHeaderMalformed": AuthenticationError,
    "PermanentRedirect": AuthenticationError,
    "IllegalLocationConstraintException": AuthenticationError,
    "AccessDenied": AuthorizationError,
    "AllAccessDisabled": AuthorizationError,
    "PreconditionFailed": BlobChanged,
    "BadDigest": IntegrityError,
    "XAmzContentSHA256Mismatch": IntegrityError,
    "OperationAborted": Conflict,
    "NotImplemented": NotSupportedError,
    "SlowDown": ServerNotAvailable,
    "RequestTimeout": ServerNotAvailable,
    "InternalError": ServerNotAvailable,
    "ServiceUnavailable": ServerNotAvailable,
}


def error_for(status: int, refusal: Refusal, what: str, retry_after_seconds: float | None = None) -> NeuroError:
    """Our error for a refused request; `what` names the bucket and key."""
    if status == 200 and refusal.code:  # one key of many, or an answer that began before its outcome was known
        status = 400
    return error_by(BY_CODE, status, refusal, what, retry_after_seconds)
