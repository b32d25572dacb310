"""A command group that knows its commands by name and imports one only when it is run.

The commands of other packages come from the entry-point group `neuro.commands`. Finding them costs more than most
commands need to start, so it happens only for a name that is not built in, and for the list in `--help`.
"""

import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import click

from ._errors import advise

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGINS = "neuro.commands"
_SERVICE = {
    "up": "Run the service with its storage engine on this machine.",
    "serve": "Run the service over a storage that runs elsewhere.",
    "token": "Make and revoke the tokens that users log in with.",
    "key": "The key that seals secrets in the service's database.",
    "admin": "Who there is, and who may do what.",
}
"""What the service package adds, known here so that listing it imports nothing and reads no metadata."""


class Lazy(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    target: str
    summary: str

    def load(self) -> click.Command:
        """Import it."""
        module, _, name = self.target.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


class LazyGroup(click.Group):
    """A group of `Lazy` commands; `plugins=True` looks for more in the entry points."""

    def __init__(self, *, name: str, help: str, lazy: Mapping[str, Lazy], plugins: bool = False) -> None:
        super().__init__(name=name, help=help)
        self._lazy = lazy
        self._plugins = plugins

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Every name, in the order in which a newcomer meets them."""
        return [*self._lazy, *(name for name in self._plugged if name not in self._lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name, if there is one."""
        if cmd_name in self._lazy:
            return self._lazy[cmd_name].load()
        return self._load_plugin(cmd_name) if self._plugins and not cmd_name.startswith("-") else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for a name that is nearly right."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(ctx), n=1)
            meant = f", did you mean '{ctx.command_path} {near[0]}'?" if near else ""
            raise click.UsageError(f"'{ctx.command_path}' has no command '{name}'{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(name)) for name in self.list_commands(ctx)])

    def _summary(self, name: str) -> str:
        if name in self._lazy:
            return self._lazy[name].summary
        dist = self._plugged[name].dist
        return _SERVICE.get(name) or f"Added by {dist.name if dist else 'another package'}."

    @cached_property
    def _plugged(self) -> Mapping[str, "EntryPoint"]:
        """The commands of other packages. Looked for once: a file of every installed package is read for it."""
        if not self._plugins:
            return {}
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=PLUGINS)}

    def _load_plugin(self, name: str) -> click.Command | None:
        from importlib.metadata import entry_points

        for point in entry_points(group=PLUGINS, name=name):
            try:
                command = point.load()
            except ModuleNotFoundError as error:
                raise _not_installed(name, error.name) from error
            assert isinstance(command, click.Command)
            return command
        if name in _SERVICE:
            raise _not_installed(name, None)
        return None


def _not_installed(name: str, missing: str | None) -> click.ClickException:
    because = f" ({missing} is missing)" if missing else ""
    if name in _SERVICE:
        error = click.UsageError(f"'neuro {name}' needs the service, which is not installed here{because}")
        return advise(error, "pip install 'neuro-buckets[service,engine]'")
    return click.UsageError(f"'neuro {name}' comes from a package that is not installed whole{because}")
