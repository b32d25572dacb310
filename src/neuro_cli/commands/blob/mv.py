"""`neuro blob mv`: its options, and which addresses it takes. The moving is in `_copy`, with the copying."""

import click

import neuro_sdk
from neuro_cli import _options, _progress
from neuro_cli._choice import Choice
from neuro_cli._errors import advise
from neuro_cli._session import with_client

from .cp import operands


@click.command()
@click.argument("paths", nargs=-1, metavar="SOURCES... DEST")
@click.option("-r", "--recursive", is_flag=True, help="Directories too, with all that is in them.")
@click.option("-t", "--target-directory", "into", metavar="DIR", help="Move all SOURCES into DIR; no DEST is given.")
@click.option("-T", "--no-target-directory", "as_named", is_flag=True, help="To the name DEST, also if that is there.")
@_options.globbing
@click.option(
    "-p/-P", "--progress/--no-progress", default=None, help="Whether to show how far it is; without, on terminals."
)
@_options.quiet
def mv(
    paths: tuple[str, ...],
    recursive: bool,
    into: str | None,
    as_named: bool,
    globbing: bool,
    progress: bool | None,
    quiet: bool,
) -> None:
    """Move blobs, within a bucket or to another.

    \b
    neuro blob mv blob:b/draft.txt blob:b/final.txt
    neuro blob mv -r blob:b/2025 blob:archive/        to blob:archive/2025/…
    neuro blob mv 'blob:b/*.log' blob:b/logs/

    Into DEST if that is a directory or ends in '/', else to the name DEST. Each blob is removed once its copy has
    been verified; after a failure or an interruption every blob is at its old place, or at its new one, or at both.
    """
    sources, dest = operands(paths, into, as_named=as_named)
    for address in (*sources, dest):
        if not address.is_blob:
            error = click.UsageError(f"mv moves blobs, and {address.text} is local")
            raise advise(error, "neuro blob cp, and then remove the source")

    async def act(client: neuro_sdk.Client) -> None:
        from neuro_cli._copy import Copy

        display = _progress.display(quiet=quiet, progress=progress)
        with _progress.TransferProgress("moved", "blob", display) as shown:
            copy = Copy(client, dest, shown, Choice(), recursive, False, False, globbing, as_named, move=True)
            await copy.run(sources)

    with_client(act)
