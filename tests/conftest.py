"""Fixtures that every test may use."""

pytest_plugins = ["tests.engine_fixture", "tests.stack_fixture"]
