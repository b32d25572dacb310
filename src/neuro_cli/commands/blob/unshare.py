"""`neuro blob unshare`."""

import click

import neuro_sdk
from neuro_cli import _options, _output
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client


@click.command()
@click.argument("bucket")
@click.argument("user")
@_options.cluster
@_options.owner
@_options.quiet
def unshare(bucket: str, user: str, cluster_name: str | None, bucket_owner: str | None, quiet: bool) -> None:
    """Share BUCKET with USER no longer. Credentials that they have already end within the hour."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        await client.buckets.unshare(name, user, cluster_name, bucket_owner)
        if not quiet:
            _output.note(f"bucket {name} is no longer shared with {user}")

    with_client(act)
