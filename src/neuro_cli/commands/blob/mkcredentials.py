"""`neuro blob mkcredentials`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client


@click.command()
@click.argument("buckets", nargs=-1, required=True)
@click.option("--name", help="What to call them; without it they go by their id.")
@click.option("--read-only", is_flag=True, help="They can read and list, and no more.")
@_options.cluster
@_options.owner
@_options.as_json
def mkcredentials(
    buckets: tuple[str, ...],
    name: str | None,
    read_only: bool,
    cluster_name: str | None,
    bucket_owner: str | None,
    as_json: bool,
) -> None:
    """Make credentials for BUCKETS, given by name or id, and show them. Any S3 tool takes them until they are removed."""
    names = [bucket_name(text) for text in buckets]

    async def act(client: neuro_sdk.Client) -> None:
        ids = [(await client.buckets.get(text, cluster_name, bucket_owner)).id for text in names]
        made = await client.buckets.persistent_credentials_create(ids, name, read_only, cluster_name)
        if as_json:
            _output.data_json(_show.credentials_json(made, secrets=True))
        else:
            for line in _show.credentials_lines(made):
                _output.data(line)

    with_client(act)
