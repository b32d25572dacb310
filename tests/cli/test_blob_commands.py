"""The commands, end to end: the real program, the real service, the real engine."""

import hashlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Running
from tests.cli.program import Done, Program


@pytest.fixture
def neuro(running: Running, tmp_path: Path) -> Program:
    """The program, logged in, in an empty directory."""
    program = Program(running.program.home)
    program.cwd = tmp_path
    return program


def ok(done: Done) -> list[str]:
    """The lines of stdout of a command that went well."""
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def failed(done: Done, code: int) -> str:
    """What a command that failed says."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def put(neuro: Program, address: str, body: bytes = b"x") -> None:
    done = neuro.run_bytes("blob", "cp", "-q", "-", address, stdin=body)
    assert (done.returncode, done.stderr) == (0, b"")


def fetch(neuro: Program, address: str) -> bytes:
    done = neuro.run_bytes("blob", "cp", "-q", address, "-")
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def keys(neuro: Program, bucket: str) -> list[str]:
    lines = ok(neuro.run("blob", "ls", "-r", "--json", f"blob:{bucket}"))
    return sorted(json.loads(line)["key"] for line in lines)


# --- who and where


def test_login_says_who_and_where_and_keeps_the_token_to_itself(running: Running, tmp_path: Path) -> None:
    fresh = Program(tmp_path)
    done = fresh.run("login", "--ready", str(running.ready))
    assert (done.returncode, done.stdout) == (0, "")
    assert running.url in done.stderr
    assert running.user in done.stderr
    assert running.token not in done.stderr
    assert ok(fresh.run("status"))[-1].split() == ["Reachable", "yes"]


def test_login_with_the_token_on_stdin(running: Running, tmp_path: Path) -> None:
    fresh = Program(tmp_path)
    ok(fresh.run("login", running.url, "--token-stdin", stdin=running.token + "\n"))
    status = json.loads(ok(fresh.run("status", "--json"))[0])
    assert status == {
        "url": running.url,
        "user": running.user,
        "cluster": "default",
        "reachable": True,
        "error": None,
        "try": None,
    }


def test_login_with_a_token_of_somewhere_else_is_exit_3_and_changes_nothing(running: Running, tmp_path: Path) -> None:
    fresh = Program(tmp_path)
    head, body, signature = running.token.split(".")
    forged = f"{head}.{body}.{signature[::-1]}"
    stderr = failed(fresh.run("login", running.url, stdin=forged), 3)
    assert forged not in stderr
    failed(fresh.run("status"), 2)


# --- buckets


def test_a_bucket_is_made_shown_listed_and_removed(neuro: Program) -> None:
    made = json.loads(ok(neuro.run("blob", "mkbucket", "--name", "shown", "--json"))[0])
    assert made["name"] == "shown"
    assert made["address"] == "blob:shown"
    shown = [json.loads(ok(neuro.run("blob", "statbucket", which, "--json"))[0]) for which in ("shown", made["id"])]
    assert shown == [made, made]
    header, *rows = ok(neuro.run("blob", "lsbucket"))
    assert header.split() == ["Id", "Name", "Provider", "Address"]
    assert [made["id"], "shown", made["provider"], "blob:shown"] in [row.split() for row in rows]
    assert made["id"] in ok(neuro.run("blob", "lsbucket", "-q"))
    assert made["id"] in [json.loads(line)["id"] for line in ok(neuro.run("blob", "lsbucket", "--json"))]
    assert "blob:shown" in ok(neuro.run("blob", "ls"))
    done = neuro.run("blob", "rmbucket", "shown")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "removed bucket shown\n")
    assert "no bucket 'shown'" in failed(neuro.run("blob", "statbucket", "shown"), 4)


def test_a_name_that_is_taken_is_exit_5(neuro: Program, bucket: str) -> None:
    assert f"'{bucket}'" in failed(neuro.run("blob", "mkbucket", "--name", bucket), 5)


def test_a_name_that_cannot_be_is_exit_2(neuro: Program) -> None:
    assert "'No'" in failed(neuro.run("blob", "mkbucket", "--name", "No"), 2)


def test_a_bucket_with_blobs_goes_only_by_force(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k")
    assert f"try: neuro blob rmbucket --force {bucket}" in failed(neuro.run("blob", "rmbucket", bucket), 5)
    assert keys(neuro, bucket) == ["k"]
    ok(neuro.run("blob", "rmbucket", "--force", bucket))
    failed(neuro.run("blob", "statbucket", bucket), 4)


def test_one_bucket_that_is_not_there_does_not_keep_the_others(neuro: Program, bucket: str) -> None:
    stderr = failed(neuro.run("blob", "rmbucket", "nobody-made-this", bucket), 1)
    assert "nobody-made-this" in stderr
    failed(neuro.run("blob", "statbucket", bucket), 4)


# --- copying


def test_a_file_goes_up_and_comes_down_under_its_name(neuro: Program, bucket: str) -> None:
    body = os.urandom(3 << 20)
    (neuro.cwd / "data.bin").write_bytes(body)
    done = neuro.run("blob", "cp", "data.bin", f"blob:{bucket}")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("uploaded 1 file, 3.0 MiB in ")
    (neuro.cwd / "down").mkdir()
    done = neuro.run("blob", "cp", f"blob:{bucket}/data.bin", "down")
    assert done.stderr.startswith("downloaded 1 file, 3.0 MiB in ")
    assert (neuro.cwd / "down" / "data.bin").read_bytes() == body


@pytest.mark.parametrize("key", ["what ever?#.txt", "Фото №1.jpg", "100%", "a%41b", "[x]*", "-rf", "a/b c/d"])
def test_a_key_of_any_letters_is_typed_listed_fetched_and_removed(neuro: Program, bucket: str, key: str) -> None:
    typed = key.replace("%4", "%254")  # %XX is read as URLs read it
    (neuro.cwd / "file").write_text("body")
    ok(neuro.run("blob", "cp", "file", f"blob:{bucket}/{typed}"))
    assert keys(neuro, bucket) == [key]
    [shown] = ok(neuro.run("blob", "ls", f"blob:{bucket}/{typed}", "--no-glob"))
    ok(neuro.run("blob", "cp", shown, "back"))
    assert (neuro.cwd / "back").read_text() == "body"
    ok(neuro.run("blob", "rm", shown))
    assert keys(neuro, bucket) == []


def test_a_directory_follows_the_target_rule(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "photos" / "deep").mkdir(parents=True)
    (neuro.cwd / "photos" / "a").write_text("a")
    (neuro.cwd / "photos" / "deep" / "b").write_text("b")
    ok(neuro.run("blob", "cp", "-r", "photos", f"blob:{bucket}/new"))
    ok(neuro.run("blob", "cp", "-r", "photos", f"blob:{bucket}/new"))
    ok(neuro.run("blob", "cp", "-r", "photos/", f"blob:{bucket}/in"))
    found = [key for key in keys(neuro, bucket) if not key.endswith("/")]
    assert found == ["in/a", "in/deep/b", "new/a", "new/deep/b", "new/photos/a", "new/photos/deep/b"]


def test_the_working_directory_means_what_is_in_it(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "a").write_text("a")
    ok(neuro.run("blob", "cp", "-r", ".", f"blob:{bucket}"))
    assert keys(neuro, bucket) == ["a"]


def test_a_folder_comes_down_whole(neuro: Program, bucket: str) -> None:
    for key in ("dir/a", "dir/deep/b", "other"):
        put(neuro, f"blob:{bucket}/{key}", key.encode())
    ok(neuro.run("blob", "cp", "-r", f"blob:{bucket}/dir", "here/"))
    files = {str(path.relative_to(neuro.cwd)): path.read_text() for path in neuro.cwd.rglob("*") if path.is_file()}
    assert files == {"here/dir/a": "dir/a", "here/dir/deep/b": "dir/deep/b"}


def test_a_directory_without_r_is_refused_on_either_side(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "dir").mkdir()
    put(neuro, f"blob:{bucket}/folder/k")
    for source, dest in (("dir", f"blob:{bucket}/"), (f"blob:{bucket}/folder", "down")):
        assert "Is a directory\n  try: -r" in failed(neuro.run("blob", "cp", source, dest), 2)
    assert keys(neuro, bucket) == ["folder/k"]


def test_several_sources_need_a_directory(neuro: Program, bucket: str) -> None:
    for name in ("a", "b"):
        (neuro.cwd / name).write_text(name)
    stderr = failed(neuro.run("blob", "cp", "a", "b", f"blob:{bucket}/c"), 2)
    assert f"try: blob:{bucket}/c/" in stderr
    ok(neuro.run("blob", "cp", "a", "b", f"blob:{bucket}/c/"))
    assert keys(neuro, bucket) == ["c/a", "c/b"]


def test_two_sources_of_one_name_do_not_overwrite_each_other(neuro: Program, bucket: str) -> None:
    for folder in ("x", "y"):
        (neuro.cwd / folder).mkdir()
        (neuro.cwd / folder / "same").write_text(folder)
    assert "'same'" in failed(neuro.run("blob", "cp", "x/same", "y/same", f"blob:{bucket}"), 1)
    assert fetch(neuro, f"blob:{bucket}/same") == b"x"


def test_one_source_that_is_not_there_does_not_keep_the_others(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "a").write_text("a")
    stderr = failed(neuro.run("blob", "cp", "none", "a", f"blob:{bucket}"), 1)
    assert "none: No such file or directory" in stderr
    assert keys(neuro, bucket) == ["a"]


def test_what_is_not_there_is_exit_4(neuro: Program, bucket: str) -> None:
    assert f"{bucket}/none" in failed(neuro.run("blob", "cp", f"blob:{bucket}/none", "here"), 4)
    assert "no-such-bucket" in failed(neuro.run("blob", "cp", "blob:no-such-bucket/k", "here"), 4)
    assert "none: No such file" in failed(neuro.run("blob", "cp", "none", f"blob:{bucket}"), 4)
    assert not (neuro.cwd / "here").exists()


def test_something_that_is_no_file_is_told_of_and_the_rest_goes_up(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "dir").mkdir()
    (neuro.cwd / "dir" / "a").write_text("a")
    os.mkfifo(neuro.cwd / "dir" / "pipe")
    stderr = failed(neuro.run("blob", "cp", "-r", "dir", f"blob:{bucket}"), 1)
    assert stderr.count("dir/pipe") == 1
    assert "error: 1 file not uploaded, all others are" in stderr
    assert "dir/a" in keys(neuro, bucket)


def test_update_moves_only_what_is_older_there(neuro: Program, bucket: str) -> None:
    old = time.time() - 3600
    (neuro.cwd / "a").write_text("a")
    os.utime(neuro.cwd / "a", (old, old))
    ok(neuro.run("blob", "cp", "a", f"blob:{bucket}"))
    assert neuro.run("blob", "cp", "-u", "a", f"blob:{bucket}").stderr == "nothing uploaded\n"
    assert neuro.run("blob", "cp", "a", f"blob:{bucket}").stderr.startswith("uploaded 1 file")


def test_a_pipe_goes_up_and_comes_down_byte_for_byte(neuro: Program, bucket: str) -> None:
    body = os.urandom((20 << 20) + 7)
    put(neuro, f"blob:{bucket}/piped", body)
    assert hashlib.sha256(fetch(neuro, f"blob:{bucket}/piped")).digest() == hashlib.sha256(body).digest()


def test_an_empty_stdin_is_an_empty_blob(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/empty", b"")
    assert fetch(neuro, f"blob:{bucket}/empty") == b""


def test_a_file_under_stdin_goes_up_too(neuro: Program, bucket: str) -> None:
    (neuro.cwd / "f").write_bytes(b"from a file")
    with (
        (neuro.cwd / "f").open("rb") as file,
        neuro.started("blob", "cp", "-", f"blob:{bucket}/k", stdin=file.fileno()) as process,
    ):
        assert process.wait(timeout=30) == 0
    assert fetch(neuro, f"blob:{bucket}/k") == b"from a file"


def test_stdin_needs_the_name_of_a_blob(neuro: Program, bucket: str) -> None:
    assert "names no single blob" in failed(neuro.run("blob", "cp", "-", f"blob:{bucket}"), 2)


def test_a_complete_address_works_where_a_short_one_does(neuro: Program, running: Running, bucket: str) -> None:
    put(neuro, f"blob://default/{running.user}/{bucket}/k", b"body")
    assert fetch(neuro, f"blob:/{running.user}/{bucket}/k") == b"body"
    assert ok(neuro.run("blob", "ls", f"blob://default/{running.user}/{bucket}")) == [f"blob:{bucket}/k"]


def test_a_reader_of_a_download_that_leaves_ends_it_quietly(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/big", bytes(8 << 20))
    with neuro.started("blob", "cp", f"blob:{bucket}/big", "-", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        process.stdout.close()
        process.stdout = None
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, b"")


def test_ctrl_c_in_an_upload_from_a_pipe_leaves_no_blob(neuro: Program, bucket: str) -> None:
    with neuro.started("blob", "cp", "-", f"blob:{bucket}/half", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(bytes(24 << 20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        stderr = process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert stderr == b"interrupted\n"
    assert keys(neuro, bucket) == []


# --- wildcards


def test_wildcards_choose_blobs(neuro: Program, bucket: str) -> None:
    for key in ("a.txt", "b.txt", "c.bin", "deep/d.txt"):
        put(neuro, f"blob:{bucket}/{key}", key.encode())
    assert ok(neuro.run("blob", "ls", f"blob:{bucket}/*.txt")) == [f"blob:{bucket}/a.txt", f"blob:{bucket}/b.txt"]
    ok(neuro.run("blob", "cp", f"blob:{bucket}/**/*.txt", "down/"))
    assert sorted(os.listdir(neuro.cwd / "down")) == ["a.txt", "b.txt", "d.txt"]
    ok(neuro.run("blob", "rm", f"blob:{bucket}/?.txt"))
    assert keys(neuro, bucket) == ["c.bin", "deep/d.txt"]


def test_wildcards_that_match_nothing_are_exit_4(neuro: Program, bucket: str) -> None:
    for command in (["ls"], ["rm"], ["cp"]):
        dest = ["."] if command == ["cp"] else []
        assert "nothing matches" in failed(neuro.run("blob", *command, f"blob:{bucket}/*.txt", *dest), 4)


def test_several_matches_need_a_directory_and_one_does_not(neuro: Program, bucket: str) -> None:
    for key in ("ab", "ac", "b"):
        put(neuro, f"blob:{bucket}/{key}", key.encode())
    assert "several sources need a directory" in failed(neuro.run("blob", "cp", f"blob:{bucket}/a?", "one"), 2)
    ok(neuro.run("blob", "cp", f"blob:{bucket}/?", "one"))
    assert (neuro.cwd / "one").read_text() == "b"


def test_without_globbing_a_wildcard_is_a_letter(neuro: Program, bucket: str) -> None:
    for key in ("*", "a"):
        put(neuro, f"blob:{bucket}/{key}")
    ok(neuro.run("blob", "rm", "--no-glob", f"blob:{bucket}/*"))
    assert keys(neuro, bucket) == ["a"]


# --- listing, removing, links


def test_a_listing_has_stable_json_keys(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/dir/k", b"12345")
    [folder] = [json.loads(line) for line in ok(neuro.run("blob", "ls", "--json", f"blob:{bucket}"))]
    [blob] = [json.loads(line) for line in ok(neuro.run("blob", "ls", "--json", f"blob:{bucket}/dir/"))]
    assert list(folder) == ["type", "bucket", "key", "size", "created_at", "modified_at", "address", "uri"]
    assert (folder["type"], folder["key"]) == ("dir", "dir/")
    assert (blob["type"], blob["key"], blob["size"]) == ("obj", "dir/k", 5)
    assert blob["modified_at"].endswith("+00:00")


def test_a_long_listing_is_aligned(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/dir/k")
    put(neuro, f"blob:{bucket}/k", bytes(2048))
    folder, blob = ok(neuro.run("blob", "ls", "-l", f"blob:{bucket}"))
    assert folder.split()[0] == "dir"
    assert blob.split()[:2] == ["obj", "2048"]
    assert folder.index("blob:") == blob.index("blob:")
    assert "2.0 KiB" in ok(neuro.run("blob", "ls", "-lh", f"blob:{bucket}/k"))[0]


def test_an_empty_bucket_lists_as_nothing_and_a_missing_beginning_is_exit_4(neuro: Program, bucket: str) -> None:
    assert ok(neuro.run("blob", "ls", f"blob:{bucket}")) == []
    assert f"blob:{bucket}/none" in failed(neuro.run("blob", "ls", f"blob:{bucket}/none"), 4)


def test_a_folder_goes_only_with_r(neuro: Program, bucket: str) -> None:
    for key in ("dir/a", "dir/deep/b", "dirt"):
        put(neuro, f"blob:{bucket}/{key}")
    assert "try: -r" in failed(neuro.run("blob", "rm", f"blob:{bucket}/dir"), 2)
    done = neuro.run("blob", "rm", "-r", f"blob:{bucket}/dir")
    assert done.stderr.startswith("deleted 2 blobs in ")
    assert keys(neuro, bucket) == ["dirt"]


def test_removing_what_is_not_there_is_exit_4(neuro: Program, bucket: str) -> None:
    assert f"{bucket}/none" in failed(neuro.run("blob", "rm", f"blob:{bucket}/none"), 4)


def test_a_signed_link_ends_when_it_is_revoked(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k", b"linked")
    [link] = ok(neuro.run("blob", "sign-url", f"blob:{bucket}/k"))
    assert fetch_link(link) == 200
    done = neuro.run("blob", "revoke-urls", bucket)
    said = f"no link that you have signed for bucket {bucket} works any more\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
    assert fetch_link(link) == 403
    failed(neuro.run("blob", "revoke-urls", "nobody-made-this"), 4)


def fetch_link(link: str) -> int:
    try:
        with urllib.request.urlopen(link, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_signed_link_is_fetched_without_a_login(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k", b"linked")
    [link] = ok(neuro.run("blob", "sign-url", f"blob:{bucket}/k", "--expires", "1m"))
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"linked"
    signed = json.loads(ok(neuro.run("blob", "sign-url", f"blob:{bucket}/k", "--json"))[0])
    assert (list(signed), signed["expires_in_seconds"]) == (["address", "url", "expires_in_seconds"], 3600)
