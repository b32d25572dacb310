"""Copies that Google Cloud Storage makes by itself, within a bucket or between two. Source: "Objects: rewrite" of its JSON API."""

from neuro_sdk._errors import AuthorizationError, BlobChanged, BlobNotFound, IntegrityError

from .base import BlobInfo
from .gcs_json import FIELDS, parse_blob, parse_rewritten
from .gcs_wire import OBJECTS, GcsWire, quote_key


async def copy(wire: GcsWire, source: GcsWire, info: BlobInfo, key: str) -> bool:
    """See `BlobStore.copy`; `wire` is that of the bucket that `key` is in, and `source` that of the blob."""
    to, origin = await wire.current_endpoint(), await source.current_endpoint()
    if info.etag is None or (to.origin, to.path) != (origin.origin, origin.path):
        return False
    if (to.bucket, key) == (origin.bucket, info.key):
        await _check_still(source, info)
        return True
    path = f"/storage/v1/b/{quote_key(origin.bucket)}/o/{quote_key(info.key)}/rewriteTo/b/*/o/{quote_key(key)}"
    fixed = [
        ("ifSourceGenerationMatch", info.etag),
        ("sourceGeneration", info.etag),
    ]  # emulators look at the second only
    fixed.append(("fields", f"done,rewriteToken,resource({FIELDS})"))
    token: str | None = None
    while True:  # a large blob takes many requests, and is there when the last one is answered
        query = [*fixed, ("rewriteToken", token)] if token else fixed
        try:
            answer = await wire.request("POST", path, key, query=query)
        except AuthorizationError:
            return False  # each side with its own credentials may do what one cannot do for both
        except BlobChanged as error:
            raise BlobChanged(f"{source.what(info.key)}: another blob is there now") from error
        except BlobNotFound:
            await _check_still(source, info)
            raise
        rewritten = parse_rewritten(answer.body)
        if rewritten.blob is not None:
            if rewritten.blob.size != info.size:
                raise IntegrityError(
                    f"{wire.what(key)}: the provider copied {rewritten.blob.size} of {info.size} bytes"
                )
            return True
        token = rewritten.token


async def _check_still(source: GcsWire, info: BlobInfo) -> None:
    answer = await source.request("GET", f"{OBJECTS}/{quote_key(info.key)}", info.key, query=[("fields", FIELDS)])
    if parse_blob(answer.body).etag != info.etag:
        raise BlobChanged(f"{source.what(info.key)}: another blob is there now")
