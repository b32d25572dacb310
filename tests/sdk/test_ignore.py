"""Ignore files mean what `.gitignore` means: the rules one by one, and git itself as the judge of many made-up cases."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from neuro_sdk import IllegalArgumentError
from neuro_sdk._ignore import IgnoreRules

NAME = ".neuroignore"


def verdict(root: Path, relative: str, names: frozenset[str] = frozenset({NAME})) -> bool | None:
    """What the rules in `root` and below it say of one path, asked as a walk asks: directory by directory."""
    rules = IgnoreRules.of(root, names)
    *above, _ = relative.rstrip("/").split("/")
    directory = root
    for part in above:
        directory /= part
        rules = rules.inside(directory)
    return rules.verdict(root / relative.rstrip("/"), is_dir=relative.endswith("/"))


@pytest.mark.parametrize(
    ("text", "left_out", "taken"),
    [
        ("*.log", ["a.log", "deep/er/a.log", ".log"], ["a.log.txt", "alog"]),
        ("build", ["build", "build/", "deep/build"], ["builds", "a-build"]),
        ("build/", ["build/", "deep/build/"], ["build", "deep/build"]),
        ("/build", ["build", "build/"], ["deep/build"]),
        ("deep/build", ["deep/build"], ["build", "er/deep/build"]),
        ("deep/*.txt", ["deep/a.txt"], ["a.txt", "deep/er/a.txt", "er/deep/a.txt"]),
        ("**/er", ["er", "deep/er", "a/b/er"], ["err"]),
        ("deep/**", ["deep/a", "deep/er/a"], ["deep/", "deeper"]),
        ("deep/**/a", ["deep/a", "deep/er/a", "deep/er/er/a"], ["a", "deep/ba"]),
        ("?", ["a", "deep/b"], ["ab"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a]x", ["bx"], ["ax"]),
        ("# a comment\nb", ["b"], ["# a comment", "a"]),
        ("\\#a", ["#a"], ["a"]),
        ("\\!a", ["!a"], ["a"]),
        ("\n\n   \na", ["a"], ["b", "   "]),
        ("a \nb\\ ", ["a", "b "], ["a ", "b"]),
        ("a   ", ["a"], ["a "]),
        (" a", [" a"], ["a"]),
        ("a b", ["a b"], ["a", "b"]),
        ("a\t", ["a\t"], ["a"]),
        ("a\t \t  ", ["a\t \t"], ["a", "a\t"]),
        ("é", ["é"], ["e"]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_rule_leaves_out_and_does_not_speak_of_the_rest(
    tmp_path: Path, text: str, left_out: list[str], taken: list[str], end: str, mark: str
) -> None:
    (tmp_path / NAME).write_bytes((mark + text + "\n").replace("\n", end).encode())
    assert [path for path in left_out if verdict(tmp_path, path) is not True] == []
    assert [path for path in taken if verdict(tmp_path, path) is not None] == []


def test_an_exclamation_mark_takes_it_again_and_the_last_rule_wins(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("*.log\n!keep.log\n/keep.log\n")
    assert verdict(tmp_path, "a.log") is True
    assert verdict(tmp_path, "keep.log") is True
    assert verdict(tmp_path, "deep/keep.log") is False
    assert verdict(tmp_path, "a.txt") is None


def test_a_deeper_file_wins_over_a_higher_one(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / NAME).write_text("*.log\n!*.txt\n")
    (tmp_path / "deep" / NAME).write_text("!*.log\n*.txt\n/only-here\n")
    assert verdict(tmp_path, "a.log") is True
    assert verdict(tmp_path, "deep/a.log") is False
    assert verdict(tmp_path, "a.txt") is False
    assert verdict(tmp_path, "deep/er/a.txt") is True
    assert verdict(tmp_path, "deep/only-here") is True
    assert verdict(tmp_path, "only-here") is None


def test_files_above_the_root_hold_too_up_to_the_top(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "c"
    root.mkdir(parents=True)
    (tmp_path / NAME).write_text("*.log\n/a/b/c/anchored\nb/c/x\n/a/b/d\n")
    (tmp_path / "a" / NAME).write_text("b/c/deep/\n")
    assert verdict(root, "x.log") is True
    assert verdict(root, "anchored") is True
    assert verdict(root, "deep/") is True
    assert verdict(root, "deep") is None
    assert verdict(root, "x") is None
    assert verdict(root, "d") is None


def test_every_name_that_was_given_is_read_and_no_other(tmp_path: Path) -> None:
    (tmp_path / ".first").write_text("a\n")
    (tmp_path / ".second").write_text("b\n")
    (tmp_path / ".gitignore").write_text("c\n")
    names = frozenset({".first", ".second"})
    assert [verdict(tmp_path, path, names) for path in "abc"] == [True, True, None]
    assert [verdict(tmp_path, path, frozenset()) for path in "abc"] == [None, None, None]


def test_a_directory_of_that_name_is_no_ignore_file(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert verdict(tmp_path, "a") is None


@pytest.mark.parametrize("text", ["[", "a[", "/", "//", "!!a", "/**/", "\0", "!", "\\", "a\\"])
def test_an_odd_rule_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(f"{text}\nlast\n")
    assert verdict(tmp_path, "last") is True


def test_an_ignore_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\xfe\n")
    with pytest.raises(IllegalArgumentError) as caught:
        IgnoreRules.of(tmp_path, {NAME})
    assert str(tmp_path / NAME) in str(caught.value)


PIECES = [
    "a", "b", "ab", "*", "?", "a*", "*.x", "a.x", "[ab]", "d", "d e", "\\*", ".h", "*b*", "?*",
    "[a-c]?", "*a*a",
]  # fmt: skip
FILES = [
    "a", "b", "ab", "a.x", "d/a", "d/b.x", "d/ab/a", "d/ab/b.x", "d/ab/d/a", "d/d/a.x", ".h", "d/.h/a", "*", "d e/a", "x/*", "x/y/a.x",
    "]", "d/-", "b ", "d/a ", "#a", "!a", "aaab",
]  # fmt: skip


# Left out are forms in which pathspec, whose rules ours are, is known to differ from git: `**`, classes that are odd.
def made_up_rules(chance: random.Random) -> str:
    lines = []
    for _ in range(chance.randint(1, 5)):
        line = "/".join(chance.choice(PIECES) for _ in range(chance.choice([1, 1, 1, 2, 2, 3])))
        line = chance.choice(["", "", "/"]) + line + chance.choice(["", "", "/", " ", "\r"])
        lines.append(chance.choice(["", "", "", "!", "#"]) + line)
    return "\n".join(lines) + "\n"


def taken_by_git(repository: Path) -> set[str]:
    """The files that git would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"],
        cwd=repository,
        env={"PATH": os.environ["PATH"], "HOME": str(repository), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
    )
    return {os.fsdecode(name) for name in listed.stdout.split(b"\0") if name} - {".gitignore"}


