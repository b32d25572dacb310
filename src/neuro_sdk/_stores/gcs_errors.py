"""What a refusal of Google Cloud Storage means: its JSON API gives a reason, its XML API a code, both of them a status.

Source: "HTTP status and error codes" of the JSON and of the XML API.
"""

import json
import re
from collections.abc import Mapping

from neuro_sdk._errors import (
    AuthorizationError,
    BlobNotFound,
    BucketNotFound,
    IntegrityError,
    NeuroError,
    ResourceNotFound,
    ServerNotAvailable,
)

from .refusals import Refusal, error_by
from .s3_xml import parse_refusal as parse_xml

_BY_CODE: Mapping[str, type[NeuroError]] = {
    # of the JSON API; most reasons say no more than the status does, and 404 does not tell what is missing
    "rateLimitExceeded": ServerNotAvailable,  # with 403 as well as 429
    "userRateLimitExceeded": ServerNotAvailable,
    "backendError": ServerNotAvailable,
    "internalError": ServerNotAvailable,
    # of the XML API
    "NoSuchKey": BlobNotFound,
    "NoSuchBucket": BucketNotFound,
    "NoSuchUpload": ResourceNotFound,
    "AccessDenied": AuthorizationError,
    "BadDigest": IntegrityError,
    "InvalidDigest": IntegrityError,
    "CrcMismatch": IntegrityError,
    "SlowDown": ServerNotAvailable,
    "InternalError": ServerNotAvailable,
    "ServiceUnavailable": ServerNotAvailable,
}
_DAMAGED = re.compile(r"Provided (CRC32C|MD5 hash) .* doesn't match calculated ")
"""The JSON API has no code for it but `invalid`, which is every wrong argument."""


def parse_refusal(body: bytes) -> Refusal:
    """The reason or code, and the message, of an error; what a download is refused with is plain text."""
    try:
        error = json.loads(body)["error"]
        reasons = error.get("errors") or [{}]
        return Refusal(str(reasons[0].get("reason") or ""), str(error.get("message") or ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        refusal = parse_xml(body)
    if refusal.code or body.lstrip().startswith(b"<"):
        return refusal
    return Refusal("", body[:200].decode("utf-8", "replace").strip())


def tells_what_is_missing(refusal: Refusal) -> bool:
    """Whether a 404 says if it is the blob, the bucket or the upload that is not there."""
    return refusal.code in _BY_CODE


def error_for(status: int, refusal: Refusal, what: str, retry_after_seconds: float | None = None) -> NeuroError:
    """Our error for a refused request; `what` names the bucket and key."""
    kinds = {**_BY_CODE, refusal.code: IntegrityError} if _DAMAGED.match(refusal.message) else _BY_CODE
    return error_by(kinds, status, refusal, what, retry_after_seconds)
