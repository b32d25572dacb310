"""What of a directory is copied: the `--exclude` and `--include` of a command line, in their order, and ignore files.

A rule is read as a line of `.gitignore` is. The last one that matches counts; into a directory that is left out
nobody looks.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import click

IGNORE_FILES = ".apoloignore .neuroignore"
_TAKES = {"--exclude": False, "--include": True}
_META = __name__


@dataclass(frozen=True)
class Choice:
    """Which files and directories of a recursive copy are taken."""

    rules: Sequence[tuple[bool, str]] = ()
    """Whether to take what matches, and the pattern."""
    ignore_files: frozenset[str] = frozenset()

    @property
    def wanted(self) -> Callable[[str], Awaitable[bool]] | None:
        """The SDK's filter; None where everything is wanted."""
        if not self.rules:
            return None
        matchers = [(take, _matcher(pattern)) for take, pattern in reversed(self.rules)]

        async def wanted(path: str) -> bool:
            return next((take for take, matches in matchers if matches(path)), True)

        return wanted


class RuledCommand(click.Command):
    """A command whose `--exclude` and `--include` keep the order in which they are typed, which click forgets."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the rules, then read on as usual."""
        ctx.meta[_META] = _rules_in(args)
        return super().parse_args(ctx, args)


def typed_rules() -> Sequence[tuple[bool, str]]:
    """The rules of the command line that is being run."""
    rules: Sequence[tuple[bool, str]] = click.get_current_context().meta[_META]
    return rules


def _rules_in(args: Sequence[str]) -> list[tuple[bool, str]]:
    options = list(takewhile("--".__ne__, args))
    rules: list[tuple[bool, str]] = []
    for option, following in pairwise([*options, ""]):
        name, equals, value = option.partition("=")
        if name in _TAKES:
            rules.append((_TAKES[name], value if equals else following))
    return rules


def _matcher(pattern: str) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec

    anchored = "/" in pattern.rstrip("/")
    literal = f"\\{pattern}" if pattern.startswith(("!", "#")) else pattern
    try:
        spec = GitIgnoreSpec.from_lines([literal])
    except ValueError as error:
        raise click.UsageError(f"{pattern!r} is no pattern as .gitignore has them ({error})") from error

    def matches(path: str) -> bool:
        # By the name alone where it may be anywhere: a directory's rule is not one for all that is below.
        name = path if anchored else path.rstrip("/").rpartition("/")[2] + "/" * path.endswith("/")
        return spec.match_file(name)

    return matches
