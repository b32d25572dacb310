"""`cp` from blob to blob, and `mv`; end to end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Running
from tests.cli.program import Program
from tests.cli.test_blob_commands import failed, fetch, keys, ok, put
from tests.cli.test_killed import kill_after


@pytest.fixture
def neuro(running: Running, tmp_path: Path) -> Program:
    """The program, logged in, in a directory with a few files."""
    program = Program(running.program.home)
    program.cwd = tmp_path
    for name in ("dir/a.md", "dir/b c%.bin", "dir/sub/d.md", "top.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return program


@pytest.fixture
def full(neuro: Program, bucket: str) -> str:
    """A bucket with these files in it, by name."""
    ok(neuro.run("blob", "cp", "-q", "-r", "dir", "top.md", f"blob:{bucket}/"))
    return bucket


@pytest.fixture
def other(neuro: Program, full: str) -> Iterator[str]:
    """A second bucket, empty."""
    name = f"{full}-other"
    ok(neuro.run("blob", "mkbucket", "--name", name))
    yield name
    neuro.run("blob", "rmbucket", "--force", name)


IN_DIR = ["a.md", "b c%.bin", "sub/d.md"]


def files(neuro: Program, bucket: str) -> list[str]:
    return [key for key in keys(neuro, bucket) if not key.endswith("/")]


def test_a_blob_is_copied_to_a_name_and_into_a_directory(neuro: Program, full: str, other: str) -> None:
    done = neuro.run("blob", "cp", f"blob:{full}/dir/b c%.bin", f"blob:{full}/copy of it")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("copied 1 blob, 12 B in ")
    ok(neuro.run("blob", "cp", f"blob:{full}/top.md", f"blob:{full}/copy of it", f"blob:{full}/dir"))
    ok(neuro.run("blob", "cp", f"blob:{full}/copy of it", f"blob:{other}"))
    assert fetch(neuro, f"blob:{other}/copy of it") == b"dir/b c%.bin"
    assert files(neuro, full) == [
        "copy of it",
        "dir/a.md",
        "dir/b c%.bin",
        "dir/copy of it",
        "dir/sub/d.md",
        "dir/top.md",
        "top.md",
    ]


def test_a_directory_is_copied_under_its_name_or_what_is_in_it(neuro: Program, full: str, other: str) -> None:
    ok(neuro.run("blob", "cp", "-r", f"blob:{full}/dir", f"blob:{other}/"))
    ok(neuro.run("blob", "cp", "-r", f"blob:{full}/dir/", f"blob:{other}/inside/"))
    ok(neuro.run("blob", "cp", "-r", "-T", f"blob:{full}/dir", f"blob:{other}/named"))
    assert files(neuro, other) == sorted(f"{root}/{name}" for root in ("dir", "inside", "named") for name in IN_DIR)


def test_rules_and_patterns_choose_what_is_copied(neuro: Program, full: str, other: str) -> None:
    rules = ("--exclude", "*.md", "--include", "d.*")
    ok(neuro.run("blob", "cp", "-r", *rules, f"blob:{full}/", f"blob:{other}/rules/"))
    ok(neuro.run("blob", "cp", f"blob:{full}/dir/*.*", f"blob:{other}/matched/"))
    assert files(neuro, other) == ["matched/a.md", "matched/b c%.bin", "rules/dir/b c%.bin", "rules/dir/sub/d.md"]


def test_an_update_copies_what_is_not_there(neuro: Program, full: str, other: str) -> None:
    ok(neuro.run("blob", "cp", f"blob:{full}/dir/a.md", f"blob:{other}/dir/a.md"))
    done = neuro.run("blob", "cp", "-r", "-u", f"blob:{full}/dir", f"blob:{other}/")
    assert done.returncode == 0
    assert files(neuro, other) == [f"dir/{name}" for name in IN_DIR]


def test_blobs_are_moved(neuro: Program, full: str, other: str) -> None:
    done = neuro.run("blob", "mv", f"blob:{full}/top.md", f"blob:{full}/dir/bottom.md")
    assert done.returncode == 0
    assert done.stderr.startswith("moved 1 blob, 6 B in ")
    ok(neuro.run("blob", "mv", f"blob:{full}/dir/*.md", f"blob:{other}/pages/"))
    assert files(neuro, other) == ["pages/a.md", "pages/bottom.md"]
    ok(neuro.run("blob", "mv", "-r", f"blob:{full}/dir", f"blob:{other}"))
    assert keys(neuro, full) == []
    assert files(neuro, other) == ["dir/b c%.bin", "dir/sub/d.md", "pages/a.md", "pages/bottom.md"]
    assert fetch(neuro, f"blob:{other}/pages/bottom.md") == b"top.md"


REFUSED = [
    (("cp", "blob:{0}/missing", "blob:{0}/to"), 4, "No such blob"),
    (("mv", "blob:{0}/missing", "blob:{0}/to"), 4, "No such blob"),
    (("mv", "blob:{0}/*.none", "blob:{0}/dir/"), 4, "nothing matches"),
    (("cp", "blob:{0}/dir", "blob:{0}/to"), 2, "try: -r"),
    (("mv", "blob:{0}/dir", "blob:{0}/to"), 2, "try: -r"),
    (("mv", "blob:{0}/top.md", "blob:{0}/top.md"), 2, "both the source and the destination"),
    (("mv", "blob:{0}/top.md", "blob:{0}/"), 2, "both the source and the destination"),
    (("mv", "-r", "blob:{0}/dir", "blob:{0}/dir"), 2, "into itself"),
    (("cp", "-r", "blob:{0}/", "blob:{0}/dir/"), 2, "into itself"),
    (("mv", "top.md", "blob:{0}/"), 2, "mv moves blobs, and top.md is local"),
    (("mv", "blob:{0}/top.md", "."), 2, "mv moves blobs, and . is local"),
    (("mv", "-", "blob:{0}/x"), 2, "mv moves blobs, and - is local"),
    (("mv", "blob:{0}/top.md"), 2, 'Missing argument "SOURCES..."'),
    (("cp", "--continue", "blob:{0}/top.md", "blob:{0}/x"), 2, "--continue is for downloads"),
    (("mv", "blob:{0}/top.md", "blob:no-such/x"), 4, "no-such"),
    (("mv", "blob:{0}/top.md", "blob:{0}/dir/a.md", "blob:{0}/both"), 2, "several sources need a directory"),
]


def test_what_cannot_be_is_refused_and_nothing_is_lost(neuro: Program, full: str) -> None:
    before = keys(neuro, full)
    for arguments, code, says in REFUSED:
        stderr = failed(neuro.run("blob", *(argument.format(full) for argument in arguments)), code)
        assert says.lower() in stderr.lower()
    assert keys(neuro, full) == before
    failed(neuro.run("blob", "mv", f"blob:{full}/top.md", f"blob:{full}/missing", f"blob:{full}/dir/"), 1)
    assert files(neuro, full) == ["dir/a.md", "dir/b c%.bin", "dir/sub/d.md", "dir/top.md"]


def test_blobs_that_cannot_be_moved_are_told_of_and_stay(neuro: Program, full: str) -> None:
    put(neuro, f"blob:{full}/dir/{'k' * 1000}", b"long")
    done = neuro.run("blob", "mv", "-r", f"blob:{full}/dir", f"blob:{full}/a/directory/further/down")
    stderr = failed(done, 1)
    assert "1,024" in stderr or "1024" in stderr
    assert "1 blob not moved, all others are" in stderr
    there = files(neuro, full)
    assert f"dir/{'k' * 1000}" in there
    assert [key for key in there if key.startswith("a/")] == [f"a/directory/further/down/{name}" for name in IN_DIR]
    lines = ok(neuro.run("blob", "ls", "-r", "--json", f"blob:{full}/dir/"))
    assert len([line for line in lines if json.loads(line)["size"]]) == 1


def test_a_move_that_is_killed_loses_nothing_and_is_finished_by_the_next(neuro: Program, full: str, other: str) -> None:
    names = [f"{number:03}" for number in range(300)]
    (neuro.cwd / "many").mkdir()
    for name in names:
        (neuro.cwd / "many" / name).write_text(f"this is {name}")
    ok(neuro.run("blob", "cp", "-q", "-r", "many", f"blob:{full}/"))
    seconds, midway = 0.7, 0
    while kill_after(neuro, seconds, "blob", "mv", "-q", "-r", "-T", f"blob:{full}/many", f"blob:{other}/many"):
        left = {key.removeprefix("many/") for key in files(neuro, full) if key.startswith("many/")}
        moved = {key.removeprefix("many/") for key in files(neuro, other)}
        assert left | moved == set(names)
        midway += bool(left and moved)
        seconds = 60 if midway else seconds * 1.4
    print(f"killed {midway} time(s) while blobs were moved")  # how far it gets is the machine's to say
    assert files(neuro, full) == ["dir/a.md", "dir/b c%.bin", "dir/sub/d.md", "top.md"]
    ok(neuro.run("blob", "cp", "-q", "-r", f"blob:{other}/many", "back"))
    assert {path.name: path.read_text() for path in (neuro.cwd / "back").iterdir()} == {
        name: f"this is {name}" for name in names
    }
