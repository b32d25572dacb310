"""`neuro blob rmcredentials`."""

import click

import neuro_sdk
from neuro_cli import _options, _output
from neuro_cli._session import for_each, with_client


@click.command()
@click.argument("credentials", nargs=-1, required=True)
@_options.cluster
@_options.quiet
def rmcredentials(credentials: tuple[str, ...], cluster_name: str | None, quiet: bool) -> None:
    """Remove persistent CREDENTIALS, given by name or id. They open nothing from then on."""

    async def act(client: neuro_sdk.Client) -> None:
        async def remove(name: str) -> None:
            await client.buckets.persistent_credentials_rm(name, cluster_name)
            if not quiet:
                _output.note(f"removed credentials {name}")

        await for_each(credentials, remove)

    with_client(act)
