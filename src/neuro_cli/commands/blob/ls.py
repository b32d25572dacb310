"""`neuro blob ls`: buckets, or what begins like a blob address."""

import errno

import click

from neuro_cli import _address, _format, _options, _output, _show
from neuro_cli._address import Address
from neuro_cli._session import for_each, with_client
from neuro_sdk import BucketEntry, Client


@click.command()
@click.argument("paths", nargs=-1)
@click.option("-l", "long", is_flag=True, help="Kind, size and date of each.")
@click.option("-h", "human", is_flag=True, help="With -l: sizes like 3.2 GiB.")
@click.option("-r", "recursive", is_flag=True, help="Everything below, and no folders.")
@_options.as_json
def ls(paths: tuple[str, ...], long: bool, human: bool, recursive: bool, as_json: bool) -> None:
    """List the blobs and folders that begin with PATHS; without any, your buckets.

    blob:b/photo lists what begins with 'photo', and blob:b/photo/ what is in that folder.
    """
    addresses = [_address.parse_blob(path) for path in paths]

    def write(client: Client, entry: BucketEntry) -> None:
        shown = _address.shown_entry(client, entry)
        if as_json:
            _output.data_json(_show.entry_json(client, entry))
        elif long and entry.is_dir():
            _output.data(_show.long_line("dir", "", entry.modified_at, shown))
        elif long:
            size = _format.size(entry.size) if human else str(entry.size)
            _output.data(_show.long_line("obj", size, entry.modified_at, shown))
        else:
            _output.data(shown)

    async def list_blobs(client: Client, address: Address) -> None:
        found = False
        async with client.buckets.list_blobs(address.url, recursive=recursive, limit=None) as entries:
            async for entry in entries:
                found = True
                write(client, entry)
        if not found and address.key_is_given:
            raise FileNotFoundError(errno.ENOENT, "nothing there begins like this", address.text)

    async def list_buckets(client: Client) -> None:
        async with client.buckets.list() as buckets:
            async for bucket in buckets:
                shown = _address.shown(client, bucket)
                if as_json:
                    _output.data_json(_show.bucket_json(client, bucket))
                else:
                    _output.data(_show.long_line("bucket", "", bucket.created_at, shown) if long else shown)

    async def act(client: Client) -> None:
        if addresses:
            await for_each(addresses, lambda address: list_blobs(client, address))
        else:
            await list_buckets(client)

    with_client(act)
