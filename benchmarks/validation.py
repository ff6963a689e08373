"""Seconds of a suite's check, compiled and in Great Expectations: 10⁶ rows × 20 features, 42 expectations.

Writes benchmarks/out/validation.json.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl

from benchmarks.results import bar_chart, write_json
from data.expectations import check_expectations, check_in_great_expectations
from data.outcomes import Outcome

ROWS, FEATURES, CRITICAL = 1_000_000, 20, 3


def make_frame() -> pl.DataFrame:
    """Sensor values of which a few are missing, and a few of the first columns' out of range."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((FEATURES, ROWS), dtype=np.float32)
    values[rng.random(values.shape, dtype=np.float32) < 1e-4] = np.nan
    values[:5][rng.random((5, ROWS), dtype=np.float32) < 1e-3] = 100
    return pl.DataFrame({f"s{i:02}": values[i] for i in range(FEATURES)}).fill_nan(None)


def make_suite(columns: list[str]) -> list[dict[str, Any]]:
    """Ranges and presence of every column, the row count, the columns; the first ranges are critical."""
    suite: list[dict[str, Any]] = [
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1000}, "severity": "warning"},
        {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": columns}, "severity": "critical"},
    ]
    for number, column in enumerate(columns):
        limits = {"column": column, "min_value": -6.5, "max_value": 6.5, "mostly": 0.9995}
        severity = "critical" if number < CRITICAL else "warning"
        suite.append({"type": "expect_column_values_to_be_between", "kwargs": limits, "severity": severity})
        present = {"column": column, "mostly": 0.99}
        suite.append({"type": "expect_column_values_to_not_be_null", "kwargs": present, "severity": "warning"})
    return suite


def timed(check: Callable[[], list[Outcome]]) -> tuple[float, list[Outcome]]:
    """Seconds of a check, and what it found."""
    start = perf_counter()
    outcomes = check()
    return perf_counter() - start, outcomes


def main() -> None:
    frame = make_frame()
    suite = make_suite(frame.columns)
    check_in_great_expectations(frame.head(10), suite)  # its import is not what is measured
    fast, compiled = timed(lambda: check_expectations(frame, {"expectations": suite}))
    slow, checked = timed(lambda: check_in_great_expectations(frame, suite))
    same = {
        "verdicts": [o.met for o in compiled] == [o.met for o in checked],
        "counts": [o.failing for o in compiled] == [o.failing for o in checked],
        "rows": [o.rows for o in compiled] == [o.rows for o in checked],
    }
    print(f"{len(suite)} expectations of {ROWS:,} rows × {FEATURES}, {sum(not o.met for o in checked)} not met,")
    print(f"{sum(len(o.rows) for o in checked):,} rows named")
    print(f"{'compiled':<20} {fast:6.2f} s")
    print(f"{'Great Expectations':<20} {slow:6.2f} s")
    print(f"{'ratio':<20} {slow / fast:6.1f}")
    print("; ".join(f"{name} {'identical' if equal else 'NOT identical'}" for name, equal in same.items()))
    seconds = {"compiled": fast, "Great Expectations": slow}
    write_json("validation", {"seconds": seconds, "ratio": slow / fast, "identical": same})
    bar_chart("validation", f"Seconds of {len(suite)} expectations, {ROWS:,} rows × {FEATURES}", {"": seconds})


if __name__ == "__main__":
    main()
