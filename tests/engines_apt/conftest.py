"""One of each engine for a run of `make test-engines`."""

from collections.abc import Iterator

import pytest

from tests.conformance.conftest import pytest_collection_modifyitems
from tests.engines_apt.ceph import Ceph, running_ceph

__all__ = ["pytest_collection_modifyitems"]


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    with running_ceph(tmp_path_factory.mktemp("ceph")) as running:
        yield running
