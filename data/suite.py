"""The suite of a pipeline: inferred from its first batch, kept as JSON, edited by people."""

import json
import os
import tempfile
from collections.abc import Mapping
from math import ceil, floor, isfinite, log10
from pathlib import Path
from typing import Any

import polars as pl

from data.expectations import check_expectation, suite_document
from data.fingerprint import take_fingerprint
from data.schema import Schema

READINGS = "lehr_readings"  # how many features of a row have a value
INFINITE = "lehr_infinite"  # how many are infinite
ROW_COUNTS = (READINGS, INFINITE)


def count_readings(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The frame with the two columns that row checks read: `lehr_readings` and `lehr_infinite`."""
    numbers = [*schema.features, *([schema.target] if schema.task == "regression" else [])]
    return frame.with_columns(
        pl.sum_horizontal(pl.col(schema.features).is_not_null()).cast(pl.Int32).alias(READINGS),
        pl.sum_horizontal(pl.col(numbers).is_infinite().fill_null(False)).cast(pl.Int32).alias(INFINITE),
    )


def infer_suite(frame: pl.DataFrame, schema: Schema) -> dict[str, Any]:
    """A suite from the first batch, as Great Expectations' JSON.

    Critical is only what is structurally or physically wrong: a column that is not there, a row without any reading,
    an infinite value. Ranges, missing shares and classes were guessed from data, so they are warnings. The suite's
    `meta` keeps the fingerprint that units and order of columns are checked against.
    """
    expectations = [
        *_structure(schema),
        *(e for c in schema.features for e in expect_numbers(frame[c])),
        *_roles(frame, schema),
    ]
    return suite_document("lehr", expectations, {"lehr": {"fingerprint": take_fingerprint(frame, schema)}})


def suite_for(path: Path, frame: pl.DataFrame, schema: Schema) -> dict[str, Any]:
    """The suite in the file; where there is none yet, one inferred from the frame is saved there first.

    Raises ValueError as `load_suite` does.
    """
    if not path.exists():
        save_suite(path, infer_suite(frame, schema))
    return load_suite(path)


def save_suite(path: Path, suite: Mapping[str, Any]) -> bool:
    """Write a suite where there is none; False, and nothing changed, where one is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8") as part:
        json.dump(suite, part, indent=2, ensure_ascii=False)
        part.write("\n")
        part.flush()
        os.fsync(part.fileno())
        try:
            os.link(part.name, path)
        except FileExistsError:
            return False
    path.chmod(0o644)
    return True


def load_suite(path: Path) -> dict[str, Any]:
    """Read a suite; raises ValueError with the path and the place for whatever is wrong in it."""
    try:
        suite = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the suite {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"the suite {path} is not UTF-8 text: {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"the suite {path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    if not isinstance(suite, dict) or not isinstance(suite.get("expectations"), list):
        raise ValueError(f"the suite {path} must hold a list 'expectations'")
    for number, expectation in enumerate(suite["expectations"]):
        _check(expectation, f"the suite {path}: expectations[{number}]")
    return suite


def _check(expectation: object, place: str) -> None:
    if not isinstance(expectation, dict):
        raise ValueError(f"{place}: must be a mapping with type and kwargs, not {type(expectation).__name__}")
    try:
        check_expectation(expectation)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _structure(schema: Schema) -> list[dict[str, Any]]:
    return [
        _expectation("table_columns_to_match_set", "critical", column_set=list(schema.columns), exact_match=False),
        _expectation("column_values_to_be_between", "critical", column=READINGS, min_value=1),
        _expectation("column_values_to_be_between", "critical", column=INFINITE, max_value=0),
    ]


def expect_numbers(column: pl.Series) -> list[dict[str, Any]]:
    """What was guessed of a column of numbers: about as many values as now, in about their range; as warnings."""
    return [_present(column), *expect_range(column)]


def expect_range(column: pl.Series) -> list[dict[str, Any]]:
    """The range alone, of a column whose values may be missing."""
    limits = _range(column)
    if limits is None:
        return []
    keys = {"column": column.name, "min_value": limits[0], "max_value": limits[1], "mostly": 0.99}
    return [_expectation("column_values_to_be_between", "warning", **keys)]


def _roles(frame: pl.DataFrame, schema: Schema) -> list[dict[str, Any]]:
    target = frame[schema.target]
    expectations = [_present(frame[c]) for c in (schema.target, schema.timestamp, schema.group) if c is not None]
    limits = _range(target) if schema.task == "regression" else None
    if limits is not None:
        keys = {"column": schema.target, "min_value": limits[0], "max_value": limits[1], "mostly": 0.99}
        expectations.append(_expectation("column_values_to_be_between", "warning", **keys))
    classes = target.drop_nulls().unique().sort().to_list()
    if schema.task == "classification" and classes:
        expectations.append(
            _expectation("column_values_to_be_in_set", "warning", column=schema.target, value_set=classes)
        )
    return expectations


def _present(column: pl.Series) -> dict[str, Any]:
    """At least as much present as in the first batch, less its missing share again and a twentieth."""
    mostly = max(0.0, 1 - 2 * column.null_count() / max(len(column), 1) - 0.05)
    return _expectation("column_values_to_not_be_null", "warning", column=column.name, mostly=round(mostly, 2))


def _range(column: pl.Series) -> tuple[float, float] | None:
    """The values' range widened by half its width, in three digits; below zero only where values were."""
    values = column.drop_nulls().cast(pl.Float64)
    values = values.filter(values.is_finite())
    if values.is_empty():
        return None
    low, high = (float(v) for v in values.quantile([0.0, 1.0], "nearest"))  # pyright: ignore
    margin = (high - low) / 2 or abs(high) / 2 or 1.0
    return _round(0.0 if low >= 0 and low < margin else low - margin, margin, floor), _round(
        high + margin, margin, ceil
    )


def _round(value: float, margin: float, outward: Any) -> float:
    step = 10.0 ** (floor(log10(margin)) - 2)
    rounded = outward(value / step) * step
    return float(f"{rounded:.10g}") if isfinite(rounded) else value


def _expectation(kind: str, severity: str, **keys: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": keys, "severity": severity}
