"""`blob:` and `file:` addresses, decoded and encoded per component. Nothing else in the SDK parses a URL.

    blob:bucket/key                          mine, in the current cluster
    blob:/owner/bucket/key                   somebody's, in the current cluster
    blob://cluster/[org/]owner/bucket/key    complete; `owner` may be a project

Whether the first part of a complete address is an org only the control plane knows, so `BlobAddress` keeps the parts, and
`key_in` splits them once the bucket is known.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from ._errors import IllegalArgumentError

_KEY_SAFE = "/-._~!$&'()*+,;=:@"
_SLASH_BEFORE_DOTS = re.compile(r"/(?=\.{1,2}(?:/|$))")


@dataclass(frozen=True, slots=True)
class BlobAddress:
    """A parsed `blob:` address: which cluster, and the decoded path below it, beginning with the owner (and perhaps an org)."""

    cluster: str
    path: str
    """Decoded. `[org/]owner/bucket[/key]`, no leading slash; the part after the bucket is the key as it is."""

    def key_in(self, org: str | None, owner: str, names: Iterable[str | None]) -> str | None:
        """The key, if this address is in that bucket; None if it is not. "" is the bucket itself."""
        for name in names:
            if name is None:
                continue
            for head in ([f"{org}/{owner}/{name}"] if org else []) + [f"{owner}/{name}"]:
                if self.path == head:
                    return ""
                if self.path.startswith(head + "/"):
                    return self.path[len(head) + 1 :]
        return None


def parse_blob(uri: URL, cluster: str, owner: str, org: str | None = None) -> BlobAddress:
    """Parse a `blob:` address; `cluster`, `owner` and `org` stand in for what it leaves out.

    Raises:
        IllegalArgumentError: another scheme, a query or fragment, a user or port, no bucket.
    """
    if not isinstance(uri, URL):
        raise IllegalArgumentError(
            f"a blob address must be a yarl.URL, not {type(uri).__name__}: URL('blob:bucket/key')"
        )
    if uri.scheme != "blob":
        raise IllegalArgumentError(f"Invalid scheme '{uri.scheme}:' (only 'blob:' is allowed) in {str(uri)!r}")
    _refuse_extras(uri)
    path = _decode(uri.raw_path, uri)
    if uri.raw_host is not None:
        host_cluster, path = uri.host or "", path.removeprefix("/")
        wanted = "[org/]owner/bucket"
        complete = path.count("/") >= 1 and not path.startswith("/")
    else:
        host_cluster = cluster
        if path.startswith("~"):
            raise IllegalArgumentError(
                f"Cannot expand a user in {str(uri)!r}: write blob:/owner/bucket/key for another's bucket"
            )
        if path.startswith("/"):
            path, wanted = path[1:], "owner/bucket"
            complete = path.count("/") >= 1 and not path.startswith("/")
        else:
            complete, wanted = bool(path) and not path.startswith("/"), "bucket"
            path = f"{owner}/{path}"
        if org:
            path = f"{org}/{path}"
    if not complete:
        raise IllegalArgumentError(
            f"{str(uri)!r} names no bucket: write {wanted} after 'blob:', as in blob:my-bucket/key"
        )
    return BlobAddress(host_cluster, path)


def blob_uri(cluster: str, org: str | None, owner: str, bucket: str, key: str) -> URL:
    """The complete address of a key, or of the bucket when the key is empty. Parsing it gives exactly the key again."""
    head = "/".join(quote(part, safe="") for part in (org, owner, bucket) if part)
    # A URL with a host loses its `.` and `..` segments to every parser that normalises; behind an encoded slash they survive.
    tail = _SLASH_BEFORE_DOTS.sub("%2F", "/" + quote(key, safe=_KEY_SAFE)) if key else ""
    return URL(f"blob://{cluster}/{head}{tail}", encoded=True)


def key_in_bucket(uri: URL, cluster: str, org: str | None, owner: str, names: Iterable[str | None]) -> str:
    """The key that `uri` names in the bucket that goes by any of `names`.

    Raises:
        IllegalArgumentError: it is not in that bucket.
    """
    address = parse_blob(uri, cluster, owner, org)
    key = address.key_in(org, owner, names) if address.cluster == cluster else None
    if key is None:
        raise IllegalArgumentError(f"{str(uri)!r} is not in the bucket {str(next(n for n in names if n))!r}")
    return key


def local_path(uri: URL) -> Path:
    """The local path of a `file:` address; relative ones are taken from the working directory. Symlinks stay as they are.

    Raises:
        IllegalArgumentError: another scheme, a host, a query or fragment, a `~`.
    """
    if not isinstance(uri, URL):
        raise IllegalArgumentError(f"a local address must be a yarl.URL, not {type(uri).__name__}: URL('file:///path')")
    if uri.scheme != "file":
        raise IllegalArgumentError(f"Invalid scheme '{uri.scheme}:' (only 'file:' is allowed) in {str(uri)!r}")
    _refuse_extras(uri)
    if uri.raw_host:
        raise IllegalArgumentError(f"{str(uri)!r} names a host: local files are file:///path or file:relative/path")
    path = _decode(uri.raw_path, uri)
    if path.startswith("~"):
        raise IllegalArgumentError(f"Cannot expand a user in {str(uri)!r}: write the whole path")
    if "\0" in path:
        raise IllegalArgumentError(f"{str(uri)!r} holds a NUL, which no file name can")
    return Path.cwd() / path


def file_uri(path: str | Path) -> URL:
    """The address of an absolute local path."""
    return URL("file://" + quote(str(path).encode("utf-8", "surrogateescape"), safe=_KEY_SAFE), encoded=True)


def _refuse_extras(uri: URL) -> None:
    shown = repr(str(uri))
    if uri.raw_user is not None or uri.raw_password is not None or uri.explicit_port is not None:
        raise IllegalArgumentError(
            f"an address holds no user, password or port: {str(uri.with_user(None))!r}" if uri.raw_host else shown
        )
    if "?" in str(uri):
        raise IllegalArgumentError(f"an address has no query, use %3F instead of '?': {shown}")
    if "#" in str(uri):
        raise IllegalArgumentError(f"an address has no fragment, use %23 instead of '#': {shown}")


def _decode(raw_path: str, uri: URL) -> str:
    try:
        return unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError as error:
        raise IllegalArgumentError(f"{str(uri)!r} does not decode to UTF-8: a key is text") from error
