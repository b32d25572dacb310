"""What a provider's refusal means, as far as all of them agree: by its status, and in which words.

What the codes of each mean is in its own `*_errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a provider says of why it does not do something; empty where it says nothing."""

    code: str
    message: str


BY_STATUS: Mapping[int, type[NeuroError]] = {
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
_CLOCK = "the clock of this machine is wrong; set it"
_REGION = "the bucket is in another region than its credentials say; whoever set it up or imported it must correct that"
_SAYS_OF: Mapping[str, str] = {
    "RequestTimeTooSkewed": _CLOCK,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
}
"""Of codes that say more than their kind of error."""


def error_by(
    kinds: Mapping[str, type[NeuroError]], status: int, refusal: Refusal, what: str, retry_after_seconds: float | None
) -> NeuroError:
    """Our error for a refused request, by the provider's own code where `kinds` has it; `what` names the bucket and key."""
    kind = kinds.get(refusal.code) or BY_STATUS.get(status, BadGateway)
    said = ": ".join(part for part in (refusal.code, refusal.message) if part) or f"status {status}"
    error = kind(f"{what}: {_SAYS_OF.get(refusal.code) or _SAYS[kind]} ({said})")
    if isinstance(error, ServerNotAvailable):
        error.retry_after_seconds = retry_after_seconds
    return error
