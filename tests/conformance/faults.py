"""What can go wrong at a storage, what each provider answers then, and the one error that it is for us: the table of the same errors.

The answers are those of the providers' documentation:

- S3: "List of error codes", docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; of the wrong region, where the page has no words,
  github.com/s3fs-fuse/s3fs-fuse/issues/227. SeaweedFS and MinIO take its codes; `ErrTooManyRequest` and `InvalidTokenId` are their own.
- Azure: "Common REST API error codes" and "Blob Storage error codes", learn.microsoft.com/rest/api/storageservices; of a SAS that has
  ended, github.com/microsoft/AzureStorageExplorer/issues/3219.
- Google: docs.cloud.google.com/storage/docs/json_api/v1/status-codes; of damage, github.com/googleapis/python-storage/issues/1541.

docs/guides/errors.md publishes the table; `python -m tests.conformance.faults` writes it there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from neuro_buckets import errors as service
from neuro_sdk import (
    AuthenticationError,
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    ConnectionFailed,
    IntegrityError,
    NeuroError,
    ServerNotAvailable,
    _wire,
)

PAGE = Path(__file__).parents[2] / "docs/guides/errors.md"
BEGIN, END = "<!-- the faults: made by tests/conformance/faults.py -->", "<!-- the end of the faults -->"
S3, AZURE, GOOGLE = ("SeaweedFS", "AWS", "MinIO"), "Azure", "Google"
PROVIDERS = (*S3, AZURE, GOOGLE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal."""

    status: int
    code: str
    message: str
    lines: tuple[str, ...] = ()

    def headers(self, provider: str) -> dict[str, str]:
        """Beside the length of the body."""
        about = {"x-ms-error-code": self.code} if provider == AZURE else {}
        kind = "application/json" if provider == GOOGLE else "application/xml"
        return {"Content-Type": kind, **about, **dict(line.split(": ") for line in self.lines)}

    def body(self, provider: str) -> bytes:
        """In the words of the provider."""
        if provider == GOOGLE:
            errors = [{"domain": "global", "reason": self.code, "message": self.message}]
            return json.dumps({"error": {"code": self.status, "message": self.message, "errors": errors}}).encode()
        said = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{said}</Error>'.encode()


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. A provider without an answer has a reason."""

    name: str
    stored: type[NeuroError] | None
    """What the SDK raises when a storage answers so; None where no request for blobs is answered so."""
    says: str
    """Words of its message."""
    served: type[service.ServiceError] | None
    """What the control plane tells when its own request is answered so; None where it makes none."""
    answers: Mapping[str, Answer | str]

    @property
    def status(self) -> str:
        """Of the control plane's answer, and what the SDK raises then."""
        if self.served is None:
            return ""
        status = self.served.status
        return f"{status} `{type(_wire.error(status, b'', '')).__name__}`"


def _row(
    aws: Answer | str, azure: Answer | str, google: Answer | str, **others: Answer | str
) -> dict[str, Answer | str]:
    """All of S3 answers as AWS does, but for `others`."""
    return {**dict.fromkeys(S3, aws), AZURE: azure, GOOGLE: google, **others}


_UNSIGNED = Answer(
    403,
    "AuthenticationFailed",
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly.",
)
_NO_TOKEN = Answer(401, "authError", "Invalid Credentials")
_WRONG_REGION = Answer(
    400,
    "AuthorizationHeaderMalformed",
    "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
)
_ELSEWHERE = "requests name no region"
_DOWN = "no connection"

