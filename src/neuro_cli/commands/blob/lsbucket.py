"""`neuro blob lsbucket`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._address import reader_of
from neuro_cli._session import with_client
from neuro_sdk import Bucket


@click.command()
@click.option("-l", "long", is_flag=True, help="More columns.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only, one a line.")
@_options.cluster
@_options.as_json
def lsbucket(long: bool, quiet: bool, cluster_name: str | None, as_json: bool) -> None:
    """List the buckets that you can see."""

    async def act(client: neuro_sdk.Client) -> None:
        reader = await reader_of(client)
        rows: list[Bucket] = []
        async with client.buckets.list(cluster_name) as buckets:
            async for bucket in buckets:
                if as_json:
                    _output.data_json(_show.bucket_json(reader, bucket))
                elif quiet:
                    _output.data(bucket.id)
                else:
                    rows.append(bucket)  # a table is as wide as its widest row
        if not as_json and not quiet:
            for line in _show.bucket_table(reader, rows, long=long):
                _output.data(line)

    with_client(act)
