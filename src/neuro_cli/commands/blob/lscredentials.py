"""`neuro blob lscredentials`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._session import with_client
from neuro_sdk import PersistentBucketCredentials


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Ids only, one a line.")
@_options.cluster
@_options.as_json
def lscredentials(quiet: bool, cluster_name: str | None, as_json: bool) -> None:
    """List your persistent credentials, without their secrets."""

    async def act(client: neuro_sdk.Client) -> None:
        rows: list[PersistentBucketCredentials] = []
        async with client.buckets.persistent_credentials_list(cluster_name) as found:
            async for one in found:
                if as_json:
                    _output.data_json(_show.credentials_json(one, secrets=False))
                elif quiet:
                    _output.data(one.id)
                else:
                    rows.append(one)
        if as_json or quiet:
            return
        names: dict[str, str] = {}
        async with client.buckets.list(cluster_name) as buckets:
            async for bucket in buckets:
                names[bucket.id] = bucket.name or bucket.id
        for line in _show.credentials_table(rows, names):
            _output.data(line)

    with_client(act)
