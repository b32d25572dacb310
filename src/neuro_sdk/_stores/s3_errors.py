"""What an S3 refusal means: one table from its code to our error, and what to do about it."""

from collections.abc import Mapping

from neuro_sdk._errors import (
    AuthenticationError,
    AuthorizationError,
    BadGateway,
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

from .s3_xml import Refusal

STALE_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"}
)
CLOCK_SKEW = frozenset({"RequestTimeTooSkewed"})

_BY_CODE: Mapping[str, type[NeuroError]] = {
    "NoSuchKey": BlobNotFound,
    "NoSuchBucket": BucketNotFound,
    "NoSuchUpload": ResourceNotFound,
    **dict.fromkeys(STALE_CREDENTIALS, AuthenticationError),
    "SignatureDoesNotMatch": AuthenticationError,
    "RequestTimeTooSkewed": AuthenticationError,
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
_BY_STATUS: Mapping[int, type[NeuroError]] = {
    400: IllegalArgumentError,
    401: AuthenticationError,
    403: AuthorizationError,
    404: BlobNotFound,
    405: NotSupportedError,
    408: ServerNotAvailable,
    409: Conflict,
    412: BlobChanged,
    429: ServerNotAvailable,
    500: ServerNotAvailable,
    501: NotSupportedError,
    502: ServerNotAvailable,
    503: ServerNotAvailable,
    504: ServerNotAvailable,
}
_SAYS: Mapping[type[NeuroError], str] = {
    BlobNotFound: "there is no such blob",
    BucketNotFound: "the bucket is gone at its provider",
    ResourceNotFound: "the upload is gone: it was completed or aborted",
    AuthenticationError: "the provider does not take the credentials",
    AuthorizationError: "the credentials do not allow this",
    BlobChanged: "another blob is there now",
    IntegrityError: "the bytes were damaged on the way",
    Conflict: "something else is being done to it",
    NotSupportedError: "the provider cannot do this",
    ServerNotAvailable: "the provider cannot answer now; try again later",
    IllegalArgumentError: "the provider refuses this",
    BadGateway: "the provider's answer makes no sense",
}


def error_for(status: int, refusal: Refusal, what: str, retry_after_seconds: float | None = None) -> NeuroError:
    """Our error for a refused request; `what` names the bucket and key."""
    if status == 200 and refusal.code:  # one key of many, or an answer that began before its outcome was known
        status = 400
    kind = _BY_CODE.get(refusal.code) or _BY_STATUS.get(status, BadGateway)
    said = ": ".join(part for part in (refusal.code, refusal.message) if part) or f"status {status}"
    message = f"{what}: {_SAYS[kind]} ({said})"
    error = kind(message)
    if isinstance(error, ServerNotAvailable):
        error.retry_after_seconds = retry_after_seconds
    return error
