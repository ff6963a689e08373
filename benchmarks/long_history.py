"""A long history: what an update costs with 100 batches behind it and with 5, and what it holds of a full retrain.

A glass line whose furnace is rebuilt every ten batches: products and wear come back, ten regimes in all. Every batch
goes through the loop's own functions, one after another, without Prefect and MLflow. In the end the champion and a
network trained afresh on all history are scored on unseen rows of every regime. CPU seconds, on one thread.

Writes benchmarks/out/long_history.json. Arguments: the seeds; default 0.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any, TypeVar

import polars as pl
import torch

from benchmarks.results import bar_chart, write_json
from data.feature_store import FeatureStore
from data.landing import stage, staged
from data.schema import Schema
from data.seals import seal_batch
from data.splits import split_rows
from data.synthetic import ROW_MINUTES, glass_line
from data.windows import classes_of, make_samples
from deployments.candidates import make_candidate, plan_of, training_samples
from deployments.champions import champion_of, version_of
from deployments.deciding import situation_of
from deployments.drafts import clear_drafts, load_draft, save_draft
from deployments.exporting import export_version
from deployments.judging import judge_version
from deployments.ladder import Rung
from deployments.line import Line, open_ledger
from deployments.outcomes import Batch, Exported, Judged, Stored, Validated, Watched
from deployments.pipeline import PipelineConfig
from deployments.promotion import promote_version
from deployments.registry import Registry
from deployments.settings import Settings
from deployments.triaging import triage_stored
from deployments.watching import watch
from learning.learn import bootstrap
from monitoring.causes import Triage
from monitoring.performance import score
from monitoring.policies import Decision, decide

CAMPAIGNS, CAMPAIGN, ROWS = 10, 10, 600
EARLY, LATE = range(4, 9), range(CAMPAIGNS * CAMPAIGN - 4, CAMPAIGNS * CAMPAIGN + 1)
"""Batches around the fifth and the hundredth: medians over five."""
PIPELINE = Path(__file__).parents[1] / "deployments" / "pipelines" / "glass-line.yaml"
UNSEEN = 1_000
"""Added to a seed: rows of the same regimes that nothing learned from."""

Result = TypeVar("Result")


def batches(seed: int) -> Iterator[pl.DataFrame]:
    """The line's batches: one campaign of a furnace after another, the time going on."""
    for campaign in range(CAMPAIGNS):
        for _, frame, _ in glass_line(CAMPAIGN, ROWS, seed * CAMPAIGNS + campaign):
            yield frame.with_columns(pl.col("time") + timedelta(minutes=ROW_MINUTES * ROWS * CAMPAIGN * campaign))


