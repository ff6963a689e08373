"""Which trigger policy would have served best on a pipeline's own history?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deployments.history import History
from deployments.past_cells import Shown, cells_of
from deployments.past_versions import Learning, Progress, learn_versions, version_places
from deployments.pipeline import DEFAULT_TRIGGER
from learning.config import Scratch
from monitoring.backtest import Flags, Prices, Replay, Scores, as_floats, oracle, replay_matrices, replay_plan
from monitoring.config import ManualTrigger, TriggerConfig
from monitoring.past import Cell, Past, every, on_adwin, on_drift, on_drop, on_price, on_rows
from monitoring.search import search

PRICES = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Of a training, in points of score on one batch: the sweep."""


@dataclass(frozen=True)
class Policy:
    """A policy by name, where it trains, and as a pipeline file says it; None where that has no word for it."""

    name: str
    text: str
    fires_VT: Flags
    trigger: TriggerConfig | None


def make_past(history: History, learning: Learning, folder: Path, progress: Progress, processes: int = 1) -> Past:
    """All versions and cells of a history, from the folder as far as they are kept there."""
    places, samples = version_places(history), np.zeros(len(history))
    shown: dict[int, Shown] = {}
    for version in learn_versions(history, places, learning, folder / "versions", progress, processes):
        progress("scoring versions", len(shown), len(places))
        shown[version.place] = cells_of(history, version, folder / "cells")
        samples[version.place] = version.candidate.cost.samples
    return _past(history, shown, samples)


def _past(history: History, shown: Mapping[int, Shown], samples_T: Any) -> Past:
    count = len(history)
    cells: dict[tuple[int, int], Cell] = {(v, t): cell for v, (_, row) in shown.items() for t, cell in row.items()}
    scores_VT = np.full((count, count), np.nan)
    for place, cell in cells.items():
        scores_VT[place] = np.nan if cell.score is None else cell.score
    learnable_T = np.array([place in shown for place in range(count)])
    scores = Scores(history.config.metric, scores_VT, learnable_T, samples_T, _deviation(history))
    return Past(
        scores,
        np.array([batch.number for batch in history.batches]),
        np.array([batch.rows.height for batch in history.batches]),
        tuple(history.time(place) for place in range(count)),
        tuple(shown[place][0] if place in shown else None for place in range(count)),
        cells,
    )


def _deviation(history: History) -> float:
    """Of the target over the whole history; 1 for classes."""
    if history.config.task == "classification":
        return 1.0
    targets = history.rows(range(len(history)))[history.schema.target].drop_nulls().to_numpy()
    return float(targets.std()) or 1.0


def policies_of(past: Past, own: TriggerConfig, prices: Prices) -> list[Policy]:
    """What is always compared; the pipeline's own trigger last."""
    worth = prices.training / prices.point
    named = [
        ("never", "the first version for ever", TriggerConfig(any=[ManualTrigger(kind="manual")])),
        ("always", "learn from every batch", every(1)),
        *((f"every {n}", f"learn from every {n} batches", every(n)) for n in (2, 3, 5, 10)),
        ("rows", "once 10,000 rows have come", on_rows(10_000)),
        ("drift", "evidence of drift since the version's reference", on_drift()),
        ("ADWIN", "the version's losses have risen, by ADWIN", on_adwin()),
        ("performance", "a score 0.05 below that at the start", on_drop(0.05)),
        ("default", "what a pipeline without a trigger does", DEFAULT_TRIGGER),
        ("priced", f"the same, with {worth:g} points for the price of a training", on_price(worth)),
        ("pipeline", "the pipeline's own trigger", own),
    ]
    policies = [Policy(name, text, past.by_trigger(trigger), trigger) for name, text, trigger in named]
    evidently = Policy("Evidently", "half of the columns drifted by Evidently's defaults", past.by_evidently(), None)
    return [*policies[:7], evidently, *policies[7:]]


