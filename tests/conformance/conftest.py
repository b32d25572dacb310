"""What an engine cannot show must fail there, by name: `exceptions` is the table."""

import pytest

from tests.conformance.exceptions import unshown


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        engine = getattr(getattr(item, "cls", None), "engine_name", None)
        if engine is not None and isinstance(item, pytest.Function):
            parameters = item.callspec.id if hasattr(item, "callspec") else ""
            if row := unshown(engine, item.originalname, parameters):
                reason = f"{engine} does not show it: {row.reason}"
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True, run=row.run))