def as_stored(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The schema's columns as the reader gives them."""
    return frame.select(
        pl.col(schema.features).cast(pl.Float32), *(c for c in schema.columns if c not in schema.features)
    )


class Stopwatch:
    """CPU seconds of each step of one batch."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, work: Callable[[], Result]) -> Result:
        started = process_time()
        result = work()
        self.seconds[step] = self.seconds.get(step, 0.0) + process_time() - started
        return result


def take_through(line: Line, number: int, frame: pl.DataFrame) -> dict[str, float]:
    """One batch through the loop; returns the CPU seconds of each step."""
    timed = Stopwatch()
    entry = timed("ingest", lambda: line.ledger.open_batch(line.name, f"{number:064x}", f"line-{number:03}.csv"))
    batch = Batch(entry.number, entry.batch_id, entry.name)

    def note(step: str, result: Any) -> None:
        timed("ledger", lambda: line.ledger.record_step(line.name, batch.id, step, result))

    note("validate", {"rows": frame.height, "rows_quarantined": 0, "refusal": None, "warnings": []})
    note("store", asdict(timed("store", lambda: _store(line, batch, frame))))
    watched = timed("watch", lambda: watch(line, batch))
    note("watch", _plain(Watched, watched))
    validated = Validated(frame.height, 0, None, ())
    triaged = timed("triage", lambda: triage_stored(line, batch, validated))
    note("triage", _plain(Triage, triaged))
    decision = timed("decide", lambda: decide(line.config.trigger, situation_of(line, batch, watched, triaged, None)))
    note("decide", asdict(decision))
    if decision.action != "none":
        _learn(line, batch, "bootstrap" if champion_of(line) is None else "update", decision, timed)
    note("finish", {})
    return timed.seconds


def _plain(kind: type[Any], outcome: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind).dump_python(outcome, mode="json")


def _store(line: Line, batch: Batch, frame: pl.DataFrame) -> Stored:
    stage(line.landing, batch.id, frame, None, ())
    split = split_rows(frame.height, line.config.data, seed=batch.number)
    number = pl.lit(batch.number, pl.Int32).alias("lehr_batch")
    rows = staged(line.landing, batch.id).with_columns(number, pl.Series("lehr_split", split))
    version = line.store.append(batch.id, rows)
    return Stored(version, 0, 0, seal_batch(line.store.folder, version, rows))


def _learn(line: Line, batch: Batch, rung: Rung, decision: Decision, timed: Stopwatch) -> None:
    made = timed("learn", lambda: make_candidate(line, batch, rung))
    assert made is not None, "every batch has labels"
    candidate, classes = made

    def through_a_draft() -> Exported:
        save_draft(line.draft_folder(batch.number, rung), candidate, classes)
        kept, known = load_draft(line.draft_folder(batch.number, rung))
        return export_version(line, batch, rung, kept, known)

    exported = timed("export", through_a_draft)
    judged: Judged = timed("judge", lambda: judge_version(line, batch, exported))
    if judged.verdict.passed:
        timed("promote", lambda: promote_version(line, batch, exported, judged, decision.reason))
    clear_drafts(line.draft_folder(batch.number))


def open_line_in(folder: Path, seed: int) -> Line:
    """A fresh glass line."""
    config = PipelineConfig.load(PIPELINE)
    drift = config.drift.model_copy(update={"report": "never"})
    config = config.model_copy(update={"drift": drift, "training": config.training.model_copy(update={"seed": seed})})
    features = tuple(c for c in next(batches(seed)).columns if c not in ("time", "defect"))
    schema = Schema(features, "defect", "time", None, "classification", ())
    settings = Settings(home=folder)
    ledger, registry = open_ledger(settings), Registry(settings.tracking_uri, config.name)
    return Line(
        config, schema, folder / "line", folder / "s.json", ledger, FeatureStore(folder / "line/store"), registry
    )


def regime_scores(line: Line, seed: int) -> dict[str, Any]:
    """Balanced accuracy of the champion and of a network trained afresh on all history, on unseen rows by regime."""
    through = CAMPAIGNS * CAMPAIGN
    champion = champion_of(line)
    assert champion is not None, "a hundred batches have a champion"
    rows = line.store.read(split="train")
    classes = classes_of(rows, line.schema)
    fresh = bootstrap(plan_of(line, classes), training_samples(line, range(1, through + 1), classes))
    served, scores = fresh.served(), {"champion": list[float](), "retrain": list[float]()}
    for frame, number in zip(_unseen(seed), range(1, CAMPAIGN + 1), strict=True):
        named = as_stored(frame, line.schema).with_columns(
            pl.lit(number, pl.Int32).alias("lehr_batch"),
            pl.int_range(1, ROWS + 1, dtype=pl.Int32).alias("lehr_row"),
            pl.lit("all").alias("lehr_split"),
        )
        samples = make_samples(named, line.schema, 1, champion.classes, keep_unknown=True)
        targets_B = samples.targets_B.numpy()
        scores["champion"].append(score(line.config.metric, champion.model.predict_samples(samples), targets_B))
        with torch.no_grad():
            scores["retrain"].append(score(line.config.metric, served(samples.inputs()).numpy(), targets_B))
    newest = version_of(line, line.ledger.next_version(line.name) - 1)
    return {**scores, "samples_update": newest.card["cost"]["samples"], "samples_retrain": fresh.cost.samples}


def _unseen(seed: int) -> Iterator[pl.DataFrame]:
    """One batch of each regime that nothing learned from: the last is of the regime that the line is in."""
    return (frame for _, frame, _ in glass_line(CAMPAIGN, ROWS, seed + UNSEEN))


def run(seed: int) -> dict[str, Any]:
    """A hundred batches; what the steps cost early and late, and the scores in the end."""
    with tempfile.TemporaryDirectory() as name:
        line = open_line_in(Path(name), seed)
        seconds = [take_through(line, n, as_stored(frame, line.schema)) for n, frame in enumerate(batches(seed), 1)]
        scores = regime_scores(line, seed)
    steps = dict.fromkeys(step for batch in seconds for step in batch)
    costs = {step: {"early": _median(seconds, step, EARLY), "late": _median(seconds, step, LATE)} for step in steps}
    whole = [{"all": sum(batch.values())} for batch in seconds]
    costs["all"] = {"early": _median(whole, "all", EARLY), "late": _median(whole, "all", LATE)}
    return {"seed": seed, "seconds": costs, **scores}


def _median(seconds: list[dict[str, float]], step: str, chosen: range) -> float:
    return statistics.median(seconds[number - 1].get(step, 0.0) for number in chosen)


def summary(found: dict[str, Any]) -> dict[str, float]:
    """Shares: late over early, and the champion's score and cost over the full retrain's."""
    old = slice(0, CAMPAIGN - 1)
    mean = statistics.mean
    return {
        "update: late over early": found["seconds"]["learn"]["late"] / found["seconds"]["learn"]["early"],
        "whole step: late over early": found["seconds"]["all"]["late"] / found["seconds"]["all"]["early"],
        "score on the new regime over the retrain's": found["champion"][-1] / found["retrain"][-1],
        "score on old regimes over the retrain's": mean(found["champion"][old]) / mean(found["retrain"][old]),
        "cost over the retrain's": found["samples_update"] / found["samples_retrain"],
    }


def main() -> None:
    torch.set_num_threads(1)
    results = []
    for seed in [int(argument) for argument in sys.argv[1:]] or [0]:
        found = run(seed)
        results.append({**found, "summary": summary(found)})
        for step, cost in found["seconds"].items():
            print(f"seed {seed}  {step:<10} {1000 * cost['early']:7.0f} ms  {1000 * cost['late']:7.0f} ms")
        for name, value in results[-1]["summary"].items():
            print(f"seed {seed}  {name:<45} {value:.3f}", flush=True)
    write_json("long_history", {"at": datetime.now(UTC).isoformat(), "seeds": results})
    groups = {f"seed {found['seed']}": found["summary"] for found in results}
    bar_chart("long_history", "With 100 batches behind it", groups)


if __name__ == "__main__":
    main()
