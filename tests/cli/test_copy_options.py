"""The options of `cp`, `rm`, `ls` that choose what is copied, where to, and what is told; end to end."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Running
from tests.cli.program import Program
from tests.cli.test_blob_commands import failed, fetch, keys, ok, put


@pytest.fixture
def neuro(running: Running, tmp_path: Path) -> Program:
    """The program, logged in, in a directory with a few files."""
    program = Program(running.program.home)
    program.cwd = tmp_path
    for name in ("dir/a.md", "dir/a.bin", "dir/build/b.md", "dir/src/c.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return program


def files(neuro: Program, bucket: str) -> list[str]:
    return [key for key in keys(neuro, bucket) if not key.endswith("/")]


def local(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_rules_choose_what_goes_up_and_what_comes_down(neuro: Program, bucket: str) -> None:
    rules = ("--exclude", "*.bin", "--exclude", "build/", "--include", "c.*")
    ok(neuro.run("blob", "cp", "-r", *rules, "dir/", f"blob:{bucket}/up/"))
    assert files(neuro, bucket) == ["up/a.md", "up/src/c.bin"]
    ok(neuro.run("blob", "cp", "-r", "dir/", f"blob:{bucket}/all/"))
    ok(neuro.run("blob", "cp", "-r", *rules, f"blob:{bucket}/all/", "down/"))
    assert local(neuro.cwd / "down") == ["a.md", "src/c.bin"]


def test_rules_without_r_are_refused(neuro: Program, bucket: str) -> None:
    stderr = failed(neuro.run("blob", "cp", "--exclude", "x", "dir/a.md", f"blob:{bucket}"), 2)
    assert "they need -r" in stderr


def test_ignore_files_leave_out_and_others_can_be_named(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "dir" / ".neuroignore").write_text("*.bin\n")
    (neuro.cwd / "dir" / ".mine").write_text("*.md\n")
    ok(neuro.run("blob", "cp", "-r", "dir/", f"blob:{bucket}/one/"))
    ok(neuro.run("blob", "cp", "-r", "--exclude-from-files", ".mine .other", "dir/", f"blob:{bucket}/two/"))
    ok(neuro.run("blob", "cp", "-r", "--exclude-from-files", "", "dir/", f"blob:{bucket}/three/"))
    found = files(neuro, bucket)
    assert [key for key in found if key.startswith("one/")] == [
        "one/.mine",
        "one/.neuroignore",
        "one/a.md",
        "one/build/b.md",
    ]
    assert [key for key in found if key.startswith("two/") and "/." not in key] == ["two/a.bin", "two/src/c.bin"]
    assert len([key for key in found if key.startswith("three/")]) == 6


def test_t_names_the_directory_first_and_makes_it(neuro: Program, bucket: str) -> None:
    ok(neuro.run("blob", "cp", "-t", f"blob:{bucket}/x", "dir/a.md", "dir/a.bin"))
    assert files(neuro, bucket) == ["x/a.bin", "x/a.md"]
    ok(neuro.run("blob", "cp", "-t", "new", f"blob:{bucket}/x/a.md"))
    assert local(neuro.cwd / "new") == ["a.md"]


def test_capital_t_means_the_name_itself(neuro: Program, bucket: str) -> None:
    for _ in range(2):
        ok(neuro.run("blob", "cp", "-r", "-T", "dir", f"blob:{bucket}/copy"))
    assert files(neuro, bucket) == ["copy/a.bin", "copy/a.md", "copy/build/b.md", "copy/src/c.bin"]
    put(neuro, f"blob:{bucket}/copy2/under")
    assert "Is a directory" in failed(neuro.run("blob", "cp", "-T", "dir/a.md", f"blob:{bucket}/copy2"), 2)
    ok(neuro.run("blob", "cp", "-r", "-T", f"blob:{bucket}/copy", "there"))
    ok(neuro.run("blob", "cp", "-r", "-T", f"blob:{bucket}/copy", "there"))
    assert local(neuro.cwd / "there") == local(neuro.cwd / "dir")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), 'missing argument "DESTINATION"'),
        (("a",), 'missing argument "SOURCES..."'),
        (("-t", "blob:b/x"), 'missing argument "SOURCES..."'),
        (("-t", "blob:b/x", "-T", "a"), "cannot combine"),
        (("-T", "a", "b", "blob:b/x"), 'extra operand after "a"'),
        (("-t", "-", "blob:b/x"), "no directory"),
    ],
)
def test_operands_that_do_not_go_together_are_named(neuro: Program, arguments: tuple[str, ...], said: str) -> None:
    stderr = failed(neuro.run("blob", "cp", *arguments), 2)
    assert said in stderr
    assert "try: " in stderr


def test_update_and_continue_of_a_download_fetch_nothing_twice(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k", b"body")
    ok(neuro.run("blob", "cp", f"blob:{bucket}/k", "k"))
    later = time.time() + 60
    os.utime(neuro.cwd / "k", (later, later))
    for option in ("--update", "--continue", "-u"):
        done = neuro.run("blob", "cp", option, f"blob:{bucket}/k", "k")
        assert (done.returncode, done.stderr) == (0, "nothing downloaded\n")


def test_globbing_can_be_said_and_unsaid(neuro: Program, bucket: str) -> None:
    for key in ("*", "a"):
        put(neuro, f"blob:{bucket}/{key}", key.encode())
    ok(neuro.run("blob", "cp", "--no-glob", f"blob:{bucket}/*", "star"))
    assert (neuro.cwd / "star").read_text() == "*"
    ok(neuro.run("blob", "cp", "--no-glob", "--glob", f"blob:{bucket}/*", "all/"))
    assert sorted(os.listdir(neuro.cwd / "all")) == ["*", "a"]


def test_progress_can_be_left_to_the_last_line(neuro: Program, bucket: str) -> None:
    done = neuro.run("blob", "cp", "-P", "-r", "dir", f"blob:{bucket}")
    [line] = done.stderr.splitlines()
    assert line.startswith("uploaded 4 files")
    assert neuro.run("blob", "cp", "-p", "-r", "dir", f"blob:{bucket}").stderr.startswith("uploaded 4 files")


def test_removing_tells_of_each_with_p(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k")
    done = neuro.run("blob", "rm", "-p", f"blob:{bucket}/k")
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("removed blob://")
    assert first.endswith(f"/{bucket}/k")
    assert second.startswith("deleted 1 blob")


def test_glob_lists_what_matches(neuro: Program, bucket: str) -> None:
    for key in ("a.md", "sub/b.md", "c.bin"):
        put(neuro, f"blob:{bucket}/{key}", b"12345")
    assert ok(neuro.run("blob", "glob", f"blob:{bucket}/*.md")) == [f"blob:{bucket}/a.md"]
    lines = ok(neuro.run("blob", "glob", "--json", f"blob:{bucket}/**/*.md", f"blob:{bucket}/c.*"))
    assert sorted(json.loads(line)["key"] for line in lines) == ["a.md", "c.bin", "sub/b.md"]
    assert "nothing matches" in failed(neuro.run("blob", "glob", f"blob:{bucket}/*.none"), 4)
    assert fetch(neuro, f"blob:{bucket}/a.md") == b"12345"


def test_du_counts_blobs_and_bytes(neuro: Program, bucket: str) -> None:
    assert json.loads(ok(neuro.run("blob", "du", "--json", bucket))[0]) == {
        "bucket": bucket,
        "total_bytes": 0,
        "object_count": 0,
    }
    put(neuro, f"blob:{bucket}/a", bytes(3000))
    put(neuro, f"blob:{bucket}/b", bytes(72))
    assert [line.split() for line in ok(neuro.run("blob", "du", bucket))] == [
        ["Total", "size", "3.0", "KiB", "(3,072", "bytes)"],
        ["Objects", "2"],
    ]
    failed(neuro.run("blob", "du", "nobody-made-this"), 4)
