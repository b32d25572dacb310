"""What README.md and the guides tell users to type is typed, to a real service. The Python of a page is one program."""

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
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "guides").glob("*.md"))]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# As `python -m asyncio` runs it, which takes `await` outside of a function.
_RUN = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "the page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
if inspect.iscoroutine(work := eval(code, {"__name__": "__main__"})):
    asyncio.run(work)
"""


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in _BLOCK.findall(page.read_text()) if found == language]


PROGRAMS = [pytest.param("\n".join(code), id=page.name) for page in PAGES if (code := blocks(page, "python"))]
COMMANDS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(blocks(page, "sh"), 1)
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the reader is: in a clone."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


def run(command: list[str], stack: Stack, place: Path, stdin: str = "") -> None:
    environ = {
        **os.environ,
        "NEUROMATION_CONFIG": str(place / "config"),
        "NEURO_URL": stack.url,
        "NEURO_TOKEN": stack.token("reader"),
    }
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        command, cwd=place, env=environ, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("code", PROGRAMS)
def test_the_python_of_a_page_runs(stack: Stack, place: Path, code: str) -> None:
    run([sys.executable, "-W", "error", "-c", _RUN], stack, place, code)


@pytest.mark.parametrize("code", COMMANDS)
def test_the_commands_of_a_page_run(stack: Stack, place: Path, code: str) -> None:
    for line in code.splitlines():
        if line.strip():
            run(shlex.split(line, comments=True), stack, place)


def test_there_are_examples() -> None:
    assert len(PROGRAMS) >= 4
    assert len(COMMANDS) >= 2
