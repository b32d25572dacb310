"""The JSON of Google Cloud Storage: what it tells of blobs.

Source: the reference of its JSON API, resource "Objects".
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from neuro_sdk._errors import BadGateway

from .base import BlobInfo, Page

FIELDS = "name,size,generation,timeCreated"
"""Of an object; the provider leaves out all others."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """How far a copy at the provider is: to its end, or, with a token, so far that another request goes on with it."""

    token: str | None
    blob: BlobInfo | None


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadGateway(f"the storage answered {what} that cannot be read: {error!r}") from error


@_reading("the description of a blob")
def parse_blob(body: bytes) -> BlobInfo:
    """One object."""
    return _blob(json.loads(body))


@_reading("a listing")
def parse_page(body: bytes) -> tuple[Page, str | None]:
    """One page of a listing, and the token of the next one. A page may be empty, and others follow all the same."""
    page = json.loads(body)
    return Page([_blob(row) for row in page.get("items", ())], list(page.get("prefixes", ()))), page.get(
        "nextPageToken"
    ) or None


@_reading("the progress of a copy")
def parse_rewritten(body: bytes) -> Rewritten:
    """The answer to a rewrite."""
    answer = json.loads(body)
    if answer["done"]:
        return Rewritten(None, _blob(answer["resource"]))
    return Rewritten(str(answer["rewriteToken"]), None)


def _blob(row: Mapping[str, Any]) -> BlobInfo:
    # What is in a blob is never changed in place; `updated` moves when only something about it was changed.
    made_at = datetime.fromisoformat(row["timeCreated"])
    return BlobInfo(row["name"], int(row["size"]), made_at, made_at, row["generation"])
