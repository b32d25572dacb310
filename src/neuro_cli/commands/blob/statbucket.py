"""`neuro blob statbucket`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._address import bucket_name, reader_of
from neuro_cli._session import with_client


@click.command()
@click.argument("bucket")
@_options.cluster
@_options.owner
@_options.as_json
def statbucket(bucket: str, cluster_name: str | None, bucket_owner: str | None, as_json: bool) -> None:
    """Show everything about BUCKET, given by name or id."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        found = await client.buckets.get(name, cluster_name, bucket_owner)
        reader = await reader_of(client)
        if as_json:
            _output.data_json(_show.bucket_json(reader, found))
        else:
            for line in _show.bucket_lines(reader, found):
                _output.data(line)

    with_client(act)