FAULTS = (
    Fault(
        "the blob is not there",
        BlobNotFound,
        "there is no such blob",
        None,
        _row(
            Answer(404, "NoSuchKey", "The specified key does not exist."),
            Answer(404, "BlobNotFound", "The specified blob does not exist."),
            Answer(404, "notFound", "No such object: at-provider/a/key"),
        ),
    ),
    Fault(
        "the bucket is not there",
        BucketNotFound,
        "the bucket is gone at its provider",
        service.NotFound,
        _row(
            Answer(404, "NoSuchBucket", "The specified bucket does not exist"),
            Answer(404, "ContainerNotFound", "The specified container does not exist."),
            Answer(404, "notFound", "The specified bucket does not exist."),
        ),
    ),
    Fault(
        "no permission",
        AuthorizationError,
        "the credentials do not allow this",
        service.ProviderUnavailable,
        _row(
            Answer(403, "AccessDenied", "Access Denied"),
            Answer(
                403,
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation using this permission.",
            ),
            Answer(403, "forbidden", "Permission 'storage.objects.get' denied on resource (or it may not exist)."),
        ),
    ),
    Fault(
        "wrong credentials",
        AuthenticationError,
        "the provider does not take the credentials",
        service.ProviderUnavailable,
        _row(
            Answer(403, "SignatureDoesNotMatch", "The request signature we calculated does not match."),
            _UNSIGNED,
            _NO_TOKEN,
        ),
    ),
    Fault(
        "expired credentials",
        AuthenticationError,
        "the provider does not take the credentials",
        service.ProviderUnavailable,
        _row(
            Answer(400, "ExpiredToken", "The provided token has expired."),
            _UNSIGNED,
            _NO_TOKEN,
            MinIO=Answer(403, "InvalidTokenId", "The security token included in the request is invalid"),
        ),
    ),
    Fault(
        "wrong region",
        AuthenticationError,
        "the bucket is in another region",
        service.ProviderUnavailable,
        _row(_WRONG_REGION, _ELSEWHERE, _ELSEWHERE, SeaweedFS="it takes any region"),
    ),
    Fault(
        "another region's server",
        AuthenticationError,
        "the bucket is in another region",
        service.ProviderUnavailable,
        _row(
            "there is one server",
            _ELSEWHERE,
            _ELSEWHERE,
            AWS=Answer(
                301,
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint.",
                ("x-amz-bucket-region: eu-central-1",),
            ),
        ),
    ),
    Fault(
        "a wrong clock, which the SDK could not correct",
        AuthenticationError,
        "the clock of this machine is wrong",
        service.ProviderUnavailable,
        _row(
            Answer(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            _UNSIGNED,
            "a token says no time",
        ),
    ),
    Fault(
        "the name is taken by somebody else",
        None,
        "belongs to somebody else",
        service.Conflict,
        _row(
            Answer(409, "BucketAlreadyExists", "The requested bucket name is not available."),
            "an account has its own names",
            Answer(409, "conflict", "Sorry, that name is not available. Please try a different one."),
        ),
    ),
    Fault(
        "the bucket is not empty",
        None,
        "is not empty; delete its blobs first",
        service.BucketNotEmpty,
        _row(
            Answer(409, "BucketNotEmpty", "The bucket you tried to delete is not empty."),
            "it would delete all; the service looks first",
            Answer(409, "conflict", "The bucket you tried to delete is not empty."),
        ),
    ),
    Fault(
        "another blob than was asked for",
        BlobChanged,
        "another blob is there now",
        None,
        _row(
            Answer(412, "PreconditionFailed", "At least one of the preconditions that you specified did not hold."),
            Answer(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."),
            Answer(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."),
        ),
    ),
    Fault(
        "damaged on the way",
        IntegrityError,
        "the bytes were damaged on the way",
        None,
        _row(
            Answer(400, "BadDigest", "The Content-MD5 you specified did not match what we received."),
            Answer(400, "Md5Mismatch", "The MD5 value specified in the request did not match the calculated value."),
            Answer(400, "invalid", 'Provided CRC32C "AAAAAA==" doesn\'t match calculated CRC32C "2HvlZg==".'),
        ),
    ),
    Fault(
        "throttled",
        ServerNotAvailable,
        "the provider cannot answer now; try again later",
        service.ProviderUnavailable,
        _row(
            Answer(503, "SlowDown", "Please reduce your request rate.", ("Retry-After: 7",)),
            Answer(503, "ServerBusy", "The server is currently unable to receive requests.", ("Retry-After: 7",)),
            Answer(
                429,
                "rateLimitExceeded",
                "The rate of requests to the bucket exceeds the rate limit. Please reduce it.",
                ("Retry-After: 7",),
            ),
            SeaweedFS=Answer(503, "ErrTooManyRequest", "Too many simultaneous request count", ("Retry-After: 7",)),
        ),
    ),
    Fault(
        "it cannot be reached",
        ConnectionFailed,
        "127.0.0.1",
        service.ProviderUnavailable,
        _row(_DOWN, _DOWN, _DOWN),
    ),
)


def fault(name: str) -> Fault:
    """The row of that name."""
    [found] = [row for row in FAULTS if row.name == name]
    return found


def table() -> Iterator[str]:
    """The page's part that is made, line by line."""
    yield f"| fault | of a storage, the SDK raises | the control plane answers | {' | '.join(PROVIDERS)} |"
    yield "|---" * (3 + len(PROVIDERS)) + "|"
    for row in FAULTS:
        stored = f"`{row.stored.__name__}`" if row.stored else ""
        cells = (_told(row.answers[provider]) for provider in PROVIDERS)
        yield f"| {row.name} | {stored} | {row.status} | {' | '.join(cells)} |"


def _told(answer: Answer | str) -> str:
    return answer if isinstance(answer, str) else f"{answer.status} `{answer.code}`"


def page() -> str:
    """The page as it must be."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n" + "\n".join(table()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
