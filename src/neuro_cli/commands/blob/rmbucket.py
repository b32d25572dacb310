"""`neuro blob rmbucket`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _progress
from neuro_cli._address import bucket_name
from neuro_cli._errors import advise
from neuro_cli._session import for_each, with_client
from neuro_sdk import Conflict


@click.command()
@click.argument("buckets", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Delete the blobs in them first.")
@_options.cluster
@_options.owner
@_options.quiet
def rmbucket(
    buckets: tuple[str, ...], force: bool, cluster_name: str | None, bucket_owner: str | None, quiet: bool
) -> None:
    """Remove BUCKETS, given by name or id. They have to be empty, unless --force is given."""
    names = [bucket_name(text) for text in buckets]

    async def act(client: neuro_sdk.Client) -> None:
        async def remove(name: str) -> None:
            bucket = await client.buckets.get(name, cluster_name, bucket_owner)
            if force:
                with _progress.DeleteProgress("deleted", "blob", _progress.display(quiet=quiet)) as progress:
                    await client.buckets.blob_rm(bucket.uri, recursive=True, progress=progress)
            try:
                await client.buckets.rm(bucket.id, bucket.cluster_name)
            except Conflict as error:
                raise advise(
                    error, f"neuro blob rmbucket --force {name}, which deletes the blobs in it first"
                ) from None
            if not quiet:
                _output.note(f"removed bucket {name}")

        await for_each(names, remove)

    with_client(act)
