"""What polars says of an expectation is what Great Expectations says."""

import math
import os
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.compiled import COMPILERS
from data.expectations import check_expectations, check_in_great_expectations
from data.outcomes import Outcome

EXAMPLES = int(os.environ.get("LEHR_EXAMPLES", "25"))
TENTH = float(np.float32(0.1))
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, TENTH, 1.0, 2.0, 2.5, -3.0, math.nan, math.inf, -math.inf, 1e-45, 1e20]),
    st.floats(-10, 10, width=32),
)
WHOLE = st.one_of(st.integers(-3, 3), st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1]))
CELLS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "single": (pl.Float32, FLOATS),
    "double": (pl.Float64, st.one_of(FLOATS, st.floats(-1e3, 1e3), st.sampled_from([1e200, -1e200]))),
    "whole": (pl.Int64, WHOLE),
    "short": (pl.Int16, st.integers(-3, 3)),
    "text": (pl.String, st.sampled_from(["", "a", "ab", "b\n", "AB 12", "ä", "a.b", "12\n3"])),
    "flag": (pl.Boolean, st.booleans()),
    "time": (pl.Datetime("us"), st.datetimes(datetime(2020, 1, 1), datetime(2020, 1, 2))),
}
COLUMNS = st.sampled_from([*CELLS, "single", "single", "double", "whole", "gone"])
LIMIT = st.one_of(st.none(), st.sampled_from([0, 0.1, TENTH, 1, 2.5, -3, 2**53, 1e200]), st.floats(-10, 10))
COUNT = st.one_of(st.none(), st.integers(0, 12))
SETS = st.one_of(
    st.lists(st.one_of(st.sampled_from([0, 1, 2, -3]), st.sampled_from([0.1, TENTH, 2.5])), min_size=1, max_size=4),
    st.lists(st.sampled_from([0, 1, 2, 2**53, 2**53 + 2]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["", "a", "AB 12"]), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=2),
)
PATTERNS = st.sampled_from(
    ["a", "^a", "b$", "^[a-z]+$", "a.b", r"a\.b", "[0-9]{2}$", "^$", ".", "[^a]", r"\d", "a|b", "$"]
)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.one_of(st.integers(0, 2), st.integers(3, 12)))
    gaps = st.sampled_from([0, 0, 1, 2])
    columns = {}
    for name, (dtype, cells) in CELLS.items():
        cell = [cells, st.one_of(st.none(), cells), st.none()][draw(gaps)]
        values = draw(st.lists(cell, min_size=rows, max_size=rows))
        columns[name] = pl.Series(name, values, dtype=dtype)
    return pl.DataFrame(columns)


@st.composite
def arguments(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    values: dict[str, st.SearchStrategy[Any]] = {
        "column": COLUMNS,
        "mostly": st.sampled_from([0, 0.5, 0.9, 1, 1.0, 2 / 3]),
        "value_set": SETS,
        "regex": PATTERNS,
        "strictly": st.booleans(),
        "strict_min": st.booleans(),
        "strict_max": st.booleans(),
        "column_set": st.one_of(
            st.just(list(CELLS)), st.lists(st.sampled_from([*CELLS, "gone"]), max_size=9, unique=True)
        ),
        "exact_match": st.booleans(),
        "value": st.integers(0, 8),
    }
    counts = "count" in kind
    values |= {"min_value": COUNT, "max_value": COUNT} if counts else {"min_value": LIMIT, "max_value": LIMIT}
    chosen = {name: draw(values[name]) for name in COMPILERS[kind][1]}
    limits = [chosen.get("min_value"), chosen.get("max_value")]
    if "min_value" in chosen and limits == [None, None]:
        chosen["min_value"] = 1
    elif None not in limits and limits[0] > limits[1]:
        chosen["min_value"], chosen["max_value"] = limits[1], limits[0]
    return {name: value for name, value in chosen.items() if value is not None}


@st.composite
def suites(draw: st.DrawFn) -> dict[str, Any]:
    kinds = [kind for kind in COMPILERS for _ in range(2)]
    return {
        "expectations": [
            {"type": k, "kwargs": draw(arguments(k)), "severity": draw(st.sampled_from(["critical", "warning"]))}
            for k in kinds
        ]
    }


def verdict(outcome: Outcome) -> tuple[object, ...]:
    """Everything but what was observed, which rounding may change, and the words of an error."""
    found = (outcome.met, outcome.failing, outcome.rows, outcome.error is None)
    return outcome.expectation, outcome.column, outcome.severity, *found


def saw_the_same(fast: object, slow: object) -> bool:
    if isinstance(fast, int | float) and isinstance(slow, int | float | np.number):
        return float(fast) == float(slow) or math.isclose(fast, slow, rel_tol=1e-5, abs_tol=1e-6)
    return fast == slow


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames(), suites())
@pytest.mark.timeout(0)
def test_both_say_the_same(frame: pl.DataFrame, suite: dict[str, Any]) -> None:
    compiled = check_expectations(frame, suite)
    checked = check_in_great_expectations(frame, suite["expectations"])
    for document, fast, slow in zip(suite["expectations"], compiled, checked, strict=True):
        assert verdict(fast) == verdict(slow), document
        assert saw_the_same(fast.observed, slow.observed), document