def taken_by_us(root: Path) -> set[str]:
    found = set()

    def walk(directory: Path, rules: IgnoreRules) -> None:
        for entry in directory.iterdir():
            is_dir = entry.is_dir()
            if entry.name == ".git" or rules.verdict(entry, is_dir=is_dir):
                continue
            if is_dir:
                walk(entry, rules.inside(entry))
            else:
                found.add(entry.relative_to(root).as_posix())

    walk(root, IgnoreRules.of(root, {".gitignore"}))
    return found - {".gitignore"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed, and it is the judge here")
    root = tmp_path / "repository"
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    subprocess.run(["git", "init", "-q"], cwd=root, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, check=True)
    return root


def test_git_and_we_take_the_same_files_by_made_up_rules(repository: Path) -> None:
    chance = random.Random(7)
    verdicts = set()
    for number in range(300):
        (repository / ".gitignore").write_text(made_up_rules(chance))
        deeper = repository / "d" / ".gitignore"
        deeper.unlink(missing_ok=True)
        if number % 3 == 0:
            deeper.write_text(made_up_rules(chance))
        theirs, ours = taken_by_git(repository), taken_by_us(repository)
        rules = [file.read_text() for file in (repository / ".gitignore", deeper) if file.exists()]
        assert ours == theirs, rules
        verdicts.add(frozenset(theirs))
    assert len(verdicts) > 20  # the rules did tell the files apart
