"""`neuro blob share`."""

import click

import neuro_sdk
from neuro_cli import _options, _output
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client
from neuro_sdk import BucketRole


@click.command()
@click.argument("bucket")
@click.argument("user")
@click.argument("role", type=click.Choice([role.value for role in BucketRole]))
@_options.cluster
@_options.owner
@_options.quiet
def share(bucket: str, user: str, role: str, cluster_name: str | None, bucket_owner: str | None, quiet: bool) -> None:
    """Share BUCKET with USER, as reader, writer (of blobs) or manager (of the bucket too), instead of any role before."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        given = await client.buckets.share(name, user, role, cluster_name, bucket_owner)
        if not quiet:
            _output.note(f"{given.user} is {given.role} of bucket {name} now")

    with_client(act)
