"""What an S3 refusal becomes: the narrowest of our errors, naming what was asked and what the provider said."""

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
from neuro_sdk._stores.refusals import BY_STATUS, Refusal
from neuro_sdk._stores.s3_errors import BY_CODE, CLOCK_SKEW, STALE_CREDENTIALS, error_for

WHAT = "blob 'k' in bucket 'b'"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", BlobNotFound),
        (404, "NoSuchBucket", BucketNotFound),
        (404, "NoSuchUpload", ResourceNotFound),
        (400, "ExpiredToken", AuthenticationError),
        (403, "InvalidAccessKeyId", AuthenticationError),
        (403, "SignatureDoesNotMatch", AuthenticationError),
        (403, "RequestTimeTooSkewed", AuthenticationError),
        (403, "AccessDenied", AuthorizationError),
        (412, "PreconditionFailed", BlobChanged),
        (400, "BadDigest", IntegrityError),
        (400, "XAmzContentSHA256Mismatch", IntegrityError),
        (409, "OperationAborted", Conflict),
        (501, "NotImplemented", NotSupportedError),
        (503, "SlowDown", ServerNotAvailable),
        (500, "InternalError", ServerNotAvailable),
        (400, "RequestTimeout", ServerNotAvailable),
        (400, "KeyTooLongError", IllegalArgumentError),
        (409, "BucketNotEmpty", Conflict),
        (503, "XMinioServerNotInitialized", ServerNotAvailable),
    ],
)
def test_a_code_says_more_than_its_status(status: int, code: str, kind: type[NeuroError]) -> None:
    error = error_for(status, Refusal(code, "It said so."), WHAT)
    assert error.__class__ is kind
    assert str(error).startswith(f"{WHAT}: ")
    assert f"({code}: It said so.)" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, IllegalArgumentError),
        (401, AuthenticationError),
        (403, AuthorizationError),
        (404, BlobNotFound),
        (405, NotSupportedError),
        (409, Conflict),
        (412, BlobChanged),
        (429, ServerNotAvailable),
        (500, ServerNotAvailable),
        (502, ServerNotAvailable),
        (503, ServerNotAvailable),
        (504, ServerNotAvailable),
        (200, BadGateway),
        (301, BadGateway),
        (418, BadGateway),
    ],
)
def test_without_a_code_the_status_decides(status: int, kind: type[NeuroError]) -> None:
    error = error_for(status, Refusal("", ""), WHAT)
    assert isinstance(error, kind)
    assert f"status {status}" in str(error)


def test_one_key_that_a_batch_refuses_is_refused_and_not_a_bad_gateway() -> None:
    assert error_for(200, Refusal("InvalidRequest", "No."), WHAT).__class__ is IllegalArgumentError
    assert error_for(200, Refusal("AccessDenied", "No."), WHAT).__class__ is AuthorizationError
    assert error_for(200, Refusal("InternalError", "Oops."), WHAT).__class__ is ServerNotAvailable


def test_what_the_provider_asks_to_wait_is_kept() -> None:
    error = error_for(503, Refusal("SlowDown", ""), WHAT, retry_after_seconds=7)
    assert isinstance(error, ServerNotAvailable)
    assert error.retry_after_seconds == 7


def test_every_row_of_the_tables_has_its_words() -> None:
    for code in BY_CODE:
        assert "()" not in str(error_for(400, Refusal(code, ""), WHAT))
    for status in BY_STATUS:
        assert str(error_for(status, Refusal("", ""), WHAT)) != WHAT


def test_what_new_credentials_or_another_clock_would_mend_is_an_authentication_error() -> None:
    for code in STALE_CREDENTIALS | CLOCK_SKEW:
        assert isinstance(error_for(403, Refusal(code, ""), WHAT), AuthenticationError)
