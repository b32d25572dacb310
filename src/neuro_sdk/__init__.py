"""Buckets on any blob storage: `async with neuro_sdk.get() as client: client.buckets...`.

Every public name stands here; all else is private.
"""

from ._buckets import Buckets
from ._client import Client, get, login_with_token
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

for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
