"""What README.md and the guides tell users to type is typed, against a real service."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack_fixture import Stack

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(language, code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (language, code) in enumerate(_BLOCK.findall(page.read_text()), 1)
]


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_an_example_runs(stack: Stack, tmp_path: Path, language: str, code: str) -> None:
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    config = tmp_path / "config"
    environ = {
        **os.environ,
        "NEUROMATION_CONFIG": str(config),
        "NEURO_URL": stack.url,
        "NEURO_TOKEN": stack.token("reader"),
    }
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    if language == "python":
        commands = [[sys.executable, "-c", code]]
    else:
        commands = [shlex.split(line, comments=True) for line in code.splitlines() if line.strip()]
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_there_are_examples() -> None:
    assert len(BLOCKS) >= 2
