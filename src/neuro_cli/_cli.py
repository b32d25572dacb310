"""The tree of commands. Each is in a file of its own under `commands/`, imported when it is run."""

import click

from . import __version__
from ._group import Lazy, LazyGroup

cli = LazyGroup(
    name="neuro",
    help="Buckets on any blob storage, from one command line.",
    plugins=True,
    lazy={
        "login": Lazy("neuro_cli.commands.login:login", "Log in to a service, with a token."),
        "status": Lazy("neuro_cli.commands.status:status", "Say where you are logged in, and whether it answers."),
        "blob": Lazy("neuro_cli.commands.blob:blob", "Buckets and the blobs in them."),
    },
)
click.version_option(__version__, message="neuro %(version)s")(cli)
