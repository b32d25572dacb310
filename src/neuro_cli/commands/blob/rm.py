"""`neuro blob rm`."""

import click
from yarl import URL

import neuro_sdk
from neuro_cli import _address, _options, _progress
from neuro_cli._address import Address
from neuro_cli._match import matches
from neuro_cli._session import for_each, with_client

_AT_ONCE = 16


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Folders too, with all that is in them.")
@_options.globbing
@_options.quiet
@click.option("-p/-P", "--progress/--no-progress", "each", default=False, help="Whether to tell of each that is gone.")
def rm(paths: tuple[str, ...], recursive: bool, globbing: bool, quiet: bool, each: bool) -> None:
    """Remove the blobs at PATHS."""
    addresses = [_address.parse_blob(path) for path in paths]

    async def act(client: neuro_sdk.Client) -> None:
        with _progress.DeleteProgress("deleted", "blob", _progress.display(quiet=quiet), each=each) as progress:

            async def remove(url: URL) -> None:
                await client.buckets.blob_rm(url, recursive=recursive, progress=progress)

            async def remove_all(address: Address) -> None:
                if address.is_pattern and globbing:
                    urls = (entry.uri async for entry in matches(client, address))
                    await for_each(urls, remove, at_once=_AT_ONCE)
                else:
                    await remove(address.url)

            await for_each(addresses, remove_all, at_once=_AT_ONCE)

    with_client(act)
