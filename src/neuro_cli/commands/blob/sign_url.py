"""`neuro blob sign-url`."""

import click

import neuro_sdk
from neuro_cli import _address, _format, _options, _output
from neuro_cli._session import with_client


class Duration(click.ParamType[int]):
    """A time like `1d2h3m4s`, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it, or say how it is written."""
        try:
            return _format.parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("sign-url")
@click.argument("path")
@click.option(
    "--expires",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="TIME",
    help="How long it works, like 1d2h3m4s.",
)
@click.option("--put", is_flag=True, help="A link to write the blob with: curl -T FILE LINK.")
@_options.as_json
def sign_url(path: str, expires: int, put: bool, as_json: bool) -> None:
    """Make a link to the blob at PATH. Whoever has the link can read the blob until it expires, without logging in."""
    address = _address.parse_blob(path)

    async def act(client: neuro_sdk.Client) -> None:
        url = await client.buckets.make_signed_url(address.url, expires, put=put)
        if as_json:
            _output.data_json({"address": address.text, "url": str(url), "expires_in_seconds": expires})
        else:
            _output.data(str(url))

    with_client(act)
