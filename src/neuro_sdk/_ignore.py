"""Ignore files, as `.gitignore` has them: which paths of an upload they leave out. Matching is pathspec's."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import ArgumentTypeError, IllegalArgumentError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec, RegexPattern


_LAST_TABS = re.compile(r"\t(?=[ \t]*$)")  # git keeps them, pathspec cuts them off with the blanks


class IgnoreRules:
    """The rules of one directory and of all above it; the last rule that matches wins, deeper files after higher ones."""

    def __init__(self, file_names: Sequence[str], specs: "Sequence[tuple[Path, GitIgnoreSpec]]") -> None:
        self._names = file_names
        self._specs = specs

    @classmethod
    def of(cls, root: Path, file_names: AbstractSet[str]) -> "IgnoreRules":
        """The rules that hold in `root`."""
        given: object = file_names
        if isinstance(given, str):  # a set of its letters is never meant
            raise ArgumentTypeError(f"ignore_file_names is a set of names, not the str {given!r}")
        rules = cls(sorted(file_names), ())
        for directory in (*reversed(root.parents), root):
            rules = rules.inside(directory)
        return rules

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._specs)

    def inside(self, directory: Path) -> "IgnoreRules":
        """The rules in one directory further down."""
        found = [(directory, spec) for name in self._names if (spec := _read(directory / name)) is not None]
        return IgnoreRules(self._names, (*self._specs, *found)) if found else self

    def verdict(self, path: Path, *, is_dir: bool) -> bool | None:
        """True: left out. False: taken by a `!` rule. None: no rule speaks of it."""
        found: bool | None = None
        for directory, spec in self._specs:
            relative = path.relative_to(directory).as_posix() + ("/" if is_dir else "")
            for pattern in spec.patterns:
                if pattern.include is not None and _names(pattern, relative):
                    found = pattern.include
        return found


def _names(pattern: "RegexPattern", relative: str) -> bool:
    # pathspec lets a rule for a directory speak of all that is below, so that `!dir/` would take what another rule leaves out in there. A
    # walk asks about each directory on the way, so here, as in git, a rule speaks of what it names only, and `dir/**` not of `dir/`.
    for found in pattern.regex.finditer(relative) if pattern.regex else ():
        if "ps_d" in found.re.groupindex:
            if found.start("ps_d") in {-1, len(relative) - 1}:
                return True
        elif found.end() < len(relative) or not relative.endswith("/"):
            return True
    return False


def _read(file: Path) -> "GitIgnoreSpec | None":
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise IllegalArgumentError(f"the ignore file {file} is not UTF-8") from error
    from pathspec import GitIgnoreSpec  # on first use: not every import of the SDK uploads a directory

    spec = GitIgnoreSpec([])
    for line in text.splitlines():
        with suppress(ValueError, re.error):  # as for git, a rule that cannot be read, like a lone `!`, matches nothing
            spec += GitIgnoreSpec.from_lines([_LAST_TABS.sub("[\t]", line)])
    return spec
