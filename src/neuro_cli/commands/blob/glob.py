"""`neuro blob glob`."""

import click

import neuro_sdk
from neuro_cli import _address, _options, _output, _show
from neuro_cli._address import Address
from neuro_cli._match import matches
from neuro_cli._session import for_each, with_client


@click.command()
@click.argument("patterns", nargs=-1, required=True)
@_options.as_json
def glob(patterns: tuple[str, ...], as_json: bool) -> None:
    """List the blobs and folders that match PATTERNS.

    *, ? and [ stay within one part of a key, ** is any number of parts: 'blob:b/**/*.jpg'. Put them in quotes.
    """
    addresses = [_address.parse_blob(pattern) for pattern in patterns]

    async def act(client: neuro_sdk.Client) -> None:
        reader = await _address.reader_of(client)

        async def write(address: Address) -> None:
            async for entry in matches(client, address):
                if as_json:
                    _output.data_json(_show.entry_json(reader, entry))
                else:
                    _output.data(_address.shown_entry(reader, entry))

        await for_each(addresses, write)

    with_client(act)
