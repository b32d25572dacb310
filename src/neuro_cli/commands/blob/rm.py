"""`neuro blob rm`."""

import click

from neuro_cli import _address, _options, _progress
from neuro_cli._address import Address
from neuro_cli._session import for_each, with_client
from neuro_sdk import Client


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Folders too, with all that is in them.")
@_options.quiet
def rm(paths: tuple[str, ...], recursive: bool, quiet: bool) -> None:
    """Remove the blobs at PATHS."""
    addresses = [_address.parse_blob(path) for path in paths]

    async def act(client: Client) -> None:
        with _progress.DeleteProgress("deleted", "blob", _progress.display(quiet=quiet)) as progress:

            async def remove(address: Address) -> None:
                await client.buckets.blob_rm(address.url, recursive=recursive, progress=progress)

            await for_each(addresses, remove, at_once=8)

    with_client(act)
