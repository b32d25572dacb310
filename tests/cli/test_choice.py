"""What `--exclude` and `--include` choose, and in which order they are read."""

import pytest

from neuro_cli._choice import Choice, _rules_in


async def chosen(choice: Choice, *paths: str) -> list[str]:
    assert choice.wanted is not None
    return [path for path in paths if await choice.wanted(path)]


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        ([(False, "*.bin")], ["a.md", "build/", "build/b.md", "src/", "#c"]),
        ([(False, "*"), (True, "*.md")], ["a.md", "build/b.md"]),
        ([(True, "*.md"), (False, "*")], []),
        ([(False, "build/")], ["a.md", "a.bin", "build/b.md", "src/", "src/build.bin", "#c"]),
        ([(False, "*.bin"), (True, "src/")], ["a.md", "build/", "build/b.md", "src/", "#c"]),
        ([(False, "/a.*")], ["build/", "build/b.md", "src/", "src/build.bin", "#c"]),
        ([(False, "src/*.bin")], ["a.md", "a.bin", "build/", "build/b.md", "src/", "#c"]),
        ([(False, "#c")], ["a.md", "a.bin", "build/", "build/b.md", "src/", "src/build.bin"]),
    ],
)
async def test_the_last_rule_that_matches_counts(rules: list[tuple[bool, str]], taken: list[str]) -> None:
    paths = ["a.md", "a.bin", "build/", "build/b.md", "src/", "src/build.bin", "#c"]
    assert await chosen(Choice(rules), *paths) == taken


def test_without_rules_nothing_is_asked() -> None:
    assert Choice().wanted is None


def test_rules_keep_the_order_in_which_they_are_typed() -> None:
    typed = ["-r", "--exclude", "*", "a", "--include=x=y", "--exclude", "--", "b", "--", "--include", "no"]
    assert _rules_in(typed[:6]) == [(False, "*"), (True, "x=y"), (False, "")]
    assert _rules_in(["--include", "a", "--exclude", "b", "--include", "c"]) == [
        (True, "a"),
        (False, "b"),
        (True, "c"),
    ]
    assert _rules_in(["--exclude", "a", "--", "--include", "b"]) == [(False, "a")]
