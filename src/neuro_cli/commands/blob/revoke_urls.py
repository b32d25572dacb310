"""`neuro blob revoke-urls`."""

import click

import neuro_sdk
from neuro_cli import _options, _output
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client


@click.command("revoke-urls")
@click.argument("bucket")
@_options.cluster
@_options.owner
@_options.quiet
def revoke_urls(bucket: str, cluster_name: str | None, bucket_owner: str | None, quiet: bool) -> None:
    """End every link that you have signed for blobs in BUCKET. Those that others have signed go on working."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        await client.buckets.revoke_signed_urls(name, cluster_name, bucket_owner)
        if not quiet:
            _output.note(f"no link that you have signed for bucket {name} works any more")

    with_client(act)
