"""What the engines of the tests cannot show is published as it is in the table, and the table means tests that there are."""

import ast
from pathlib import Path

from tests.conformance import exceptions


def test_the_published_matrix_is_the_table() -> None:
    assert exceptions.PAGE.read_text(encoding="utf-8") == exceptions.page(), (
        "run python -m tests.conformance.exceptions"
    )


def test_every_exception_is_of_a_test_and_an_engine_that_are_there() -> None:
    suites = [ast.parse(path.read_text()) for path in (Path(__file__).parents[1] / "conformance").glob("*.py")]
    tests = {node.name for suite in suites for node in ast.walk(suite) if isinstance(node, ast.AsyncFunctionDef)}

    assert {row.test for row in exceptions.UNSHOWN} <= tests
    assert {row.engine for row in exceptions.UNSHOWN} <= set(exceptions.ENGINES)
