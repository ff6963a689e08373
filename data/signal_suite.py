"""The suite of a pipeline of signals: Great Expectations over what is said of each signal in a row of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data.expectations import check_expectations, suite_document
from data.outcomes import Outcome
from data.signal_checks import broken_signals
from data.signal_config import SignalDataConfig, SignalSchema
from data.suite import expect_numbers, expect_range, load_suite, save_suite

SAMPLES = "samples"


@dataclass(frozen=True)
class SignalReport:
    """What was found in a batch: reasons by row (index from 0) for the quarantine, warnings, and why it goes whole."""

    reasons: dict[int, str]
    warnings: tuple[str, ...]
    refusal: str | None


def validate_signals(
    frame: pl.DataFrame, schema: SignalSchema, config: SignalDataConfig, path: Path, max_quarantined_share: float
) -> SignalReport:
    """Check a batch: what is no signal, and what breaks the suite in the file, which the first batch makes.

    Raises ValueError where the suite cannot be read, or names a column that `describe_signals` does not give.
    """
    reasons = broken_signals(frame, schema, config)
    sound = frame.with_row_index("lehr_place").filter(~pl.col("lehr_place").is_in(list(reasons)))
    if len(reasons) > max_quarantined_share * frame.height:
        return SignalReport(reasons, (), _too_many(reasons, frame.height, max_quarantined_share))
    described = describe_signals(sound, schema)
    if not path.exists():
        save_suite(path, infer_signal_suite(described, schema))
    suite = load_suite(path)
    _check_columns(suite, described)
    outcomes = [outcome for outcome in check_expectations(described, suite) if not outcome.met or outcome.rows]
    places = sound["lehr_place"].to_list()
    for outcome in outcomes:
        if outcome.severity == "critical":
            for row in outcome.rows:
                value = "" if outcome.column is None else f"{outcome.column} = {described[outcome.column][row]}: "
                reasons.setdefault(places[row], f"{value}breaks {outcome.expectation}")
    warnings = tuple(_text(outcome, described.height) for outcome in outcomes if not outcome.met)
    return SignalReport(
        dict(sorted(reasons.items())), warnings, _refusal(outcomes, reasons, frame, max_quarantined_share)
    )


def describe_signals(frame: pl.DataFrame, schema: SignalSchema) -> pl.DataFrame:
    """One row a signal: `samples`, mean and deviation of each channel (`lead_1.mean`), ids, annotator and keypoints."""
    columns = [pl.col(schema.channels[0]).list.len().cast(pl.Int64).alias(SAMPLES)]
    for channel in schema.channels:
        columns += [pl.col(channel).list.mean().alias(f"{channel}.mean")]
        columns += [pl.col(channel).list.std(ddof=0).alias(f"{channel}.deviation")]
    return frame.select(*columns, *schema.columns[len(schema.channels) :])


def infer_signal_suite(described: pl.DataFrame, schema: SignalSchema) -> dict[str, Any]:
    """A suite from the first batch, as Great Expectations' JSON: all of it was guessed, so all are warnings.

    Keypoints may be missing, as annotators come and go.
    """
    numbers = [described[name] for name in described.columns if described[name].dtype.is_numeric()]
    expected = [expect_range(c) if c.name in schema.keypoints else expect_numbers(c) for c in numbers]
    return suite_document("lehr", [expectation for of_column in expected for expectation in of_column], {})


def _check_columns(suite: Mapping[str, Any], described: pl.DataFrame) -> None:
    for number, expectation in enumerate(suite["expectations"]):
        column = expectation["kwargs"].get("column")
        if column is not None and column not in described.columns:
            raise ValueError(
                f"the suite's expectations[{number}] names the column {column!r}; "
                f"of signals there are {', '.join(described.columns)}"
            )


def _text(outcome: Outcome, signals: int) -> str:
    subject = outcome.column or "the batch"
    if outcome.failing is None:
        return f"{subject}: {outcome.expectation} is not met: {outcome.error or outcome.observed}"
    share = outcome.failing / max(signals, 1)
    return f"{subject}: {outcome.failing:,} signals ({share:.1%}) break {outcome.expectation}"


def _refusal(outcomes: list[Outcome], reasons: Mapping[int, str], frame: pl.DataFrame, max_share: float) -> str | None:
    for outcome in outcomes:
        if outcome.severity == "critical" and not outcome.met and outcome.failing is None:
            return f"{outcome.column or 'the batch'} breaks {outcome.expectation}: {outcome.error or outcome.observed}"
    if len(reasons) > max_share * frame.height or len(reasons) == frame.height:
        return _too_many(reasons, frame.height, max_share)
    return None


def _too_many(reasons: Mapping[int, str], signals: int, max_share: float) -> str:
    row, reason = next(iter(reasons.items()))
    return f"{len(reasons)} of {signals} signals are bad, more than {max_share:.0%}; row {row + 1}: {reason}"
