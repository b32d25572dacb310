"""`neuro blob set-bucket-publicity`."""

import click

import neuro_sdk
from neuro_cli import _options, _output
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client


@click.command("set-bucket-publicity")
@click.argument("bucket")
@click.argument("public_level", metavar="public|private", type=click.Choice(["public", "private"]))
@_options.cluster
@_options.owner
@_options.quiet
def set_bucket_publicity(
    bucket: str, public_level: str, cluster_name: str | None, bucket_owner: str | None, quiet: bool
) -> None:
    """Let everyone read BUCKET without logging in, or nobody else any more. Nobody else can ever write to it."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        changed = await client.buckets.set_public_access(name, public_level == "public", cluster_name, bucket_owner)
        if not quiet:
            _output.note(f"bucket {name} is {'public' if changed.public else 'private'} now")

    with_client(act)
