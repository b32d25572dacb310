"""Random work on a bucket beside the plainest model of one, a dict: whatever is done, both must tell the same."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from neuro_sdk import BlobNotFound, Bucket
from neuro_sdk._blobs import glob_blobs, is_dir, list_blobs, measure, remove
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._transfer.download import download_dir
from neuro_sdk._transfer.journal import Journal
from neuro_sdk._transfer.upload import upload_dir

BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.MEMORY, datetime(2026, 1, 1, tzinfo=UTC), False, name="model")
T = TypeVar("T")

# Few names, so that keys meet: as blob and as directory, one the beginning of the other, before and after `/` in byte order.
names = st.sampled_from(["a", "b", "ab", "a-b", "a b", "é", "a%2F"])
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
bodies = st.binary(max_size=40)
prefixes = st.one_of(st.just(""), keys, keys.map(lambda key: key + "/"), names.map(lambda name: name[:1]))
patterns = st.lists(st.sampled_from(["a", "a*", "*b", "?", "*", "[ab]", "é", "a?b"]), min_size=1, max_size=3).map(
    "/".join
)


class BucketMachine(RuleBasedStateMachine):
    """Derive, and say how the bucket is opened and left."""

    def open_store(self) -> BlobStore:
        """An empty bucket."""
        raise NotImplementedError

    def close_store(self) -> None:
        """The end of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.model: dict[str, bytes] = {}
        self.work = Path(tempfile.mkdtemp())
        self.uploads = 0
        self.store = self.open_store()

    def teardown(self) -> None:
        self.close_store()
        self.loop.close()
        shutil.rmtree(self.work)

    def wait(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.loop.run(run())

    @rule(key=keys, body=bodies)
    def put(self, key: str, body: bytes) -> None:
        if f"{key}/" in self.model:
            return  # SeaweedFS hides the marker then: README, known limits
        self.wait(self.store.put(key, body))
        self.model[key] = body

    @rule(key=keys, start=st.integers(0, 50), length=st.integers(0, 50))
    def read(self, key: str, start: int, length: int) -> None:
        async def fetch() -> bytes:
            async with self.store.get(key, start=start, stop=start + length) as reader:
                return b"".join([chunk async for chunk in reader])

        if key in self.model:
            assert self.wait(fetch()) == self.model[key][start : start + length]
        else:
            with pytest.raises(BlobNotFound):
                self.wait(fetch())

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.wait(self.store.delete(key))
        self.model.pop(key, None)

    @rule(prefix=prefixes, recursive=st.booleans(), limit=st.one_of(st.none(), st.integers(0, 4)))
    def list(self, prefix: str, recursive: bool, limit: int | None) -> None:
        async def found() -> list[str]:
            found = list_blobs(BUCKET, self.store, prefix, recursive=recursive, limit=limit)
            return [entry.key async for batch in found for entry in batch]

        expected = {key for key in self.model if key.startswith(prefix)}
        if not recursive:
            at = len(prefix)
            expected = {key[: key.index("/", at) + 1] if "/" in key[at:] else key for key in expected}
        got = self.wait(found())
        assert len(got) == len(set(got))
        if limit is None:
            assert set(got) == expected
        else:
            assert set(got) <= expected
            assert len(got) == min(limit, len(expected))

    @rule(pattern=patterns)
    def glob(self, pattern: str) -> None:
        async def found() -> list[str]:
            return [entry.key async for batch in glob_blobs(BUCKET, self.store, pattern) for entry in batch]

        parts = pattern.split("/")
        expected = set()
        for key in self.model:
            names = key.split("/")
            if len(names) >= len(parts) and all(map(fnmatchcase, names, parts)) and names[len(parts) - 1]:
                expected.add(key if len(names) == len(parts) else "/".join(names[: len(parts)]) + "/")
        assert sorted(self.wait(found())) == sorted(expected)

    @rule(name=st.sampled_from(["a", "*b", "?"]))
    def glob_at_any_depth(self, name: str) -> None:
        async def found() -> list[str]:
            return [entry.key async for batch in glob_blobs(BUCKET, self.store, f"**/{name}") for entry in batch]

        expected = [key for key in self.model if fnmatchcase(key.split("/")[-1], name)]
        assert sorted(self.wait(found())) == sorted(expected)

    @rule(key=keys, recursive=st.booleans())
    def remove(self, key: str, recursive: bool) -> None:
        under = {other for other in self.model if other.startswith(f"{key}/")}
        going = ({key} & set(self.model)) | (under if recursive else set())
        work = remove(BUCKET, self.store, key, recursive=recursive, progress=None)
        if going:
            self.wait(work)
            for other in going:
                del self.model[other]
        else:
            with pytest.raises(IsADirectoryError if under else FileNotFoundError):
                self.wait(work)

    @rule(key=keys)
    def tell_directories(self, key: str) -> None:
        assert self.wait(is_dir(self.store, key)) == any(other.startswith(f"{key}/") for other in self.model)

    @rule(tree=st.dictionaries(st.lists(names, min_size=1, max_size=2).map("/".join), bodies, max_size=5))
    def upload_and_download(self, tree: dict[str, bytes]) -> None:
        self.uploads += 1
        source, target, root = self.work / f"s{self.uploads}", self.work / f"t{self.uploads}", f"up{self.uploads}"
        source.mkdir()
        for name, body in tree.items():
            path = source / name
            if not path.is_dir() and not any(parent.is_file() for parent in path.parents):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body)
        journal = Journal(self.work / "journal")
        options = {"wanted": None, "progress": None, "update": False}
        self.wait(
            upload_dir(source, BUCKET, self.store, root, journal=journal, ignore_file_names=frozenset(), **options)  # type: ignore[arg-type]
        )
        self.model[f"{root}/"] = b""
        for path in source.rglob("*"):
            key = f"{root}/{path.relative_to(source).as_posix()}"
            self.model[f"{key}/" if path.is_dir() else key] = b"" if path.is_dir() else path.read_bytes()
        self.wait(download_dir(BUCKET, self.store, root, target, continue_=False, **options))  # type: ignore[arg-type]
        assert _tree(source) == _tree(target)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        async def found() -> dict[str, int]:
            return {blob.key: blob.size async for page in self.store.list() for blob in page.blobs}

        async def usage() -> tuple[int, int]:
            last = [usage async for usage in measure(self.store)][-1]
            return last.object_count, last.total_bytes

        assert self.wait(found()) == {key: len(body) for key, body in self.model.items()}
        assert self.wait(usage()) == (len(self.model), sum(map(len, self.model.values())))


def _tree(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}
