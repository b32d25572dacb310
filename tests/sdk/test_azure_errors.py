"""What a refusal of Azure becomes: the narrowest of our errors, the same that S3 gets for the same fault."""

import pytest

from neuro_sdk import (
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
from neuro_sdk._stores import s3_errors
from neuro_sdk._stores.azure_errors import BY_CODE, CLOCK_SKEW, STALE_CREDENTIALS, error_for
from neuro_sdk._stores.refusals import Refusal

WHAT = "blob 'k' in bucket 'b'"


@pytest.mark.parametrize(
    ("status", "code", "kind", "as_s3"),
    [
        (404, "BlobNotFound", BlobNotFound, (404, "NoSuchKey")),
        (404, "ContainerNotFound", BucketNotFound, (404, "NoSuchBucket")),
        (409, "ContainerBeingDeleted", BucketNotFound, (404, "NoSuchBucket")),
        (400, "InvalidBlockList", ResourceNotFound, (404, "NoSuchUpload")),
        (403, "AuthenticationFailed", AuthenticationError, (403, "RequestTimeTooSkewed")),
        (401, "NoAuthenticationInformation", AuthenticationError, (403, "SignatureDoesNotMatch")),
        (403, "AuthorizationPermissionMismatch", AuthorizationError, (403, "AccessDenied")),
        (403, "AuthorizationFailure", AuthorizationError, (403, "AccessDenied")),
        (403, "InsufficientAccountPermissions", AuthorizationError, (403, "AccessDenied")),
        (412, "ConditionNotMet", BlobChanged, (412, "PreconditionFailed")),
        (412, "SourceConditionNotMet", BlobChanged, (412, "PreconditionFailed")),
        (412, "LeaseIdMissing", Conflict, (409, "OperationAborted")),
        (400, "Md5Mismatch", IntegrityError, (400, "BadDigest")),
        (413, "RequestBodyTooLarge", IllegalArgumentError, (400, "EntityTooLarge")),
        (400, "InvalidResourceName", IllegalArgumentError, (400, "InvalidRequest")),
        (409, "BlobImmutableDueToPolicy", Conflict, (409, "InvalidBucketState")),
        (409, "BlobArchived", NotSupportedError, (501, "NotImplemented")),
        (503, "ServerBusy", ServerNotAvailable, (503, "SlowDown")),
        (500, "InternalError", ServerNotAvailable, (500, "InternalError")),
        (500, "OperationTimedOut", ServerNotAvailable, (500, "InternalError")),
    ],
)
def test_a_code_is_the_error_that_s3_gets_for_the_same(
    status: int, code: str, kind: type[NeuroError], as_s3: tuple[int, str]
) -> None:
    error = error_for(status, Refusal(code, "It said so."), WHAT)
    assert error.__class__ is kind
    assert str(error).startswith(f"{WHAT}: ")
    assert f"({code}: It said so.)" in str(error)
    assert s3_errors.error_for(as_s3[0], Refusal(as_s3[1], ""), WHAT).__class__ is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, IllegalArgumentError), (403, AuthorizationError), (404, BlobNotFound), (412, BlobChanged), (503, ServerNotAvailable),
     (301, BadGateway)],
)  # fmt: skip
def test_without_a_code_the_status_decides(status: int, kind: type[NeuroError]) -> None:
    error = error_for(status, Refusal("", ""), WHAT)
    assert error.__class__ is kind
    assert f"status {status}" in str(error)


def test_every_row_of_the_table_has_its_words() -> None:
    for code in BY_CODE:
        assert "()" not in str(error_for(400, Refusal(code, ""), WHAT))


def test_what_new_credentials_or_another_clock_would_mend_is_about_who_asks() -> None:
    for code in STALE_CREDENTIALS | CLOCK_SKEW:
        assert isinstance(error_for(403, Refusal(code, ""), WHAT), AuthenticationError | AuthorizationError)


def test_what_the_provider_asks_to_wait_is_kept() -> None:
    error = error_for(503, Refusal("ServerBusy", ""), WHAT, retry_after_seconds=7)
    assert isinstance(error, ServerNotAvailable)
    assert error.retry_after_seconds == 7
