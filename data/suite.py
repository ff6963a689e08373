"""The Great Expectations suite of a pipeline: inferred from the first batch, then a file that people may edit."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from data.files import write_whole
from data.fingerprint import fingerprint_of
from data.schema import Schema

READINGS, INFINITE = "lehr_readings", "lehr_infinite"
"""Columns that are added for validation: a row's finite readings, and its infinite ones."""

MARGIN = 1.0
"""A guessed range is widened by so many times its own width on both sides."""

_SLACK = 0.1


def suite_for(path: Path, frame: pl.DataFrame, schema: Schema) -> dict[str, Any]:
    """The suite in the file; where there is none yet, one inferred from the frame is saved there first.

    Raises ValueError, naming the file and the place, for a file that is no suite.
    """
    if not path.exists():
        text = json.dumps(infer_suite(path.name.removesuffix(".suite.json"), frame, schema), indent=2)
        write_whole(path, text.encode())
    return load_suite(path)


def load_suite(path: Path) -> dict[str, Any]:
    """Read a suite's JSON; raises ValueError that names the file and the place for what is no suite."""
    try:
        suite = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the validation suite {path} cannot be read: {error}") from None
    if not isinstance(suite, dict) or not isinstance(suite.get("expectations"), list):
        raise ValueError(f"the validation suite {path} needs a list 'expectations'")
    for i, expectation in enumerate(suite["expectations"]):
        if not isinstance(expectation, dict) or not isinstance(expectation.get("type"), str):
            raise ValueError(f"{path}: expectations[{i}] needs a 'type' such as expect_column_values_to_be_between")
    return suite


def infer_suite(name: str, frame: pl.DataFrame, schema: Schema) -> dict[str, Any]:
    """A suite from a first batch: what cannot be is critical, every range guessed from data is a warning.

    Values that moved are drift, which the watcher judges; only what is structurally wrong goes to quarantine.
    """
    expectations = [
        _between(READINGS, 1, None, "critical", "the row has no reading at all"),
        _between(INFINITE, 0, 0, "critical", "the row has a reading that is not finite"),
    ]
    for feature in schema.features:
        expectations += _guesses(frame[feature])
    if schema.task == "classification":
        labels = sorted(frame[schema.target].drop_nulls().unique().to_list())
        guess = {"column": schema.target, "value_set": labels, "mostly": 1.0}
        expectations.append(_expectation("expect_column_values_to_be_in_set", guess, "warning", "a new class"))
    missing = frame[schema.target].null_count() / frame.height
    guess = {"column": schema.target, "mostly": max(0.0, 1 - missing - _SLACK)}
    expectations.append(_expectation("expect_column_values_to_not_be_null", guess, "warning", "unlabelled rows"))
    return {"name": name, "expectations": expectations, "meta": {"fingerprint": fingerprint_of(frame, schema)}}


def _guesses(column: pl.Series) -> list[dict[str, Any]]:
    missing = column.null_count() / len(column)
    present = {"column": column.name, "mostly": max(0.0, round(1 - missing - _SLACK, 3))}
    guesses = [_expectation("expect_column_values_to_not_be_null", present, "warning", "guessed from the first batch")]
    known = column.drop_nulls().cast(pl.Float64)
    if len(known):
        low, high = float(known.quantile(0.001) or 0.0), float(known.quantile(0.999) or 0.0)
        width = MARGIN * max(high - low, abs(high) * 0.01)
        least, most = (float(f"{bound:.6g}") for bound in (low - width, high + width))
        guesses.append(_between(column.name, least, most, "warning", "guessed from the first batch", mostly=0.99))
    return guesses


def _between(
    column: str, least: float | None, most: float | None, severity: str, note: str, mostly: float = 1.0
) -> dict[str, Any]:
    bounds = {"column": column, "min_value": least, "max_value": most, "mostly": mostly}
    return _expectation("expect_column_values_to_be_between", bounds, severity, note)


def _expectation(kind: str, kwargs: dict[str, Any], severity: str, note: str) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity, "meta": {"lehr": note}}
