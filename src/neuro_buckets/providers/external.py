"""Buckets that were there before us, reached with credentials that a user has given. What is said to a provider is in its own file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers import external_azure, external_gcp, external_s3
from neuro_buckets.providers.endpoint_guard import EndpointGuard

PROVIDERS = (*external_s3.NEEDS_ENDPOINT, "azure", "gcp")
"""What can be imported from."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class ExternalBucket:
    """A bucket at a provider, and what opens it; the values never show in a repr."""

    provider: str
    values: Mapping[str, str] = field(repr=False)
    """The credentials map as clients want it, `bucket_name` included."""

    @classmethod
    def parse(cls, provider: str, bucket: str, credentials: Mapping[str, str]) -> "ExternalBucket":
        """What a user has given, checked as far as that goes without asking anybody.

        Raises:
            InvalidRequest: something is missing, unknown or cannot be meant.
        """
        if provider not in PROVIDERS:
            raise InvalidRequest(f"provider: {provider[:40]!r} is not known; the providers are {_names(PROVIDERS)}")
        if not _BUCKET.fullmatch(bucket):
            raise InvalidRequest(f"provider_bucket_name: {bucket[:80]!r} is not the name of a bucket")
        required, optional = _fields(provider)
        if missing := [name for name in required if not credentials.get(name)]:
            raise InvalidRequest(f"credentials: {_names(missing)} missing, which buckets of {provider!r} need")
        if unknown := sorted(set(credentials) - {*required, *optional}):
            raise InvalidRequest(
                f"credentials: {_names(name[:40] for name in unknown)} not known; known are {_names((*required, *optional))}"
            )
        if any(not text.isascii() or not text.isprintable() for text in credentials.values()):
            raise InvalidRequest("credentials: a value holds something that is not printable ASCII")
        values = {**{name: text for name, text in credentials.items() if text}, "bucket_name": bucket}
        match provider:
            case "azure":
                external_azure.complete(values)
            case "gcp":
                external_gcp.complete(values)
            case _:
                external_s3.complete(values)
        return cls(provider, values)

    def probe(self, guard: EndpointGuard) -> bool:
        """Whether the credentials can write, once it is known that they can list. Leaves nothing there. Blocks.

        Raises:
            InvalidRequest: they do not open the bucket; the message says why.
        """
        match self.provider:
            case "azure":
                return external_azure.probe(self.values, guard)
            case "gcp":
                return external_gcp.probe(self.values, guard)
            case _:
                return external_s3.probe(self.values, guard)

    def sign_url(self, key: str, expires_in_seconds: int, *, put: bool = False) -> str:
        """A URL with which anyone can GET or PUT the blob; asks nobody.

        Raises:
            InvalidRequest: a key that would be another address on the way, or at a provider that keeps keys as paths; or
                credentials that can sign nothing.
        """
        match self.provider:
            case "azure":
                return external_azure.sign_url(self.values, key, expires_in_seconds, put=put)
            case "gcp":
                return external_gcp.sign_url(self.values, key, expires_in_seconds, put=put)
            case _:
                return external_s3.sign_url(self.provider, self.values, key, expires_in_seconds, put=put)


def _fields(provider: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What must be given, and what may be."""
    match provider:
        case "azure":
            return external_azure.REQUIRED, external_azure.OPTIONAL
        case "gcp":
            return external_gcp.REQUIRED, external_gcp.OPTIONAL
        case _:
            endpoint = ("endpoint_url",) if external_s3.NEEDS_ENDPOINT[provider] else ()
            storage = ("storage",) if provider == "aws" else ()
            return (*external_s3.REQUIRED, *endpoint), (*external_s3.OPTIONAL, *storage)


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in dict.fromkeys(names))
