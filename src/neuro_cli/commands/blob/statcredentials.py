"""`neuro blob statcredentials`."""

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._session import with_client


@click.command()
@click.argument("credentials")
@_options.cluster
@_options.as_json
def statcredentials(credentials: str, cluster_name: str | None, as_json: bool) -> None:
    """Show the persistent CREDENTIALS of that name or id, with their secrets."""

    async def act(client: neuro_sdk.Client) -> None:
        found = await client.buckets.persistent_credentials_get(credentials, cluster_name)
        if as_json:
            _output.data_json(_show.credentials_json(found, secrets=True))
        else:
            for line in _show.credentials_lines(found):
                _output.data(line)

    with_client(act)
