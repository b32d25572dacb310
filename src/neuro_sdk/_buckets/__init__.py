"""`Client.buckets`: every public method, a few lines each. How anything is done stands in the rooms that these call.

The methods are cut by what they act on, one file a kind, over one `_base`.
"""

from types import FunctionType

from ._access import AccessCalls
from ._blobs import BlobCalls
from ._copies import CopyCalls
from ._files import FileCalls
from ._manage import ManageCalls

__all__ = ["Buckets"]


class Buckets(ManageCalls, AccessCalls, BlobCalls, FileCalls, CopyCalls):
    """Blob storage buckets, available as `Client.buckets`.

    A `bucket_id_or_name` is looked up in `cluster_name` (default: the current cluster) by id, or by name among the buckets of
    `bucket_owner` (default: the current user) or of `org_name` and `project_name`. Addresses are `yarl.URL`:
    `blob:bucket/key`, `blob:/owner/bucket/key`, `blob://cluster/[org/]owner/bucket/key`, percent-encoded, so `?` is `%3F`.

    A key is an opaque string, kept exactly or refused. Whatever replaces a blob or a file is all or nothing: a failed, cancelled or killed
    call leaves the old one. Directories are common beginnings of keys up to a `/`.

    Beside the errors that a method names, all may raise `AuthenticationError`, `AuthorizationError`, `BucketNotFound` and, after retries,
    `ServerNotAvailable`; a wrong argument is an `IllegalArgumentError` before anything is sent.
    """


# A method is called what users call it, in a `TypeError` for a wrong call too: `Buckets.get()`, not by the part that it stands in.
for _part in Buckets.__mro__[1:-1]:
    for _name, _method in vars(_part).items():
        if isinstance(_method, FunctionType):
            _method.__module__, _method.__qualname__ = __name__, f"Buckets.{_name}"
del _part, _name, _method
