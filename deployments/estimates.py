"""Promotions while the newest batches have no labels: what they rest on, and what becomes of them when labels come."""

import polars as pl

from data.windows import last_rows, make_samples
from deployments.champion_checks import REGRESSION_POINTS, REGRESSION_SHARE
from deployments.champions import Version
from deployments.line import Line
from deployments.outcomes import WATCHED, Batch, OnEstimate
from deployments.verdict import Check, Verdict, margin
from monitoring.estimation import estimate
from monitoring.performance import LOWER_IS_BETTER, gain

ENOUGH_SHARE = 0.5
"""Of the held-out rows that a promotion waited for must have labels before it is judged again."""


def with_estimate(
    line: Line, batch: Batch, verdict: Verdict, holdouts: pl.DataFrame, candidate: Version, champion: Version | None
) -> tuple[Verdict, OnEstimate | None]:
    """The verdict with one more check, of the estimated score, where batches newer than every label are held out.

    None beside it where nothing is awaited, or labels cannot come later.
    """
    awaited = awaited_rows(holdouts, line.schema.target) if line.schema.key else holdouts.clear()
    if awaited.is_empty():
        return verdict, None
    batches, told = tuple(awaited["lehr_batch"].unique().sort()), _told(line, batch)
    expected = _estimated(line, candidate, awaited, told)
    if expected is None:
        return verdict, OnEstimate(batches, awaited.height, None)
    check = _check(line, expected, None if champion is None else _estimated(line, champion, awaited, told), batches)
    judged = Verdict(verdict.passed and check.passed, (*verdict.checks, check))
    return judged, OnEstimate(batches, awaited.height, expected)


def awaited_rows(holdouts: pl.DataFrame, target: str) -> pl.DataFrame:
    """The held-out rows of batches that came after every batch of which a held-out row has a label."""
    newest = holdouts.filter(pl.col(target).is_not_null())["lehr_batch"].max()
    return holdouts.filter(pl.col("lehr_batch") > (0 if newest is None else newest))


def labels_have_come(line: Line, resting: OnEstimate) -> bool:
    """Whether enough of the rows that a promotion waited for have labels to judge it again."""
    batches = range(min(resting.batches), max(resting.batches) + 1)
    rows = line.store.read(batches, split="holdout", columns=[line.schema.target])
    due = rows.filter(pl.col("lehr_batch").is_in(resting.batches))
    return due.height - due[line.schema.target].null_count() >= ENOUGH_SHARE * due.height


def _told(line: Line, batch: Batch) -> tuple[tuple[float, float], ...]:
    found = line.ledger.latest_outcome(line.name, "watch", before=batch.number + 1)
    return () if found is None else WATCHED.validate_python(found).told


def _estimated(line: Line, version: Version, rows: pl.DataFrame, told: tuple[tuple[float, float], ...]) -> float | None:
    estimator = version.reference.estimator
    samples = make_samples(rows, line.schema, line.window_length, version.classes, keep_unlabelled=True)
    if estimator is None or len(samples) == 0:
        return None
    return estimate(estimator, version.model.predict_samples(samples), last_rows(samples), told).score


def _check(line: Line, expected: float, champion: float | None, batches: tuple[int, ...]) -> Check:
    """The threshold held by the estimate; without one the champion's estimate, less what a candidate may lose."""
    metric, config = line.config.metric, line.config.gate
    said = f"estimate: {metric} {expected:.4g} expected on batches without labels ({', '.join(map(str, batches))})"
    if config.threshold is not None:
        passed = expected <= config.threshold if metric in LOWER_IS_BETTER else expected >= config.threshold
        return Check("estimate", expected, config.threshold, passed, f"{said}; needed is {config.threshold:.4g}")
    if champion is None:
        return Check("estimate", expected, None, True, f"{said}; there is no champion to compare with")
    allowed = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    gained = gain(metric, expected, champion)
    text = f"{said}, {champion:.4g} of the champion; the gain must be at least {-allowed:.4g}"
    return Check("estimate", gained, -allowed, gained >= -allowed, text)
