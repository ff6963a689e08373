"""Is this batch sound? Rows that are not go to quarantine; a batch that is not, goes whole."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from data.expectations import check_expectations
from data.fingerprint import find_mismatch
from data.outcomes import Outcome, Severity
from data.schema import Schema
from data.sensor_expectations import SENSOR_EXPECTATIONS
from data.suite import INFINITE, READINGS, ROW_COUNTS, count_readings


@dataclass(frozen=True)
class Finding:
    """An expectation that a batch did not meet."""

    expectation: str
    column: str | None
    severity: Severity
    failing: int
    observed: object
    text: str


@dataclass(frozen=True)
class ValidationReport:
    """What was found in a batch.

    reasons: for each row that goes to quarantine (index from 0), why. refusal: why the batch goes there whole.
    """

    findings: tuple[Finding, ...]
    reasons: dict[int, str]
    refusal: str | None


def validate(
    frame: pl.DataFrame,
    schema: Schema,
    suite: Mapping[str, Any],
    max_quarantined_share: float,
    window_length: int,
) -> ValidationReport:
    """Check a batch, read against its schema, by its pipeline's suite.

    Every row that breaks a critical expectation goes to quarantine, also where the expectation's `mostly` is met.
    Raises ValueError where the suite names a column that the schema does not have.
    """
    _check_columns(suite, schema)
    refusal = _structural_refusal(frame, schema, suite, window_length)
    if refusal is not None:
        return ValidationReport((), {}, refusal)
    counted = count_readings(frame, schema)
    outcomes = check_expectations(counted, suite)
    findings = tuple(_finding(o, counted) for o in outcomes if not o.met)
    reasons = _row_reasons(outcomes, counted, schema)
    return ValidationReport(
        findings, reasons, _refusal(outcomes, reasons, frame.height, max_quarantined_share, window_length)
    )


def suspect_sensors(report: ValidationReport, features: Sequence[str]) -> tuple[str, ...]:
    """The features that break an expectation about sensors: flat, dead or jumping, as a person said they must not."""
    named = {finding.column for finding in report.findings if finding.expectation in SENSOR_EXPECTATIONS}
    return tuple(feature for feature in features if feature in named)


def broken_targets(labels: pl.DataFrame, schema: Schema, suite: Mapping[str, Any]) -> dict[int, str]:
    """The rows of a frame with a target that break a critical expectation of it, by their index, and why."""
    of_target = [e for e in suite["expectations"] if e["kwargs"].get("column") == schema.target]
    outcomes = check_expectations(labels, {"expectations": of_target})
    return _row_reasons(outcomes, labels, schema)


def _check_columns(suite: Mapping[str, Any], schema: Schema) -> None:
    known = {*schema.columns, *ROW_COUNTS}
    for number, expectation in enumerate(suite["expectations"]):
        column = expectation["kwargs"].get("column")
        if column is not None and column not in known:
            raise ValueError(
                f"the suite's expectations[{number}] names the column {column!r}, which the pipeline does not read; "
                f"its columns are {', '.join(schema.columns)}"
            )


def _structural_refusal(
    frame: pl.DataFrame, schema: Schema, suite: Mapping[str, Any], window_length: int
) -> str | None:
    if frame.height < window_length:
        return f"{frame.height} rows are fewer than one window of {window_length}"
    if frame.select(schema.features).null_count().row(0) == (frame.height,) * len(schema.features):
        return f"not one reading in {frame.height} rows: every feature is empty"
    fingerprint = suite.get("meta", {}).get("lehr", {}).get("fingerprint")
    return None if fingerprint is None else find_mismatch(frame, fingerprint)


def _row_reasons(outcomes: list[Outcome], counted: pl.DataFrame, schema: Schema) -> dict[int, str]:
    reasons: dict[int, list[str]] = {}
    for outcome in outcomes:
        if outcome.severity == "critical":
            for row in outcome.rows:
                reasons.setdefault(row, []).append(_row_reason(outcome, row, counted, schema))
    return {row: "; ".join(reasons[row]) for row in sorted(reasons)}


def _row_reason(outcome: Outcome, row: int, counted: pl.DataFrame, schema: Schema) -> str:
    if outcome.column == READINGS:
        return "no reading in any feature"
    if outcome.column == INFINITE:
        infinite = [c for c, v in counted.row(row, named=True).items() if v in (float("inf"), float("-inf"))]
        return f"infinite value in {', '.join(infinite)}"
    value = "" if outcome.column is None else f" {outcome.column} = {counted[outcome.column][row]}:"
    return f"{value} breaks {outcome.expectation}".strip()


def _finding(outcome: Outcome, counted: pl.DataFrame) -> Finding:
    failing = counted.height if outcome.failing is None else outcome.failing
    return Finding(
        outcome.expectation, outcome.column, outcome.severity, failing, outcome.observed, _text(outcome, counted)
    )


def _text(outcome: Outcome, counted: pl.DataFrame) -> str:
    subject = outcome.column or "the batch"
    if outcome.error is not None:
        return f"{subject}: {outcome.expectation} could not be checked: {outcome.error}"
    if outcome.failing is None:
        return f"{subject}: {outcome.expectation} is not met, observed {outcome.observed}"
    share = outcome.failing / max(counted.height, 1)
    return f"{subject}: {outcome.failing:,} rows ({share:.1%}) break {outcome.expectation}"


def _refusal(
    outcomes: list[Outcome], reasons: Mapping[int, str], rows: int, max_share: float, window_length: int
) -> str | None:
    """Whole-batch expectations that are critical and failed, then too many bad rows, then too few good ones."""
    for outcome in outcomes:
        if outcome.severity == "critical" and not outcome.met and outcome.failing is None:
            return f"{outcome.column or 'the batch'} breaks {outcome.expectation}: {outcome.error or outcome.observed}"
    if len(reasons) > max_share * rows:
        reason, count = Counter(reasons.values()).most_common(1)[0]
        return f"{len(reasons)} of {rows} rows are bad, more than {max_share:.0%}; {count} because: {reason}"
    if rows - len(reasons) < window_length:
        return f"{rows - len(reasons)} good rows are fewer than one window of {window_length}"
    return None
