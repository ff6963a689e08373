from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.expectations import check_expectations, suite_document
from data.outcomes import Outcome
from data.suite import load_suite, save_suite

START = datetime(2024, 1, 1)
MONOTONIC, GAPS = "expect_column_values_to_be_monotonic_time", "expect_sampling_gaps_to_be_at_most"
FLAT, JUMPS, DEAD = "expect_column_not_to_be_flat", "expect_column_jumps_to_be_at_most", "expect_column_not_to_be_dead"


def at(*seconds: float | None) -> pl.DataFrame:
    return pl.DataFrame({"t": [None if s is None else START + timedelta(seconds=s) for s in seconds]})


def readings(*values: float | None, units: str | None = None) -> pl.DataFrame:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float32)})
    return frame if units is None else frame.with_columns(unit=pl.Series(list(units)))


def check(frame: pl.DataFrame, kind: str, **kwargs: Any) -> Outcome:
    (outcome,) = check_expectations(frame, {"expectations": [{"type": kind, "kwargs": kwargs}]})
    return outcome


def test_time_that_goes_back() -> None:
    frame = at(0, 1, 1, None, 5, 4, 6)
    assert check(frame, MONOTONIC, column="t").rows == (5,)
    assert check(frame, MONOTONIC, column="t", strictly=True).rows == (2, 5)
    assert check(at(0, 1, None), MONOTONIC, column="t", strictly=True).met


def test_time_is_ordered_within_each_group() -> None:
    frame = at(10, 0, 11, 1, 9).with_columns(unit=pl.Series(list("ababa")))
    assert check(frame, MONOTONIC, column="t", group="unit").rows == (4,)
    assert check(frame, MONOTONIC, column="t").failing == 2


def test_the_row_after_a_gap_breaks_it() -> None:
    frame = at(0, 1, 2, 2.5, 4, None, 5.5)
    outcome = check(frame, GAPS, column="t", seconds=1.2)
    assert (outcome.met, outcome.failing, outcome.rows) == (False, 2, (4, 6))
    assert check(frame, GAPS, column="t", seconds=1.5).met
    assert check(frame, GAPS, column="t", seconds=1.2, mostly=0.6).met


def test_gaps_between_groups_do_not_count() -> None:
    frame = at(0, 1, 100, 101).with_columns(unit=pl.Series(list("aabb")))
    assert check(frame, GAPS, column="t", seconds=1, group="unit").met
    assert not check(frame, GAPS, column="t", seconds=1).met


def test_every_row_of_a_run_that_is_too_long_breaks_it() -> None:
    frame = readings(1, 1, 2, 2, None, 2, float("nan"), 3, None)
    outcome = check(frame, FLAT, column="x", max_run=2)
    assert (outcome.met, outcome.failing, outcome.rows) == (False, 3, (2, 3, 5))
    assert outcome.observed == 50.0
    assert check(frame, FLAT, column="x", max_run=3).met


def test_runs_and_jumps_end_where_the_group_does() -> None:
    frame = readings(1, 9, 1, 9, 2, 9, units="ababab")
    assert check(frame, FLAT, column="x", max_run=2, group="unit").rows == (1, 3, 5)
    assert check(frame, FLAT, column="x", max_run=1).met
    assert check(frame, JUMPS, column="x", max_jump=1, group="unit").met
    assert check(frame, JUMPS, column="x", max_jump=1).failing == 5


def test_jumps_are_to_the_value_before() -> None:
    frame = readings(0, 2, None, 5, float("nan"), 5, float("inf"), float("inf"), 1)
    assert check(frame, JUMPS, column="x", max_jump=2).rows == (3, 6, 8)


@pytest.mark.parametrize(("values", "distinct"), [((), 0), ((None, None), 0), ((2, 2, None), 1), ((2, 3), 2)])
def test_a_dead_sensor(values: tuple[float | None, ...], distinct: int) -> None:
    outcome = check(readings(*values), DEAD, column="x")
    assert (outcome.met, outcome.observed, outcome.failing) == (distinct == 2, distinct, None)
    assert check(readings(*values), DEAD, column="x", min_distinct=1).met == (distinct > 0)


@pytest.mark.parametrize(
    ("kind", "kwargs", "said"),
    [
        (DEAD, {"column": "y"}, "there is no column 'y'"),
        (FLAT, {"column": "x", "max_run": 2, "group": "unit"}, "there is no column 'unit'"),
        (MONOTONIC, {"column": "x"}, "the column 'x' holds Float32, not times"),
        (GAPS, {"column": "x", "seconds": 1}, "the column 'x' holds Float32, not times"),
    ],
)
def test_what_cannot_be_checked_is_not_met(kind: str, kwargs: dict[str, Any], said: str) -> None:
    outcome = check(readings(1, 2), kind, **kwargs)
    assert (outcome.met, outcome.error) == (False, said)


@pytest.mark.parametrize(
    ("kind", "kwargs", "said"),
    [
        (DEAD, {"colum": "x"}, "has no argument 'colum'; its arguments are column, min_distinct"),
        (GAPS, {"column": "t"}, "needs the argument 'seconds', a number above 0"),
        (GAPS, {"column": "t", "seconds": 0}, "'seconds' must be a number above 0 and at most"),
        (FLAT, {"column": "x", "max_run": 2.5}, "'max_run' must be a whole number of at least 1, not 2.5"),
        (JUMPS, {"column": "x", "max_jump": True}, "'max_jump' must be a number of at least 0, not True"),
        (MONOTONIC, {"column": "t", "mostly": 2}, "'mostly' must be a number from 0 to 1, not 2"),
    ],
)
def test_bad_arguments_are_refused_with_what_is_allowed(
    tmp_path: Path, kind: str, kwargs: dict[str, Any], said: str
) -> None:
    suite = {"expectations": [{"type": kind, "kwargs": kwargs}]}
    save_suite(tmp_path / "line.json", suite)
    with pytest.raises(ValueError, match=rf"expectations\[0\]: {kind}.*{said}"):
        load_suite(tmp_path / "line.json")
    with pytest.raises(ValueError, match=said):
        check_expectations(readings(1, 2), suite)


def test_a_severity_that_does_not_exist_is_refused() -> None:
    suite = {"expectations": [{"type": DEAD, "kwargs": {"column": "x"}, "severity": "bad"}]}
    with pytest.raises(ValueError, match="Invalid severity 'bad'; allowed are critical, warning, info"):
        check_expectations(readings(1, 2), suite)


def test_a_suite_holds_both_kinds_in_their_order(tmp_path: Path) -> None:
    own: dict[str, Any] = {"type": DEAD, "kwargs": {"column": "x"}, "severity": "info"}
    theirs = [{"type": "expect_column_to_exist", "kwargs": {"column": c}, "severity": "info"} for c in ("x", "y")]
    suite = suite_document("line", [theirs[0], own, theirs[1]], {})
    assert [e["type"] for e in suite["expectations"]] == [theirs[0]["type"], DEAD, theirs[1]["type"]]
    save_suite(tmp_path / "line.json", suite)
    outcomes = check_expectations(readings(1, 2), load_suite(tmp_path / "line.json"))
    assert [(o.expectation, o.met) for o in outcomes] == [
        ("expect_column_to_exist", True),
        (DEAD, True),
        ("expect_column_to_exist", False),
    ]
