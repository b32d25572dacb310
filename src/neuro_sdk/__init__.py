"""Buckets on any blob storage: `async with neuro_sdk.get() as client: client.buckets...`.

Every public name stands here; all else is private. What talks to servers is imported when it is first asked for: a program that
only names errors and values, or that shows its `--help`, does not pay for asyncio and TLS.
"""

import typing

from ._errors import (
    ArgumentTypeError,
    AuthenticationError,
    AuthError,
    AuthorizationError,
    BadGateway,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    ClientError,
    ConfigError,
    Conflict,
    ConnectionFailed,
    IllegalArgumentError,
    IntegrityError,
    NDJSONError,
    NeuroError,
    NotSupportedError,
    ResourceNotFound,
    ServerNotAvailable,
    ServerTimeout,
    TransferError,
)
from ._models import (
    BlobCommonPrefix,
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketRole,
    BucketShare,
    BucketUsage,
    PersistentBucketCredentials,
)
from ._progress import (
    AbstractDeleteProgress,
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

__version__ = "0.1.0"

__all__ = [
    "AbstractDeleteProgress",
    "AbstractFileProgress",
    "AbstractRecursiveFileProgress",
    "ArgumentTypeError",
    "AuthError",
    "AuthenticationError",
    "AuthorizationError",
    "BadGateway",
    "BlobChanged",
    "BlobCommonPrefix",
    "BlobNotFound",
    "BlobObject",
    "Bucket",
    "BucketCredentials",
    "BucketEntry",
    "BucketNotFound",
    "BucketRole",
    "BucketShare",
    "BucketUsage",
    "Buckets",
    "Client",
    "ClientError",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "IllegalArgumentError",
    "IntegrityError",
    "NDJSONError",
    "NeuroError",
    "NotSupportedError",
    "PersistentBucketCredentials",
    "ResourceNotFound",
    "ServerNotAvailable",
    "ServerTimeout",
    "StorageProgressComplete",
    "StorageProgressDelete",
    "StorageProgressEnterDir",
    "StorageProgressFail",
    "StorageProgressLeaveDir",
    "StorageProgressStart",
    "StorageProgressStep",
    "TransferError",
    "get",
    "login_with_token",
]

_ON_FIRST_USE = {"Buckets", "Client", "get", "login_with_token"}

if typing.TYPE_CHECKING:
    from ._buckets import Buckets
    from ._client import Client, get, login_with_token
else:  # hidden from type checkers, which would take it for a promise that every name is there

    def __getattr__(name: str) -> object:
        """Import what is in `_ON_FIRST_USE`; from then on it is an attribute like any other."""
        if name not in _ON_FIRST_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _client

        _settle(_ON_FIRST_USE, vars(_client))
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _settle(names: set[str], there: dict[str, typing.Any]) -> None:
    """Make this package the home of what is public: for reprs, tracebacks and pickles."""
    for name in names:
        public = globals()[name] = there[name]
        public.__module__ = __name__


_settle(set(__all__) - _ON_FIRST_USE, globals())
