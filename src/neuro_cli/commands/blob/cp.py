"""`neuro blob cp`: its options, and which sources and destinations go together. The copying is in `_copy`."""

from collections.abc import Sequence

import click

import neuro_sdk
from neuro_cli import _address, _options, _progress
from neuro_cli._address import Address
from neuro_cli._choice import IGNORE_FILES, Choice, RuledCommand, typed_rules
from neuro_cli._errors import advise
from neuro_cli._session import with_client


@click.command(cls=RuledCommand)
@click.argument("paths", nargs=-1, metavar="SOURCES... DEST")
@click.option("-r", "--recursive", is_flag=True, help="Directories too, with all that is in them.")
@click.option("-t", "--target-directory", "into", metavar="DIR", help="Copy all SOURCES into DIR; no DEST is given.")
@click.option("-T", "--no-target-directory", "as_named", is_flag=True, help="To the name DEST, also if that is there.")
@click.option("-u", "--update", is_flag=True, help="Only what is newer than at the destination, or not there.")
@click.option(
    "--continue", "continue_", is_flag=True, help="Downloads: only what is missing of files that are there in part."
)
@click.option(
    "--exclude", metavar="PATTERN", multiple=True, expose_value=False, help="With -r: leave out what matches."
)
@click.option(
    "--include",
    metavar="PATTERN",
    multiple=True,
    expose_value=False,
    help="With -r: take what an --exclude before it leaves out. The last that matches counts.",
)
@click.option(
    "--exclude-from-files",
    "ignore_files",
    metavar="NAMES",
    default=IGNORE_FILES,
    show_default=True,
    help="Uploads with -r: names of files that leave out, as .gitignore does.",
)
@_options.globbing
@click.option(
    "-p/-P", "--progress/--no-progress", default=None, help="Whether to show how far it is; without, on terminals."
)
@_options.quiet
def cp(
    paths: tuple[str, ...],
    recursive: bool,
    into: str | None,
    as_named: bool,
    update: bool,
    continue_: bool,
    ignore_files: str,
    globbing: bool,
    progress: bool | None,
    quiet: bool,
) -> None:
    """Copy files to blobs, blobs to files, or blobs to blobs.

    \b
    neuro blob cp report.pdf blob:b/             to blob:b/report.pdf
    neuro blob cp -r photos blob:b/              to blob:b/photos/…
    neuro blob cp -r photos/ blob:b/2026/        what is in photos, to blob:b/2026/…
    neuro blob cp 'blob:b/logs/*.txt' ./here/
    neuro blob cp -r blob:b/logs blob:old/       to blob:old/logs/…, by the storage itself where it holds both
    tar c . | neuro blob cp - blob:b/all.tar     and back: neuro blob cp blob:b/all.tar - | tar x

    Into DEST if that is a directory or ends in '/', else to the name DEST. Patterns are those of .gitignore.
    """
    sources, dest = operands(paths, into, as_named=as_named)
    _check(sources, dest, recursive=recursive, update=update, continue_=continue_)
    choice = Choice(typed_rules(), frozenset(ignore_files.split()))
    if choice.rules and not recursive:
        raise click.UsageError("--exclude and --include choose what of a directory is copied: they need -r")
    done, noun = ("uploaded" if dest.is_blob else "downloaded"), "file"
    if dest.is_blob and any(source.is_blob for source in sources):
        done, noun = "copied", "blob"

    async def act(client: neuro_sdk.Client) -> None:
        from neuro_cli._copy import Copy

        display = _progress.display(quiet=quiet, progress=progress)
        with _progress.TransferProgress(done, noun, display) as shown:
            copy = Copy(client, dest, shown, choice, recursive, update, continue_, globbing, as_named)
            await copy.run(sources)

    with_client(act)


def operands(paths: Sequence[str], into: str | None, *, as_named: bool) -> tuple[list[Address], Address]:
    """The sources and the destination, which is the last one unless -t says it."""
    if into is not None and as_named:
        raise click.UsageError("Cannot combine --target-directory (-t) with --no-target-directory (-T)")
    if into is None:
        if not paths:
            raise click.UsageError('Missing argument "DESTINATION"')
        paths, dest = paths[:-1], paths[-1]
    else:
        dest = into if into.endswith("/") else f"{into}/"
        if into == "-":
            raise click.UsageError("'-' is one stream, and no directory: -t DIR")
    if not paths:
        raise click.UsageError('Missing argument "SOURCES..."')
    if as_named and len(paths) > 1:
        raise click.UsageError(f'Extra operand after "{paths[0]}": with -T one source goes to one name')
    return [_address.parse(path) for path in paths], _address.parse(dest)


def _check(sources: list[Address], dest: Address, *, recursive: bool, update: bool, continue_: bool) -> None:
    blobs = [source for source in sources if source.is_blob]
    if not dest.is_blob and len(blobs) < len(sources):
        raise advise(
            click.UsageError("one side has to be a blob, and both are local"), "blob:BUCKET/KEY for one of them"
        )
    if dest.is_blob and continue_:
        raise click.UsageError("--continue is for downloads; a large upload that broke off goes on by itself")
    streams = [address for address in (*sources, dest) if address.is_stream]
    if streams and (len(sources) > 1 or recursive or update or continue_):
        raise click.UsageError("'-' is one stream: no other source goes with it, and neither do -r, -u and --continue")
