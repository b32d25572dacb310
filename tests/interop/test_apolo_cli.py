"""The released command `apolo` 26.9.0, as it is on the package index, at a real service. One bucket lives through the whole file."""

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Programs
from tests.interop.environments import clean_environ
from tests.stack_fixture import Stack

# The exit codes of the released command.
REFUSED, NOT_FOUND, WRONG_NAME = 65, 72, 127


class Apolo:
    """The program, with a home and a working directory of its own."""

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._home = home
        self.work = home / "work"
        self.work.mkdir()

    def __call__(self, *arguments: str, fails: int = 0) -> str:
        """What it says on stdout, or on stderr where it `fails` with that code."""
        command = [str(self._program), "--skip-stats", "--disable-pypi-version-check", *arguments]
        done = subprocess.run(
            command,
            env=clean_environ(self._home),
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != fails:  # the arguments of a login are no one's business, and an assertion would show them
            pytest.fail(f"{arguments[:2]} ended with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
        return done.stderr if fails else done.stdout

    def file(self, name: str, content: str) -> Path:
        """A file in the working directory."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture(scope="module")
def apolo(stack: Stack, programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Apolo:
    apolo = Apolo(programs.apolo_26 / "apolo", tmp_path_factory.mktemp("apolo"))
    said = apolo("config", "login-with-token", stack.token("carol"), stack.url)
    assert "as carol, current cluster is default" in said
    return apolo


@pytest.fixture(scope="module")
def bucket(apolo: Apolo) -> Iterator[str]:
    apolo.file("d/a.txt", "one")
    apolo.file("d/sub/b.txt", "two!")
    said = apolo("blob", "mkbucket", "--name", "first")
    assert "blob://default/NO_ORG/carol/first" in said
    apolo("blob", "cp", "-r", "d", "blob:first/d")
    yield "first"
    assert "was successfully removed" in apolo("blob", "rmbucket", "-f", "first")
    assert apolo("-q", "blob", "lsbucket") == ""


def test_a_bucket_is_listed_and_told_of(apolo: Apolo, bucket: str) -> None:
    [identity] = apolo("-q", "blob", "lsbucket").split()
    listed = apolo("blob", "lsbucket", "--long-format")
    told = apolo("blob", "statbucket", bucket)
    assert re.search(f"{identity} +first +seaweedfs +blob:first +NO_ORG +carol +.* +\N{MULTIPLICATION SIGN}", listed)
    assert f"Id            {identity}" in told
    assert "Provider      seaweedfs" in told
    assert apolo("blob", "ls") == "blob:first\n"


def test_refusals_have_the_exit_codes_of_the_released_service(apolo: Apolo, bucket: str) -> None:
    assert "absent" in apolo("blob", "statbucket", "absent", fails=NOT_FOUND)
    assert "first" in apolo("blob", "mkbucket", "--name", "first", fails=REFUSED)
    assert "not empty" in apolo("blob", "rmbucket", bucket, fails=REFUSED)
    assert "Invalid bucket name" in apolo("blob", "mkbucket", "--name", "No", fails=WRONG_NAME)


def test_a_bucket_without_a_name_comes_and_goes_by_its_id(apolo: Apolo, bucket: str) -> None:
    made = re.search(r"bucket-[0-9a-f-]{36}", apolo("blob", "mkbucket"))
    assert made
    apolo.file("f", "x")
    apolo("blob", "cp", "f", f"blob:{made[0]}/f")
    assert apolo("blob", "ls", f"blob:{made[0]}/") == f"blob:{made[0]}/f\n"
    apolo("blob", "rmbucket", "-f", made[0])


def test_listings_show_directories_and_everything_below(apolo: Apolo, bucket: str) -> None:
    assert apolo("blob", "ls", "blob:first/d/").split() == ["blob:first/d/sub/", "blob:first/d/", "blob:first/d/a.txt"]
    rows = [line.split() for line in apolo("blob", "ls", "-r", "-l", "blob:first").splitlines()]
    assert [[row[0], row[1], row[-1]] for row in rows] == [
        ["dir", "0", "blob:first/d/"],
        ["obj", "3", "blob:first/d/a.txt"],
        ["dir", "0", "blob:first/d/sub/"],
        ["obj", "4", "blob:first/d/sub/b.txt"],
    ]


def test_a_glob_finds_at_any_depth(apolo: Apolo, bucket: str) -> None:
    assert apolo("blob", "glob", "blob:first/**/*.txt").split() == ["blob:first/d/a.txt", "blob:first/d/sub/b.txt"]


def test_a_directory_comes_down_as_it_went_up(apolo: Apolo, bucket: str) -> None:
    said = apolo("-v", "blob", "cp", "-r", "blob:first/d", "back")
    assert "/first/d/sub/b.txt -> " in said
    files = {
        str(path.relative_to(apolo.work / "back")): path.read_text() for path in (apolo.work / "back").rglob("*.txt")
    }
    assert files == {"a.txt": "one", "sub/b.txt": "two!"}


def test_a_file_is_copied_into_a_directory_and_under_a_name(apolo: Apolo, bucket: str) -> None:
    apolo.file("one.txt", "1")
    apolo("blob", "cp", "one.txt", "blob:first/into/")
    apolo("blob", "cp", "-u", "one.txt", "blob:first/named/other.txt")
    apolo("blob", "cp", "--continue", "blob:first/named/other.txt", "down.txt")
    assert (apolo.work / "down.txt").read_text() == "1"
    assert apolo("blob", "ls", "-r", "blob:first/into").split() == ["blob:first/into/one.txt"]
    assert "Removed: blob://default/NO_ORG/carol/first/into/one.txt" in apolo(
        "blob", "rm", "-p", "blob:first/into/one.txt"
    )
    apolo("blob", "rm", "-r", "blob:first/named")
    assert apolo("blob", "ls", "-r", "blob:first/named") == ""


def test_excluded_files_stay_at_home(apolo: Apolo, bucket: str) -> None:
    apolo.file("x/keep.txt", "k")
    apolo.file("x/drop.log", "d")
    apolo.file("x/ignored.md", "i")
    apolo.file("x/.neuroignore", "*.md\n")
    apolo("blob", "cp", "-r", "--exclude", "*.log", "x", "blob:first/x")
    found = apolo("blob", "ls", "-r", "blob:first/x/").split()
    apolo("blob", "rm", "-r", "blob:first/x")
    assert found == ["blob:first/x/", "blob:first/x/.neuroignore", "blob:first/x/keep.txt"]


def test_rm_says_what_stands_in_its_way(apolo: Apolo, bucket: str) -> None:
    assert "No such file" in apolo("blob", "rm", "blob:first/nothing", fails=NOT_FOUND)
    assert "use recursive" in apolo("blob", "rm", "blob:first/d", fails=NOT_FOUND)


def test_rm_recursive_of_a_blob_deletes_nothing_by_a_fault_of_the_released_client(apolo: Apolo, bucket: str) -> None:
    """Fault 2: success, and the blob is there still. It never asks the storage to delete it."""
    apolo("blob", "rm", "-r", "blob:first/d/a.txt")
    assert apolo("blob", "ls", "blob:first/d/a.txt") == "blob:first/d/a.txt\n"


def test_usage_of_an_empty_bucket_crashes_by_a_fault_of_the_released_client(apolo: Apolo, bucket: str) -> None:
    """Fault 11: its loop over no results leaves a name unbound."""
    assert re.search(r"Total size: 7 Bytes\nObjects count: 4", apolo("blob", "du", bucket))
    apolo("blob", "mkbucket", "--name", "nothing-in-it")
    said = apolo("blob", "du", "nothing-in-it", fails=1)
    apolo("blob", "rmbucket", "nothing-in-it")
    assert "UnboundLocalError" in said or "usage" in said


def test_a_signed_address_opens_the_blob(apolo: Apolo, bucket: str) -> None:
    url = apolo("blob", "sign-url", "blob:first/d/a.txt", "--expires", "10m").strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"one"


def test_a_bucket_is_made_public_and_closed_again(apolo: Apolo, bucket: str) -> None:
    assert "was made public" in apolo("blob", "set-bucket-publicity", bucket, "public")
    assert "Public        True" in apolo("blob", "statbucket", bucket)
    assert "was made non-public" in apolo("blob", "set-bucket-publicity", bucket, "private")
    assert "Public        False" in apolo("blob", "statbucket", bucket)


def test_persistent_credentials_are_made_listed_and_removed(apolo: Apolo, bucket: str) -> None:
    made = apolo("blob", "mkcredentials", bucket, "--name", "keys", "--read-only")
    assert "access_key_id" in made
    assert re.search(r"bucket-credentials-[0-9a-f-]{36} +keys +first +√", apolo("blob", "lscredentials"))
    assert "secret_access_key" in apolo("blob", "statcredentials", "keys")
    assert "was successfully removed" in apolo("blob", "rmcredentials", "keys")
    apolo("blob", "statcredentials", "keys", fails=NOT_FOUND)
