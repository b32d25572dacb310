"""Fixtures that every test may use."""

import os
from collections.abc import Iterator

import pytest

pytest_plugins = [
    "tests.engine_fixture",
    "tests.azurite_fixture",
    "tests.gcs_fixture",
    "tests.postgres_fixture",
    "tests.stack_fixture",
    "tests.moto_fixture",
    "tests.juicefs_fixture",
    "tests.azurite_control_fixture",
    "tests.gcs_control_fixture",
]


@pytest.fixture(scope="session", autouse=True)
def a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what the user who runs it has configured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMATION_CONFIG", str(tmp_path_factory.mktemp("config")))
        for name in [name for name in os.environ if name.startswith("NEURO_")]:
            patch.delenv(name)
        yield
