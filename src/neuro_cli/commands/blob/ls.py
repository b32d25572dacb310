"""`neuro blob ls`: buckets, or what begins like a blob address."""

import errno
from dataclasses import dataclass

import click
from yarl import URL

import neuro_sdk
from neuro_cli import _address, _format, _options, _output, _show
from neuro_cli._address import Address, Reader
from neuro_cli._match import matches
from neuro_cli._session import for_each, with_client
from neuro_sdk import BucketEntry


@click.command()
@click.argument("paths", nargs=-1)
@click.option("-l", "long", is_flag=True, help="Kind, size and date of each.")
@click.option("-h", "human", is_flag=True, help="With -l: sizes like 3.2 GiB.")
@click.option("-r", "recursive", is_flag=True, help="Everything below, and no folders.")
@_options.globbing
@_options.as_json
def ls(paths: tuple[str, ...], long: bool, human: bool, recursive: bool, globbing: bool, as_json: bool) -> None:
    """List the blobs and folders that begin with PATHS; without any, your buckets.

    blob:b/photo lists what begins with 'photo', blob:b/photo/ what is in that folder, 'blob:b/**/*.jpg' what matches.
    """
    addresses = [_address.parse_blob(path) for path in paths]
    listing = _Listing(long, human, recursive, as_json, globbing=globbing)

    async def act(client: neuro_sdk.Client) -> None:
        reader = await _address.reader_of(client)
        if addresses:
            await for_each(addresses, lambda address: listing.write_blobs(client, reader, address))
        else:
            await listing.write_buckets(client, reader)

    with_client(act)


@dataclass(frozen=True)
class _Listing:
    """How to list, and how to write it."""

    long: bool
    human: bool
    recursive: bool
    as_json: bool
    globbing: bool

    async def write_buckets(self, client: "neuro_sdk.Client", reader: Reader) -> None:
        """The buckets that this user can see."""
        async with client.buckets.list() as buckets:
            async for bucket in buckets:
                shown = _address.shown(reader, bucket)
                if self.as_json:
                    _output.data_json(_show.bucket_json(reader, bucket))
                else:
                    _output.data(_show.long_line("bucket", "", bucket.created_at, shown) if self.long else shown)

    async def write_blobs(self, client: "neuro_sdk.Client", reader: Reader, address: Address) -> None:
        """What begins like an address, or matches it."""
        if self.globbing and address.is_pattern:
            async for entry in matches(client, address):
                if self.recursive and entry.is_dir():
                    await self._write_beginning(client, reader, entry.uri)
                else:
                    self._write(reader, entry)
        elif not await self._write_beginning(client, reader, address.url) and address.key_is_given:
            raise FileNotFoundError(errno.ENOENT, "nothing there begins like this", address.text)

    async def _write_beginning(self, client: "neuro_sdk.Client", reader: Reader, url: URL) -> bool:
        found = False
        async with client.buckets.list_blobs(url, recursive=self.recursive, limit=None) as entries:
            async for entry in entries:
                found = True
                self._write(reader, entry)
        return found

    def _write(self, reader: Reader, entry: BucketEntry) -> None:
        shown = _address.shown_entry(reader, entry)
        if self.as_json:
            _output.data_json(_show.entry_json(reader, entry))
        elif self.long and entry.is_dir():
            _output.data(_show.long_line("dir", "", entry.modified_at, shown))
        elif self.long:
            size = _format.size(entry.size) if self.human else str(entry.size)
            _output.data(_show.long_line("obj", size, entry.modified_at, shown))
        else:
            _output.data(shown)
