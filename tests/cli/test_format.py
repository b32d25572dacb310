"""Sizes, durations and tables."""

import pytest

from neuro_cli import _format


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (10_200, "10 KiB"),
        (1_023_000, "999 KiB"),
        (1_023_999, "1.0 MiB"),
        (80 * 2**20, "80 MiB"),
        (int(3.2 * 2**30), "3.2 GiB"),
        (2**60, "1.0 EiB"),
        (5000 * 2**60, "5000 EiB"),
    ],
)
def test_a_size_has_the_unit_that_fits(count: int, text: str) -> None:
    assert _format.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (41.2, "41 s"), (185, "3 min 5 s"), (7380, "2 h 3 min")],
)
def test_a_duration_is_as_fine_as_it_matters(seconds: float, text: str) -> None:
    assert _format.duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h", 3600), ("1d2h3m4s", 93784), ("90m", 5400), ("7d", 604800), ("1s", 1)]
)
def test_a_typed_duration_is_read(text: str, seconds: int) -> None:
    assert _format.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "1", "1x", "h", "1m1h", "-1h", "1.5h", "1 h", "\u0661h"])
def test_a_duration_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 30m, 1h or 1d2h3m4s"):
        _format.parse_duration(text)


def test_a_table_is_aligned_and_ends_without_blanks() -> None:
    lines = _format.table(["Id", "Name"], [["bucket-1", ""], ["b", "photos"]])
    assert lines == ["Id        Name", "bucket-1", "b         photos"]


def test_a_table_without_rows_is_its_header() -> None:
    assert _format.table(["Id", "Name"], []) == ["Id  Name"]
