"""`neuro blob cp`: its options, and which sources and destinations go together. The copying is in `_copy`."""

import click

from neuro_cli import _address, _options, _progress
from neuro_cli._address import Address
from neuro_cli._copy import Copy
from neuro_cli._errors import advise
from neuro_cli._session import with_client
from neuro_sdk import Client


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("dest")
@click.option("-r", "--recursive", is_flag=True, help="Directories too, with all that is in them.")
@click.option("-u", "--update", is_flag=True, help="Only what is newer than at the destination, or not there.")
@click.option(
    "--continue", "continue_", is_flag=True, help="Downloads: only what is missing of files that are there in part."
)
@_options.no_glob
@_options.quiet
def cp(
    sources: tuple[str, ...], dest: str, recursive: bool, update: bool, continue_: bool, no_glob: bool, quiet: bool
) -> None:
    """Copy files to blobs, or blobs to files.

    \b
    neuro blob cp report.pdf blob:b/             to blob:b/report.pdf
    neuro blob cp -r photos blob:b/              to blob:b/photos/…
    neuro blob cp -r photos/ blob:b/2026/        what is in photos, to blob:b/2026/…
    neuro blob cp 'blob:b/logs/*.txt' ./here/
    tar c . | neuro blob cp - blob:b/all.tar     and back: neuro blob cp blob:b/all.tar - | tar x

    Into DEST if that is a directory or ends in '/', else to the name DEST.
    """
    source_addresses, dest_address = [_address.parse(source) for source in sources], _address.parse(dest)
    _check(source_addresses, dest_address, recursive=recursive, update=update, continue_=continue_)
    uploads = dest_address.is_blob

    async def act(client: Client) -> None:
        display = _progress.display(quiet=quiet)
        with _progress.TransferProgress("uploaded" if uploads else "downloaded", "file", display) as progress:
            copy = Copy(client, dest_address, progress, recursive, update, continue_, globbing=not no_glob)
            await copy.run(source_addresses)

    with_client(act)


def _check(sources: list[Address], dest: Address, *, recursive: bool, update: bool, continue_: bool) -> None:
    blobs = [source for source in sources if source.is_blob]
    if dest.is_blob and blobs:
        raise advise(
            click.UsageError(f"copying from blob to blob is not there yet: {blobs[0].text} to {dest.text}"),
            "cp to a local file first, and from there to the other blob",
        )
    if not dest.is_blob and len(blobs) < len(sources):
        raise advise(
            click.UsageError("one side has to be a blob, and both are local"), "blob:BUCKET/KEY for one of them"
        )
    if dest.is_blob and continue_:
        raise click.UsageError("--continue is for downloads; an upload that broke off leaves nothing to continue from")
    streams = [address for address in (*sources, dest) if address.is_stream]
    if streams and (len(sources) > 1 or recursive or update or continue_):
        raise click.UsageError("'-' is one stream: no other source goes with it, and neither do -r, -u and --continue")
