"""What polars says of an expectation is what Great Expectations says."""

import math
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.compiled import COMPILERS, compile_expectation
from data.expectations import check_expectations, check_in_great_expectations
from data.outcomes import Outcome

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("LEHR_EXAMPLES", "10"))
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
    if "regex" in COMPILERS[kind][1]:
        values["column"] = st.sampled_from(["text", "text", "text", "flag", "gone"])
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


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames(), suites())
@pytest.mark.timeout(0)
def test_both_say_the_same(frame: pl.DataFrame, suite: dict[str, Any]) -> None:
    compiled = check_expectations(frame, suite)
    checked = check_in_great_expectations(frame, suite["expectations"])
    for document, fast, slow in zip(suite["expectations"], compiled, checked, strict=True):
        assert verdict(fast) == verdict(slow), document
        assert saw_the_same(fast.observed, slow.observed), document


def test_what_it_does_not_know_is_left_to_great_expectations() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0], "^a$": [3.0, 4.0], "t": [datetime(2024, 1, 1)] * 2})
    between = "expect_column_values_to_be_between"
    left: list[dict[str, Any]] = [
        {"type": "expect_column_quantile_values_to_be_between", "kwargs": {"column": "a"}},
        {"type": between, "kwargs": {"column": "a", "min_value": 0, "row_condition": 'col("a") > 0'}},
        {"type": between, "kwargs": {"column": "a", "min_value": 2, "max_value": 1}},
        {"type": between, "kwargs": {"column": "a", "min_value": True}},
        {"type": between, "kwargs": {"column": "a", "max_value": math.nan}},
        {"type": between, "kwargs": {"column": "a", "max_value": 1}, "windows": []},
        {"type": between, "kwargs": {"column": "a", "max_value": 1}, "severity": "bad"},
        {"type": between, "kwargs": {"column": "t", "min_value": 1}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "a", "value_set": [1.0, None]}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "a", "value_set": ["1"]}},
    ]
    assert [compile_expectation(frame, document) for document in left] == [None] * len(left)


def test_a_name_that_looks_like_a_pattern_is_a_name() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0], "^a$": [3.0, 4.0]})
    document = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "^a$", "min_value": 3.5}}
    (outcome,) = check_expectations(frame, {"expectations": [document]})
    assert outcome.rows == (0,)


def test_a_statistic_next_to_its_limit_is_left_to_great_expectations(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"a": pl.Series([0.1, 0.2, 0.3], dtype=pl.Float32)})
    asked: list[Any] = []
    monkeypatch.setattr(
        "data.expectations.check_in_great_expectations", lambda frame, documents: asked.extend(documents) or documents
    )
    for limit in (0.1, 0.2, 0.200001):
        document = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "a", "min_value": limit}}
        check_expectations(frame, {"expectations": [document]})
    assert [document["kwargs"]["min_value"] for document in asked] == [0.2, 0.200001]


def test_great_expectations_is_not_imported_where_it_is_not_needed() -> None:
    script = """
import sys, polars as pl
from data.expectations import check_expectations
between = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "min_value": 2}}
flat = {"type": "expect_column_not_to_be_flat", "kwargs": {"column": "a", "max_run": 1}}
print([o.met for o in check_expectations(pl.DataFrame({"a": [1, 2]}), {"expectations": [between, flat]})])
print("great_expectations" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["[False, True]", "False"]
