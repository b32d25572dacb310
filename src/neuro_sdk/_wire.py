"""What the control plane sends, read: JSON into models, a status into an error. No request is made here."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import cast

from ._errors import (
    ArgumentTypeError,
    AuthenticationError,
    AuthorizationError,
    BadGateway,
    BucketNotFound,
    ClientError,
    Conflict,
    IllegalArgumentError,
    NeuroError,
    ResourceNotFound,
    ServerNotAvailable,
)
from ._models import Bucket, BucketCredentials, BucketRole, BucketShare, PersistentBucketCredentials

JSON = Mapping[str, object]

_ERRORS: Mapping[int, type[NeuroError]] = {
    400: IllegalArgumentError,
    401: AuthenticationError,
    403: AuthorizationError,
    405: ClientError,
    409: Conflict,
    413: IllegalArgumentError,
    422: IllegalArgumentError,
    429: ServerNotAvailable,
    502: BadGateway,
    503: ServerNotAvailable,
    504: ServerNotAvailable,
}


def check_name(what: str, value: str) -> str:
    """Refuse what can name nothing.

    Raises:
        IllegalArgumentError: not text, or not valid Unicode.
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{what} is a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise IllegalArgumentError(f"{what} is not valid Unicode: {value!r}") from error
    return value


def parse_provider(value: str) -> Bucket.Provider:
    """The provider of that wire name.

    Raises:
        BadGateway: one that this release does not know.
    """
    try:
        return Bucket.Provider(value)
    except ValueError:
        raise BadGateway(
            f"the control plane knows a provider {value!r} that this release does not: upgrade neuro-buckets"
        ) from None


def bucket(row: object, cluster: str) -> Bucket:
    """A bucket of that cluster.

    Raises:
        BadGateway: it lacks something.
    """
    values = fields(row)
    try:
        org, name, project = (
            cast("str | None", values.get(field)) or None for field in ("org_name", "name", "project_name")
        )
        return Bucket(
            id=str(values["id"]),
            owner=str(values["owner"]),
            cluster_name=cluster,
            org_name=org,
            provider=parse_provider(str(values["provider"])),
            created_at=datetime.fromisoformat(str(values["created_at"])),
            imported=bool(values.get("imported", False)),
            public=bool(values.get("public", False)),
            name=name,
            project_name=project,
        )
    except (KeyError, ValueError) as fault:
        if isinstance(fault, NeuroError):
            raise
        raise BadGateway(f"the control plane sent a bucket that cannot be read: {fault!r}") from fault


def credentials(row: object) -> BucketCredentials:
    """Credentials for one bucket.

    Raises:
        BadGateway: they lack something.
    """
    values = fields(row)
    try:
        return BucketCredentials(
            str(values["bucket_id"]),
            parse_provider(str(values["provider"])),
            dict(cast("Mapping[str, str]", values["credentials"])),
        )
    except (KeyError, TypeError, ValueError) as fault:
        if isinstance(fault, NeuroError):
            raise
        raise BadGateway(  # its text could hold a secret
            f"the control plane sent credentials that cannot be read: {type(fault).__name__}"
        ) from None


def share(row: object) -> BucketShare:
    """A role that somebody was given.

    Raises:
        BadGateway: it lacks something.
    """
    values = fields(row)
    try:
        return BucketShare(str(values["user"]), BucketRole(values["role"]))
    except (KeyError, ValueError) as fault:
        raise BadGateway(f"the control plane sent a share that cannot be read: {fault!r}") from fault


def persistent_credentials(row: object, cluster: str) -> PersistentBucketCredentials:
    """Persistent credentials of that cluster.

    Raises:
        BadGateway: they lack something.
    """
    values = fields(row)
    try:
        return PersistentBucketCredentials(
            id=str(values["id"]),
            owner=str(values["owner"]),
            cluster_name=cluster,
            name=cast("str | None", values.get("name")) or None,
            read_only=bool(values.get("read_only", False)),
            credentials=[credentials(one) for one in cast("list[object]", values["credentials"])],
        )
    except (KeyError, TypeError) as fault:
        raise BadGateway(
            f"the control plane sent persistent credentials that cannot be read: {type(fault).__name__}"
        ) from None


def error(status: int, body: bytes, what: str, missing: type[ResourceNotFound] = BucketNotFound) -> NeuroError:
    """The error that a status stands for, about `what`; a 404 says that a `missing` is."""
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    said = payload.get("error") if isinstance(payload, dict) else None
    message = str(said or body[:300].decode("utf-8", "replace").strip() or f"status {status}")
    kind = missing if status == 404 else _ERRORS.get(status, BadGateway)
    if isinstance(payload, dict) and payload.get("code") == "under_way":  # our own request, whose answer was lost
        kind = ServerNotAvailable
    if what and status != 401 and not re.search("bucket|credentials", message, re.IGNORECASE):  # ours name it
        message = f"{what}: {message}"
    if issubclass(kind, IllegalArgumentError):
        return kind(message, payload)
    if kind is BadGateway:
        return BadGateway(f"{message} (status {status})")
    return kind(message)


def parse(data: bytes) -> object:
    """The JSON of an answer."""
    try:
        return cast("object", json.loads(data))
    except ValueError as error:
        raise BadGateway("the control plane answered something that is no JSON: is this its address?") from error


def rows(value: object) -> list[object]:
    """An answer that has to be a JSON array."""
    if not isinstance(value, list):
        raise BadGateway("the control plane answered something that is no JSON array: is this its address?")
    return value


def fields(value: object) -> JSON:
    """An answer that has to be a JSON object."""
    if not isinstance(value, dict):
        raise BadGateway("the control plane answered something that is no JSON object: is this its address?")
    return value


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of NDJSON, as they arrive."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
