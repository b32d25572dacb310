"""A bucket of memory, a source with all kinds of names, and a destination."""

import os
from pathlib import Path

import pytest

from neuro_sdk._stores.memory import MemoryStore


@pytest.fixture
def store(request: pytest.FixtureRequest) -> MemoryStore:
    return MemoryStore(request.node.nodeid)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_bytes(b"alpha")
    (root / "sub" / "b.bin").write_bytes(os.urandom(300_000))
    (root / "sub" / "deep" / "zero").write_bytes(b"")
    (root / "sub" / "odd name %+?#[1] é.txt").write_bytes(b"odd")
    return root


@pytest.fixture
def dst(tmp_path: Path) -> Path:
    return tmp_path / "dst"
