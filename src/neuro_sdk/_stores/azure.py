"""A container of Azure Blob Storage: what each operation asks. How it is asked until it is answered is in `wire` and `azure_wire`.

Source of the operations: Azure Storage REST reference, Blob service.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import (
    AuthorizationError,
    BlobNotFound,
    IllegalArgumentError,
    NeuroError,
    NotSupportedError,
    ResourceNotFound,
)
from neuro_sdk._http import HttpClient
from neuro_sdk._models import Bucket

from . import azure_batch, azure_copy
from .at_hand import AtHand, Manner
from .azure_blocks import MARK, StoredUpload, aborted_id, begun_id, block_id, new_upload_id, uploads_of
from .azure_wire import AzureEndpoint, AzureWire
from .azure_xml import block_list, parse_blocks, parse_page
from .base import BlobInfo, BlobReader, BlobStore, Buffer, Page, Part, Upload
from .burst import StoreBurst
from .checksums import CONTENT_MD5, Pairs
from .credentials import Credentials
from .haul import StoreHaul
from .keys import check_azure_key
from .multipart import SINGLE_PUT_BYTES, chain, cut, put_in_parts
from .reader import Reader

_BLOCK_BLOB = [("x-ms-blob-type", "BlockBlob")]
_DELETES_AT_ONCE = 16


class AzureStore:
    """One open container.

    Uploads in parts are blocks that are not committed, of which a key has one set (`azure_blocks`). Whatever is stored under the key drops
    them all: of several uploads of one key the first that completes wins, and so does a plain put; completing any other raises
    `ResourceNotFound`, and changes nothing. Nothing but that drops blocks: what an aborted upload had sent stays, seen by nobody, until the
    key is written again or a week has passed.
    """

    def __init__(self, http: HttpClient, bucket: Bucket, credentials: Credentials, *, checksums: bool = True) -> None:
        self._checksum = CONTENT_MD5 if checksums else None
        self._wire = AzureWire(http, bucket.name or bucket.id, credentials)
        self._at_hand = AtHand(http, self._wire, Manner(check_azure_key, self._checksum, _part, _BLOCK_BLOB))

    def burst(self) -> StoreBurst[AzureEndpoint]:
        """See `BlobStore.burst`."""
        return StoreBurst(self._at_hand)

    def haul(self) -> StoreHaul[AzureEndpoint]:
        """See `BlobStore.haul`."""
        return StoreHaul(self._at_hand)

    async def head(self, key: str) -> BlobInfo:
        """See `BlobStore.head`."""
        check_azure_key(key)
        answer = await self._at_hand.ask("HEAD", key)
        if answer is None or answer.status != 200:
            answer = await self._wire.request("HEAD", key, first=answer)
        return self._wire.info_of(key, answer)

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> AsyncIterator[BlobReader]:
        """See `BlobStore.get`."""
        check_azure_key(key)
        async with AsyncExitStack() as connection:
            reader = Reader(self._wire, connection, key, start, stop, etag)
            whole = start == 0 and stop is None and etag is None
            first = await self._at_hand.ask_streamed(key, connection) if whole else None
            await reader.open(self._checksum, first)
            yield reader

    async def put(self, key: str, body: Buffer | AsyncIterator[bytes], *, size: int | None = None) -> None:
        """See `BlobStore.put`."""
        check_azure_key(key)
        parts = cut(body, size)
        first = await anext(parts, b"")
        second = await anext(parts, None) if len(first) >= SINGLE_PUT_BYTES else None
        if second is None:
            await self._wire.request("PUT", key, headers=[*self._sum(first), *_BLOCK_BLOB], body=first)
        else:
            begun = [first, second]
            del first, second  # or they would be held until all are stored
            await put_in_parts(self, key, chain(begun, parts), size)

    async def copy(self, source: BlobStore, info: BlobInfo, key: str) -> bool:
        """See `BlobStore.copy`. Also between accounts, where Azure may read the one for the other. Content type and metadata, which other
        tools may have set, are kept too."""
        check_azure_key(key)
        return isinstance(source, AzureStore) and await azure_copy.copy(self, self._wire, source.as_source(info), key)

    def as_source(self, info: BlobInfo) -> azure_copy.Source:
        """What the storage copies this blob from."""
        check_azure_key(info.key)
        return azure_copy.Source(self._wire, info)

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        check_azure_key(key)
        with suppress(BlobNotFound):  # Azure answers 404 where S3 answers 204
            await self._wire.request("DELETE", key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """See `BlobStore.delete_many`."""
        for key in keys:
            check_azure_key(key)
        failed: list[tuple[str, Exception]] = []
        left: list[str] = []
        for start in range(0, len(keys), azure_batch.AT_ONCE):
            batch = keys[start : start + azure_batch.AT_ONCE]
            done = await self._delete_batch(batch)
            left += [key for key in batch if key not in done]

        async def delete_one(key: str) -> None:
            try:
                await self.delete(key)
            except NeuroError as error:
                failed.append((key, error))

        await for_each(_each(left), delete_one, limit=_DELETES_AT_ONCE)
        return failed

    async def list(self, prefix: str = "", *, delimiter: str = "", page_size: int = 1000) -> AsyncGenerator[Page, None]:
        """See `BlobStore.list`."""
        fixed = [("restype", "container"), ("comp", "list"), ("maxresults", str(page_size))]
        fixed += [(name, value) for name, value in (("prefix", prefix), ("delimiter", delimiter)) if value]
        marker: str | None = None
        while True:
            query = [*fixed, ("marker", marker)] if marker else fixed
            page, marker = parse_page((await self._wire.request("GET", query=query)).body)
            yield page
            if marker is None:
                return

    async def begin(self, key: str) -> str:
        """See `BlobStore.begin`."""
        check_azure_key(key)
        upload_id = new_upload_id()
        await self._put_block(key, begun_id(upload_id), MARK)
        return upload_id

    async def list_uploads(self, key: str) -> Sequence[Upload]:
        """See `BlobStore.list_uploads`. Only those of this SDK can be told apart."""
        return [stored.upload for stored in (await self._uploads(key)).values() if not stored.aborted]

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """See `BlobStore.put_part`."""
        name = block_id(upload_id, number)
        await self._put_block(key, name, body)
        return Part(number, name, len(body))

    async def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """See `BlobStore.list_parts`."""
        stored = (await self._uploads(key)).get(upload_id)
        if stored is None or stored.aborted:
            raise self._gone(key)
        return [part for _, part in sorted(stored.parts.items())]

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """See `BlobStore.complete`."""
        names = [part.etag for part in parts]
        stored = (await self._uploads(key)).get(upload_id)
        if stored is None:
            if await self._committed(key) == names:
                return  # the first try had worked, and only its answer was lost
            raise self._gone(key)
        if stored.aborted:
            raise self._gone(key)
        if not {*names} <= {part.etag for part in stored.parts.values()}:
            raise IllegalArgumentError(f"{self._wire.what(key)}: its upload misses a part that was to complete it")
        await self._wire.request("PUT", key, query=[("comp", "blocklist")], body=block_list(names))

    async def abort(self, key: str, upload_id: str) -> None:
        """See `BlobStore.abort`. Its parts can no longer become a blob; when Azure drops them, the class says."""
        stored = (await self._uploads(key)).get(upload_id)
        if stored is not None and not stored.aborted:
            await self._put_block(key, aborted_id(upload_id), MARK)

    async def _put_block(self, key: str, name: str, body: Buffer) -> None:
        query = [("comp", "block"), ("blockid", name)]
        await self._wire.request("PUT", key, query=query, headers=self._sum(body), body=body)

    def _sum(self, body: Buffer) -> Pairs:
        return self._checksum.sent(body) if self._checksum is not None else ()

    async def _uploads(self, key: str) -> dict[str, StoredUpload]:
        return uploads_of((await self._blocks(key, "uncommitted"))[1])

    async def _committed(self, key: str) -> Sequence[str]:
        return [name for name, _ in (await self._blocks(key, "committed"))[0]]

    async def _blocks(self, key: str, kind: str) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]]:
        try:
            answer = await self._wire.request("GET", key, query=[("comp", "blocklist"), ("blocklisttype", kind)])
        except BlobNotFound:
            return [], []
        return parse_blocks(answer.body)

    async def _delete_batch(self, keys: Sequence[str]) -> set[str]:
        """Those that are gone beyond doubt; what is wrong with the others is learned by deleting each of them."""
        kind, body = azure_batch.deletion(await self._wire.current_endpoint(), keys)
        query = [("restype", "container"), ("comp", "batch")]
        try:
            answer = await self._wire.request("POST", query=query, headers=[("content-type", kind)], body=body)
        except (AuthorizationError, IllegalArgumentError, NotSupportedError):  # not every account takes batches
            return set()
        return azure_batch.deleted(answer.body, keys)

    def _gone(self, key: str) -> ResourceNotFound:
        return ResourceNotFound(
            f"{self._wire.what(key)}: the upload is gone: it was completed or aborted, or the key was written meanwhile"
        )


def _part(upload_id: str, number: int) -> tuple[Pairs, str]:
    name = block_id(upload_id, number)
    return [("comp", "block"), ("blockid", name)], name


async def _each(keys: Sequence[str]) -> AsyncIterator[str]:
    for key in keys:
        yield key
