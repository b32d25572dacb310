"""Ours beside the released SDKs: the same operations, on the same data, at the same service, compared one by one.

A difference is either in `differences.ALLOWED`, with its reason, or in `differences.TO_MEND`, or it fails here. What came of those is
pinned in `recorded.json`, with every client, so that neither an allowed difference nor a fault of the released ones changes unseen.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop.comparison import covers, difference
from tests.interop.conftest import APOLO_26, NEURO_23, OURS, Results
from tests.interop.data import IGNORE_FILES
from tests.interop.differences import ALLOWED, TO_MEND
from tests.interop.operations import OPERATIONS

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))
COMPARED = [name for name in OPERATIONS if not name.startswith("surface/") and name != "ignore/files of every kind"]
COMPARED += [f"ignore/{name}" for name in IGNORE_FILES]
AREAS = sorted({name.split("/")[0] for name in COMPARED})
# The reference has another order than the released code, and its order wins.
OTHER_ORDER = {"persistent_credentials_create"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("area", AREAS)
def test_ours_does_what_the_released_ones_do(results: Results, area: str) -> None:
    told = []
    for name in COMPARED:
        if name.split("/")[0] == area and name not in {**ALLOWED, **TO_MEND}:
            for released in (NEURO_23, APOLO_26):
                ours, theirs = results[OURS][name], results[released][name]
                if not covers(ours, theirs):
                    told.append(f"{name}, {released}: {difference(ours, theirs)}")
    assert not told, "\n".join(told)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*ALLOWED, *TO_MEND])
def test_a_known_difference_is_what_it_was(results: Results, name: str) -> None:
    found = {client: results[client][name] for client in (NEURO_23, APOLO_26, OURS)}
    assert not all(covers(found[OURS], found[released]) for released in (NEURO_23, APOLO_26)), (
        f"{name} differs no more: take it out of differences.py and recorded.json"
    )
    assert found == RECORDED[name], f"as found: {json.dumps({name: found}, ensure_ascii=False)}"


def test_every_known_difference_is_of_one_kind_and_recorded() -> None:
    assert not ALLOWED.keys() & TO_MEND.keys()
    assert ALLOWED.keys() | TO_MEND.keys() == RECORDED.keys()
    assert RECORDED.keys() <= set(COMPARED)


@pytest.mark.parametrize("released", [NEURO_23, APOLO_26])
def test_ours_has_every_method_that_the_released_ones_have(results: Results, released: str) -> None:
    assert results[released]["surface/signatures"].keys() <= results[OURS]["surface/signatures"].keys()


def test_ours_takes_every_form_of_call_that_23_takes(results: Results) -> None:
    ours, theirs = results[OURS]["surface/signatures"], results[NEURO_23]["surface/signatures"]
    told = [
        f"{name}: {theirs[name]} but ours {ours[name]}"
        for name in theirs
        if not _takes_calls_of(ours[name], theirs[name], name)
    ]
    assert not told, "\n".join(told)


def _takes_calls_of(ours: list[Any], theirs: list[Any], name: str) -> bool:
    """By name: every parameter is there. By position: at the same place. And left out, wherever theirs can be."""
    by_name = {parameter[0]: parameter for parameter in ours}
    for place, (parameter, kind, optional, _default) in enumerate(theirs):
        if parameter not in by_name or (optional and not by_name[parameter][2]):
            return False
        positional = kind == "POSITIONAL_OR_KEYWORD" and name not in OTHER_ORDER
        if positional and (ours[place][0], ours[place][1]) != (parameter, kind):
            return False
    needed = {parameter[0] for parameter in ours if not parameter[2]}
    return needed <= {parameter[0] for parameter in theirs}


def test_ours_takes_every_argument_of_26_by_name(results: Results) -> None:
    ours, theirs = results[OURS]["surface/signatures"], results[APOLO_26]["surface/signatures"]
    for name, parameters in theirs.items():
        assert {parameter[0] for parameter in parameters} <= {parameter[0] for parameter in ours[name]}, name


@pytest.mark.parametrize("released", [NEURO_23, APOLO_26])
def test_errors_of_ours_are_caught_by_the_names_of_the_released_ones(results: Results, released: str) -> None:
    ours, theirs = results[OURS]["surface/errors"], results[released]["surface/errors"]
    assert set(theirs) - set(ours) == {"StdStreamError"}  # of attaching to a job: ours has no jobs
    del theirs["StdStreamError"]
    assert covers(ours, theirs, more=True), difference(ours, theirs)


@pytest.mark.parametrize("released", [NEURO_23, APOLO_26])
def test_values_of_ours_have_the_fields_of_the_released_ones(results: Results, released: str) -> None:
    ours, theirs = results[OURS]["surface/fields"], results[released]["surface/fields"]
    for name, fields in theirs.items():
        if released == NEURO_23:  # whose order the reference has
            assert ours[name][: len(fields)] == fields, name
        assert set(fields) <= set(ours[name]), name


@pytest.mark.parametrize("released", [NEURO_23, APOLO_26])
def test_providers_that_the_released_ones_know_are_known(results: Results, released: str) -> None:
    assert set(results[released]["surface/providers"]) <= set(results[OURS]["surface/providers"])


@pytest.mark.parametrize("client", [NEURO_23, APOLO_26, OURS])
def test_public_classes_say_that_they_are_of_the_package(results: Results, client: str) -> None:
    assert results[client]["surface/modules"] == []
    assert "AttributeError" in results[client]["surface/frozen"]["raises"]
