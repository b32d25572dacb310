"""Destinations where names that differ in case or normal form only are one: the first key is delivered, the others named.

The one function that looks a name up is replaced by one that looks as such a file system does: few machines that run
this have one.
"""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from neuro_sdk import StorageProgressFail, TransferError
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._transfer import folding
from tests.sdk.transfers.helpers import Recorder, blobs, down, tree

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def upper(name: str) -> str:
    """A rule as disks have it: letter by letter, so that `ß` is not `ss`; and of all normal forms one."""
    return "".join(char.upper() if len(char.upper()) == 1 else char for char in unicodedata.normalize("NFC", name))


def looks(rule: Callable[[str], str]) -> Callable[[int, str], bool]:
    return lambda directory, name: rule(name) in {rule(found) for found in os.listdir(directory)}


@pytest.fixture
def folding_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_is_there", looks(upper))


async def refused(store: MemoryStore, dst: Path) -> list[str]:
    """Download all; the keys that were refused, by their order in the listing."""
    seen = Recorder()
    with pytest.raises(TransferError) as caught:
        await down(store, dst, progress=seen)
    assert len(caught.value.failures) == len(seen.of(StorageProgressFail))
    named = [key for key in sorted(blobs(store), key=str.encode) for line in caught.value.failures if repr(key) in line]
    assert len(named) == len(caught.value.failures)
    return named


async def fill(store: MemoryStore, *names: str) -> None:
    for name in names:
        await store.put(f"dir/{name}", name.encode())


@pytest.mark.usefixtures("folding_disk")
@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        (["README", "ReadMe", "readme"], ["ReadMe", "readme"]),
        ([DECOMPOSED, COMPOSED, COMPOSED.upper()], [COMPOSED, DECOMPOSED]),
        (["A/x", "a"], ["a"]),
        (["A", "a/x", "a/y/z"], ["a/x", "a/y/z"]),
        (["A/x", "a/x", "a/y"], ["a/x", "a/y"]),
        (["sub/deep/F", "sub/deep/f"], ["sub/deep/f"]),
    ],
)
async def test_of_keys_that_are_one_name_the_first_is_delivered_and_the_others_are_named(
    dst: Path, store: MemoryStore, names: list[str], left_out: list[str]
) -> None:
    await fill(store, *names, "other")
    # Again, when the first is there already: the same.
    for _ in range(2):
        assert await refused(store, dst) == sorted((f"dir/{name}" for name in left_out), key=str.encode)
        files = {name: body for name, body in tree(dst).items() if body is not None}
        assert files == {name: name.encode() for name in [*names, "other"] if name not in left_out}


@pytest.mark.usefixtures("folding_disk")
async def test_names_that_only_look_alike_are_both_delivered(dst: Path, store: MemoryStore) -> None:
    names = ["straße", "strasse", "ﬁle", "file", "x.", "x"]
    await fill(store, *names)
    await down(store, dst)
    assert set(tree(dst)) == set(names)


async def test_where_names_do_not_fold_all_are_delivered(dst: Path, store: MemoryStore) -> None:
    names = ["README", "readme", COMPOSED, DECOMPOSED, "A/x", "a/x", "B", "b/x"]
    await fill(store, *names)
    await down(store, dst)
    assert {name: body for name, body in tree(dst).items() if body is not None} == {
        name: name.encode() for name in names
    }


async def test_the_rule_is_asked_of_each_directory_that_was_there(
    dst: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on ext4, where single directories fold."""
    (dst / "folding").mkdir(parents=True)
    inode = (dst / "folding").stat().st_ino

    def is_there(directory: int, name: str) -> bool:
        rule = upper if os.fstat(directory).st_ino == inode else str
        return looks(rule)(directory, name)

    monkeypatch.setattr(folding, "_is_there", is_there)
    await fill(store, "folding/F", "folding/f", "plain/F", "plain/f")
    assert await refused(store, dst) == ["dir/folding/f"]
    assert set(tree(dst)) == {"folding", "folding/F", "plain", "plain/F", "plain/f"}


async def test_asking_leaves_nothing_and_what_a_killed_one_left_is_swept(dst: Path, store: MemoryStore) -> None:
    await fill(store, "a", "A")
    dst.mkdir()
    (dst / f".{folding.PROBE}.01234567.part").touch()
    await down(store, dst)
    assert set(tree(dst)) == {"a", "A"}


def test_a_question_that_another_process_swept_away_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0

    def is_there(directory: int, name: str) -> bool:
        nonlocal looked
        looked += 1
        if looked == 1:
            for found in os.listdir(directory):
                os.unlink(found, dir_fd=directory)
        return looks(upper)(directory, name)

    monkeypatch.setattr(folding, "_is_there", is_there)
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        assert folding.same_name(directory, "a", "A")
    finally:
        os.close(directory)
    assert looked == 2
