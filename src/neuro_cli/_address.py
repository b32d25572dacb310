"""What users type for a blob or a file, and the URL that the SDK takes; and back again, for what is printed.

    blob:bucket/what ever?#.txt    a blob: all after the bucket is the key, `?` and `#` too; %XX is what it is in URLs
    ./dir, C, file:dir             local
    -                              stdin or stdout

Which bucket and key an address means, only the SDK and the service know.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import click
from yarl import URL

import neuro_sdk
from neuro_sdk import Bucket, BucketEntry, ResourceNotFound

from ._errors import advise

_SAFE = "/-._~!$&'()*+,;=:@%"
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_FOREIGN = re.compile(r"(?!file:|blob:)[a-z][a-z0-9+.-]*://|storage:")
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a command line. Exactly one of the three kinds."""

    text: str
    url: URL
    path: Path | None = None
    """Of a local file, absolute, and otherwise as it was typed."""

    @property
    def is_stream(self) -> bool:
        """stdin or stdout."""
        return self.text == "-"

    @property
    def is_blob(self) -> bool:
        """A blob, a folder of them, or a bucket."""
        return self.path is None and not self.is_stream

    @property
    def is_pattern(self) -> bool:
        """A blob address whose key part, as it was typed, holds a wildcard."""
        return self.is_blob and _MAGIC.search(self._typed_key) is not None

    @property
    def key_is_given(self) -> bool:
        """Whether it says more than the bucket."""
        return self._typed_key != ""

    @property
    def ends_in_slash(self) -> bool:
        """Whoever types that means a directory."""
        return self.text.endswith("/")

    @property
    def name(self) -> str:
        """The last part, which a copy gets too; "" where the contents are meant: `dir/`, `.`, `..`."""
        last = _decoded(self.url).rpartition("/")[2].removeprefix("blob:")
        return "" if self.path is not None and last in (".", "..") else last

    def under(self, name: str) -> URL:
        """The address of `name` in this directory."""
        if not name:
            return self.url
        return URL(f"{str(self.url).removesuffix('/')}/{quote(os.fsencode(name), safe='')}", encoded=True)

    @property
    def _typed_key(self) -> str:
        rest = self.text.removeprefix("blob:")
        parts_before = 4 if rest.startswith("//") else 3 if rest.startswith("/") else 1
        return "/".join(rest.split("/")[parts_before:])


def parse(text: str) -> Address:
    """Read an address of either side.

    Raises:
        click.UsageError: it is empty, or of some other storage.
    """
    if text == "-":
        return Address(text, URL("-"))
    if text.startswith("blob:"):
        return Address(text, URL("blob:" + _quoted(text.removeprefix("blob:")), encoded=True))
    if not text:
        raise click.UsageError("an address is empty")
    if _FOREIGN.match(text):
        scheme = text.partition(":")[0]
        raise advise(
            click.UsageError(f"'{scheme}:' addresses are not known here: {text}"),
            f"blob:BUCKET/KEY; for a local file of that name, ./{text}",
        )
    local = _local_part(text.removeprefix("file:")) if text.startswith("file:") else text
    # Not Path.absolute(): a trailing slash says that a directory is meant.
    absolute = os.path.join(Path.cwd(), local)
    return Address(
        text, URL("file://" + quote(os.fsencode(absolute), safe=_SAFE.replace("%", "")), encoded=True), Path(absolute)
    )


def parse_blob(text: str) -> Address:
    """Read an address where only blobs make sense.

    Raises:
        click.UsageError: it is local.
    """
    address = parse(text)
    if not address.is_blob:
        raise advise(
            click.UsageError(f"{text} is not the address of a blob"), f"blob:{text.lstrip('./') or 'BUCKET/KEY'}"
        )
    return address


def bucket_name(text: str) -> str:
    """A bucket's id or name, where an address does not fit.

    Raises:
        click.UsageError: it is an address.
    """
    if text.startswith("blob:"):
        name = text.removeprefix("blob:").strip("/").rpartition("/")[2]
        raise advise(
            click.UsageError(f"a bucket goes by its name or id here, not by an address: {text}"), name or "BUCKET"
        )
    return text


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads what is printed, and so needs no telling who and where that is."""

    user: str
    cluster: str


async def reader_of(client: "neuro_sdk.Client") -> Reader:
    """The one who is logged in, in the current cluster."""
    return Reader(client.username, await client.cluster_name())


def shown(reader: Reader, bucket: Bucket, key: str = "") -> str:
    """The shortest address for this reader. Typed again, it means this very blob, whatever its key."""
    name = bucket.name or bucket.id
    owner = bucket.project_name or bucket.owner
    if bucket.org_name or bucket.cluster_name != reader.cluster:
        head = str(bucket.uri)
    else:
        head = f"blob:{name}" if owner == reader.user else f"blob:/{owner}/{name}"
    return f"{head}/{''.join(map(_escaped, key))}" if key else head


def shown_entry(reader: Reader, entry: BucketEntry) -> str:
    """The same for something that a listing shows."""
    return shown(reader, entry.bucket, entry.key)


async def locate(client: "neuro_sdk.Client", address: Address) -> tuple[Bucket, str]:
    """The bucket and the key of a blob, for the calls that want them apart.

    Raises:
        click.UsageError: it names no single blob.
    """
    cluster = address.url.raw_host
    parts = [os.fsdecode(unquote_to_bytes(part)) for part in address.url.raw_path.split("/")]
    candidates: Iterable[tuple[str | None, str]] = [(None, parts[0])]
    if not parts[0]:
        # The first part of a complete address may be an org, which only the service knows.
        candidates = islice(pairwise(parts[1:]), 2 if cluster else 1)
    missing: ResourceNotFound | None = None
    for owner, name in candidates:
        try:
            bucket = await client.buckets.get(name, cluster, owner)
        except ResourceNotFound as error:
            missing = missing or error
            continue
        key = bucket.get_key_for_uri(address.url)
        if key and not key.endswith("/"):
            return bucket, key
    raise missing or advise(click.UsageError(f"{address.text} names no single blob"), f"{address.text.rstrip('/')}/KEY")


def _local_part(rest: str) -> str:
    """The path in a `file:` address, `//` and `%XX` taken away."""
    return os.fsdecode(unquote_to_bytes(re.sub(r"^//(?=/)", "", rest)))


def _quoted(text: str) -> str:
    raw = _STRAY_PERCENT.sub(b"%25", os.fsencode(text))
    return quote(raw, safe=_SAFE)


def _decoded(url: URL) -> str:
    return os.fsdecode(unquote_to_bytes(url.raw_path))


def _escaped(character: str) -> str:
    """Wildcards and `%` would be read as something else, and control characters would be obeyed by the terminal."""
    if character in "%*?[" or not character.isprintable():
        return quote(character, safe="")
    return character
