"""`neuro blob lsshares`."""

import click

import neuro_sdk
from neuro_cli import _options, _output
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client


@click.command()
@click.argument("bucket")
@_options.cluster
@_options.owner
@_options.as_json
def lsshares(bucket: str, cluster_name: str | None, bucket_owner: str | None, as_json: bool) -> None:
    """List whom BUCKET is shared with, and as what."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        for one in await client.buckets.shares(name, cluster_name, bucket_owner):
            if as_json:
                _output.data_json({"user": one.user, "role": one.role.value})
            else:
                _output.data(f"{one.user}  {one.role}")

    with_client(act)
