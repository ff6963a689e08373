"""Validation of a batch by Great Expectations: which rows are sound, and whether the batch is."""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from data.fingerprint import explain_columns
from data.schema import Schema
from data.suite import INFINITE, READINGS

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Finding:
    """One expectation's result on a batch: how many rows break it, and that in words."""

    expectation: str
    column: str | None
    severity: Severity
    passed: bool
    failing: int
    text: str


@dataclass(frozen=True)
class ValidationReport:
    """What was found. reasons: why each quarantined row (by index) is; refusal: why all of the batch is, or None."""

    findings: tuple[Finding, ...]
    reasons: dict[int, str]
    refusal: str | None


def validate(
    frame: pl.DataFrame, schema: Schema, suite: Mapping[str, Any], max_quarantined_share: float, window_length: int
) -> ValidationReport:
    """Hold a batch against its suite, and its columns against the suite's fingerprint.

    Every row that breaks a critical expectation is quarantined, whatever `mostly` says; a critical expectation that is
    not about rows, or cannot be evaluated, refuses the batch, as do more quarantined rows than the allowed share.
    Raises ValueError for an expectation that Great Expectations does not know.
    """
    columns = explain_columns(suite.get("meta", {}).get("fingerprint", {}), frame)
    if columns is not None:
        return ValidationReport((), {}, columns)
    findings, reasons = _run_suite(_with_row_counts(frame, schema), suite)
    return ValidationReport(
        findings, reasons, _refusal(findings, reasons, frame.height, max_quarantined_share, window_length)
    )


def _refusal(
    findings: Sequence[Finding], reasons: Mapping[int, str], rows: int, allowed: float, window_length: int
) -> str | None:
    whole = [f.text for f in findings if f.severity == "critical" and not f.passed and f.failing == 0]
    if whole:
        return "; ".join(whole)
    if len(reasons) > allowed * rows:
        first = next(iter(reasons.values()))
        return f"{len(reasons):,} of {rows:,} rows are unusable, more than the allowed {allowed:.0%}: {first}"
    if rows - len(reasons) < window_length:
        return f"{rows - len(reasons):,} usable rows are fewer than one window of {window_length} rows"
    return None


def _with_row_counts(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    features = pl.col(schema.features)
    return frame.with_columns(
        pl.sum_horizontal(features.is_finite().fill_null(False)).cast(pl.Int64).alias(READINGS),
        pl.sum_horizontal(features.is_infinite().fill_null(False)).cast(pl.Int64).alias(INFINITE),
    )


def _run_suite(frame: pl.DataFrame, suite: Mapping[str, Any]) -> tuple[tuple[Finding, ...], dict[int, str]]:
    batch = _great_expectations_batch(frame)
    critical = [_strict(e) for e in suite["expectations"] if e.get("severity", "critical") == "critical"]
    guesses = [e for e in suite["expectations"] if e.get("severity", "critical") != "critical"]
    found = _results(batch, critical, "COMPLETE") + _results(batch, guesses, "BASIC")
    reasons: dict[int, list[str]] = {}
    for expectation, result in zip(critical, found, strict=False):
        for row in result["result"].get("unexpected_index_list") or []:
            reasons.setdefault(int(row), []).append(_why(expectation))
    findings = tuple(_finding(e, r) for e, r in zip([*critical, *guesses], found, strict=True))
    return findings, {row: "; ".join(dict.fromkeys(said)) for row, said in sorted(reasons.items())}


def _strict(expectation: Mapping[str, Any]) -> dict[str, Any]:
    """Without `mostly`: a passing expectation lists no rows, and every row that breaks a critical one must be found."""
    return {**expectation, "kwargs": {k: v for k, v in expectation["kwargs"].items() if k != "mostly"}}


def _great_expectations_batch(frame: pl.DataFrame) -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Great Expectations' own imports
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("batch").add_dataframe_asset("rows")
        definition = asset.add_batch_definition_whole_dataframe("whole")
        return definition.get_batch({"dataframe": frame.to_pandas()})


def _results(batch: Any, expectations: Sequence[Mapping[str, Any]], detail: str) -> list[dict[str, Any]]:
    """Great Expectations' results in the order of the expectations."""
    if not expectations:
        return []
    from great_expectations import ExpectationSuite

    numbered = [{**e, "meta": {**(e.get("meta") or {}), "lehr_order": i}} for i, e in enumerate(expectations)]
    try:
        suite = ExpectationSuite(
            name="batch", expectations=[{k: v for k, v in e.items() if k != "id"} for e in numbered]
        )
    except Exception as error:
        raise ValueError(f"the validation suite cannot be used: {error}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas deprecations inside Great Expectations
        results = batch.validate(suite, result_format=detail).results
    ordered = sorted(results, key=lambda r: r.expectation_config.meta["lehr_order"])
    return [r.to_json_dict() for r in ordered]


def _finding(expectation: Mapping[str, Any], result: Mapping[str, Any]) -> Finding:
    failing = int(result["result"].get("unexpected_count") or 0)
    column = expectation["kwargs"].get("column")
    raised = (result.get("exception_info") or {}).get("exception_message")
    observed = f": {raised}" if raised else f", {failing:,} rows do not" if failing else ""
    text = f"{_why(expectation)}{observed}"
    severity: Severity = "critical" if expectation.get("severity", "critical") == "critical" else "warning"
    return Finding(expectation["type"], column, severity, bool(result["success"]), failing, text)


def _why(expectation: Mapping[str, Any]) -> str:
    """The expectation in words: its note where it has one, else its terms."""
    note = (expectation.get("meta") or {}).get("lehr")
    kwargs = expectation["kwargs"]
    if note and str(kwargs.get("column", "")).startswith("lehr_"):
        return note
    terms = ", ".join(f"{k} {v}" for k, v in kwargs.items() if k not in ("column", "mostly") and v is not None)
    what = expectation["type"].removeprefix("expect_column_values_").removeprefix("expect_").replace("_", " ")
    return f"{kwargs.get('column', 'the batch')} is expected {what}{f' ({terms})' if terms else ''}"