def report_backtest(history: History, past: Past, learning: Learning, prices: Prices) -> dict[str, Any]:
    """What `lehr backtest --report` writes."""
    config = history.config
    approximate = learning == "chain" and not isinstance(config.update, Scratch)
    found = search(past, prices)
    best = Policy("best trigger", f"the cheapest of {found.count:,}", past.by_trigger(found.trigger), found.trigger)
    policies = [*policies_of(past, config.trigger, prices), best]
    ideal = replay_plan(past.scores, oracle(past.scores, prices), prices)
    replayed = replay_matrices(past.scores, np.stack([policy.fires_VT for policy in policies]), prices)
    rows = [_row(past, policy, replayed, p, ideal) for p, policy in enumerate(policies)]
    best_of_all = Policy("oracle", "the least cost there was, in hindsight", np.zeros((0, 0), np.bool_), None)
    return {
        "pipeline": config.name,
        "task": config.task,
        "metric": config.metric,
        "learning": learning,
        "approximation": approximate,
        "note": NOTES["chain" if approximate else "scratch"],
        "batches": len(history),
        "first": int(past.numbers_T[past.scores.first]),
        "refused": [asdict(refused) for refused in history.refused],
        "prices": asdict(prices),
        "policies": [*rows, _row(past, best_of_all, ideal, 0, ideal)],
        "searched": found.count,
        "tried": found.tried,
        "best": {"trigger": trigger_document(found.trigger), "name": best.name},
        "sweep": sweep(past, config.trigger, prices),
        "numbers": past.numbers_T.tolist(),
        "scores": [as_floats(row) for row in past.scores.scores_VT],
    }


NOTES: Mapping[Learning, str] = {
    "scratch": "exact: every version was learned from fresh weights on all batches up to its own",
    "chain": "an approximation: every version goes on from one that learned from every batch before; a policy that "
    "learns less often would have had versions of its own",
}


def sweep(past: Past, own: TriggerConfig, prices: Prices) -> list[dict[str, Any]]:
    """What every policy does, and the oracle, for each price of a training."""
    return [_at(past, own, replace(prices, training=price * prices.point)) for price in PRICES]


def _at(past: Past, own: TriggerConfig, prices: Prices) -> dict[str, Any]:
    policies, ideal = policies_of(past, own, prices), replay_plan(past.scores, oracle(past.scores, prices), prices)
    replayed = replay_matrices(past.scores, np.stack([policy.fires_VT for policy in policies]), prices)
    found = {policy.name: _figures(replayed, p) for p, policy in enumerate(policies)}
    return {"price_training": prices.training, "policies": {**found, "oracle": _figures(ideal, 0)}}


def _figures(replayed: Replay, p: int) -> dict[str, float]:
    return {
        "trainings": int(replayed.trainings_P[p]),
        "score": float(replayed.score_P[p]),
        "cost": float(replayed.cost_P[p]),
    }


def trigger_document(trigger: TriggerConfig) -> dict[str, Any]:
    """A trigger as a pipeline file says it: without the action and the cooldown where they are the default."""
    document = trigger.model_dump(mode="json", exclude_none=True)
    for kind in document.get("any") or document["all"]:
        if kind["action"] == "update":
            del kind["action"]
    if document["cooldown_batches"] == 0:
        del document["cooldown_batches"]
    return document


def _row(past: Past, policy: Policy, replayed: Replay, p: int, ideal: Replay) -> dict[str, Any]:
    cost, least = float(replayed.cost_P[p]), float(ideal.cost_P[0])
    return {
        "name": policy.name,
        "text": policy.text,
        "trigger": None if policy.trigger is None else trigger_document(policy.trigger),
        "trainings": int(replayed.trainings_P[p]),
        "samples": int(replayed.samples_P[p]),
        "score": float(replayed.score_P[p]),
        "points": float(replayed.points_P[p]),
        "cost": cost,
        "over_oracle": cost / least - 1 if least > 0 else None,
        "trained_on": past.numbers_T[replayed.fired_PT[p]].tolist(),
    }
