"""The gate: what a candidate must show on held-out rows before it goes live. It fails closed."""

from collections.abc import Callable

from deployments.baselines import check_baseline, check_threshold, say_no_change
from deployments.champion_checks import (
    check_calibration,
    check_corroboration,
    check_forgetting,
    check_not_worse,
    check_regression,
    check_worst_rows,
)
from deployments.gate_checks import check_proof, checks_of_the_file
from deployments.leaks import check_copies, check_holdouts_unseen
from deployments.pipeline import GateConfig
from deployments.slices import check_slices
from deployments.verdict import Check, Judged, Verdict, closed
from monitoring.performance import Metric


def judge(config: GateConfig, metric: Metric, evidence: Judged) -> Verdict:
    """Hold a candidate against the threshold, the trivial predictor, the champion on all rows and slices, and limits.

    A check that cannot be made (a metric that does not fit, no held-out rows, a prediction that is not a number, an
    exception) fails with its reason. Without a champion nothing is compared with one.
    """
    checks = {**_of_itself(config, metric, evidence)}
    if evidence.champion_through is not None:
        checks |= _against_champion(config, metric, evidence)
    made = [closed(name, check) for name, check in checks.items()]
    if evidence.champion_through is not None:
        made += check_slices(config, metric, evidence)
    of_the_file = checks_of_the_file(config, evidence.latency_ms, evidence.size_mb, evidence.parity_error)
    made += [closed(name, check) for name, check in of_the_file.items()]
    made += say_no_change(config, metric, evidence)
    return Verdict(all(c.passed for c in made), tuple(made))


def _of_itself(config: GateConfig, metric: Metric, evidence: Judged) -> dict[str, Callable[[], Check]]:
    checks: dict[str, Callable[[], Check]] = {}
    if config.threshold is not None:
        checks["threshold"] = lambda: check_threshold(config, metric, evidence)
    if config.baseline != "none":
        checks["baseline"] = lambda: check_baseline(config, metric, evidence)
    checks["holdouts_unseen"] = lambda: check_holdouts_unseen(evidence)
    checks["copies"] = lambda: check_copies(evidence)
    return checks


def _against_champion(config: GateConfig, metric: Metric, evidence: Judged) -> dict[str, Callable[[], Check]]:
    checks: dict[str, Callable[[], Check]] = {
        "not_worse": lambda: check_not_worse(metric, evidence),
        "regression": lambda: check_regression(config, metric, evidence),
        "forgetting": lambda: check_forgetting(config, metric, evidence),
        "corroboration": lambda: check_corroboration(config, metric, evidence),
        "worst_rows": lambda: check_worst_rows(config, metric, evidence),
        "calibration": lambda: check_calibration(config, evidence),
    }
    if config.appetite == "proof":
        checks["proof"] = lambda: check_proof(evidence.wealth)
    return checks
