"""`neuro blob mkbucket`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._address import reader_of
from neuro_cli._session import with_client


@click.command()
@click.option(
    "--name", help="3 to 40 of a-z, 0-9, _ and -, beginning with a letter; without it the bucket goes by its id."
)
@_options.cluster
@_options.as_json
def mkbucket(name: str | None, cluster_name: str | None, as_json: bool) -> None:
    """Make a bucket and show it."""

    async def act(client: neuro_sdk.Client) -> None:
        bucket = await client.buckets.create(name, cluster_name)
        reader = await reader_of(client)
        if as_json:
            _output.data_json(_show.bucket_json(reader, bucket))
        else:
            for line in _show.bucket_lines(reader, bucket):
                _output.data(line)

    with_client(act)
