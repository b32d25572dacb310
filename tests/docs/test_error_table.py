"""The published table of faults and errors is the one that the tests go by."""

from tests.conformance import faults


def test_the_published_table_is_the_table() -> None:
    assert faults.PAGE.read_text(encoding="utf-8") == faults.page(), "run python -m tests.conformance.faults"
