"""`blob:` and `file:` addresses, decoded and encoded per component. Nothing else in the SDK parses a URL.

    blob:bucket/key                          mine, in the current cluster
    blob:/owner/bucket/key                   somebody's, in the current cluster
    blob://cluster/[org/]owner/bucket/key    complete; `owner` may be a project

Whether the first part of a complete address is an org only the control plane knows, so `BlobAddress` keeps the parts, and
`key_in` splits them once the bucket is known.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from ._errors import ArgumentTypeError, IllegalArgumentError

_NO_ORG = "NO_ORG"  # how the released SDKs write in an address that there is none
_KEY_SAFE = "/-._~!$&'()*+,;=:@"
_OWNER_AND_BUCKET = re.compile("[^/]+/[^/]")
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
            for head in (f"{org or _NO_ORG}/{owner}/{name}", f"{owner}/{name}"):
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
        raise ArgumentTypeError(f"a blob address must be a yarl.URL, not {type(uri).__name__}: URL('blob:bucket/key')")
    _check(uri, "blob")
    try:
        path = unquote_to_bytes(uri.raw_path).decode()
    except UnicodeDecodeError as error:
        raise IllegalArgumentError(f"{_shown(uri)} does not decode to UTF-8: a key is text") from error
    if uri.raw_host is not None:
        host_cluster, path = uri.host or "", path.removeprefix("/")
        form = "blob://cluster/[org/]owner/bucket/key"
    elif path.startswith("/"):
        host_cluster, path = cluster, path[1:]
        form = "blob:/owner/bucket/key"
    elif path.startswith("~"):
        raise IllegalArgumentError(
            f"Cannot expand a user in {_shown(uri)}: write blob:/owner/bucket/key for another's bucket"
        )
    else:
        host_cluster, path = cluster, f"{owner}/{path}"
        form = "blob:bucket/key"
    if not _OWNER_AND_BUCKET.match(path):
        raise IllegalArgumentError(f"{_shown(uri)} names no bucket: write {form}")
    return BlobAddress(host_cluster, f"{org}/{path}" if org and uri.raw_host is None else path)


def blob_uri(cluster: str, org: str | None, owner: str, bucket: str, key: str) -> URL:
    """The complete address of a key, or of the bucket when the key is empty. Parsing it gives exactly the key again.

    A key with a lone surrogate, which no storage can keep, has an address too: it can be shown, and parsing refuses it.
    """
    head = "/".join(quote(part, safe="") for part in (org, owner, bucket) if part)
    # A URL with a host loses its `.` and `..` segments to every parser that normalises; behind an encoded slash they survive.
    quoted = quote(key, safe=_KEY_SAFE, errors="surrogatepass")
    tail = _SLASH_BEFORE_DOTS.sub("%2F", f"/{quoted}") if key else ""
    return URL(f"blob://{cluster}/{head}{tail}", encoded=True)


def key_in_bucket(uri: URL, cluster: str, org: str | None, owner: str, names: Iterable[str | None]) -> str:
    """The key that `uri` names in the bucket that goes by any of `names`.

    Raises:
        IllegalArgumentError: it is not in that bucket.
    """
    address = parse_blob(uri, cluster, owner, org)
    here = address.cluster.lower() == cluster.lower()  # whoever parses a URL lowers its host
    key = address.key_in(org, owner, names) if here else None
    if key is None:
        raise IllegalArgumentError(f"{_shown(uri)} is not in the bucket {next(n for n in names if n)!r}")
    return key


def local_path(uri: URL) -> Path:
    """The local path of a `file:` address; relative ones are taken from the working directory. Symlinks stay, but behind a `..`.

    Bytes that are no UTF-8 are bytes of the file name, as everywhere in Python.

    Raises:
        IllegalArgumentError: another scheme, a host, a query or fragment, a `~`.
    """
    if not isinstance(uri, URL):
        raise ArgumentTypeError(f"a local address must be a yarl.URL, not {type(uri).__name__}: URL('file:///path')")
    _check(uri, "file")
    if uri.raw_host:
        raise IllegalArgumentError(f"{_shown(uri)} names a host: local files are file:///path or file:relative/path")
    path = os.fsdecode(unquote_to_bytes(uri.raw_path))
    if path.startswith("~"):
        raise IllegalArgumentError(f"Cannot expand a user in {_shown(uri)}: write the whole path")
    if "\0" in path:
        raise IllegalArgumentError(f"{_shown(uri)} holds a NUL, which no file name can")
    whole = Path.cwd() / path
    # With `..` in it, the directories that it is in could not be read off it.
    return whole.resolve() if ".." in whole.parts else whole


def file_uri(path: str | Path) -> URL:
    """The address of an absolute local path."""
    return URL("file://" + quote(os.fsencode(path), safe=_KEY_SAFE), encoded=True)


def _check(uri: URL, scheme: str) -> None:
    if uri.scheme != scheme:
        raise IllegalArgumentError(f"Invalid scheme '{uri.scheme}:' (only '{scheme}:' is allowed) in {_shown(uri)}")
    if uri.raw_user is not None or uri.raw_password is not None or uri.explicit_port is not None:
        raise IllegalArgumentError(f"an address holds no user, password or port: {_shown(uri)}")
    if uri.raw_query_string or uri.raw_fragment:
        raise IllegalArgumentError(
            f"an address has no query and no fragment, use %3F instead of '?' and %23 instead of '#': {str(uri)!r}"
        )


def _shown(uri: URL) -> str:
    # Only what an address may hold: a password, or the signature in the query of a signed URL, is for no message.
    authority = "" if uri.raw_host is None else f"//{uri.raw_host}"
    return repr(f"{uri.scheme}:{authority}{uri.raw_path}" if uri.scheme else uri.raw_path)
