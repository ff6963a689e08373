"""A cached replay decides as the live loop did."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.plans import demo_plan
from data.sources import iter_arrivals
from data.synthetic import write_line
from deployments.backtesting import make_past
from deployments.history import History, read_history
from deployments.past_versions import Learning
from deployments.pipeline import PipelineConfig
from deployments.verdict import Verdict
from flows.learn_continuously import learn_continuously
from monitoring.past import Past

PIPELINE = """
name: line
task: classification
data: {{target: defect, timestamp: time}}
model: {{architecture: mlp, hidden_units: [32, 16], dropout: 0.1}}
training: {{epochs: 8}}
trigger: {trigger}
update: {{strategy: {strategy}}}
gate: {{metric: accuracy, threshold: 0.1, max_forgetting: 1.0, max_regression: 1.0}}
drift: {{report: never}}
"""
TRIGGERS = {
    "price": "{any: [{kind: price, points: 6}]}",
    "all": "{cooldown_batches: 1, any: [{kind: drift}, {kind: performance, drop: 0.1}, {kind: rows, count: 500}]}",
}


def passed(record: dict[str, Any]) -> bool:
    return bool(record["promoted"]) or record["gate"] is None


def live(tmp_path: Path, trigger: str, strategy: str) -> tuple[list[dict[str, Any]], History]:
    """A run without faulty sensors in which every version that was learned went live: a backtest replays neither
    triage nor gate.
    """
    pipeline, source = tmp_path / "line.yaml", tmp_path / "source"
    pipeline.write_text(PIPELINE.format(trigger=trigger, strategy=strategy))
    plan = [replace(batch, faults=()) for batch in demo_plan(7)]
    files = write_line(source, batches=7, rows=200, plan=plan)
    files[2].with_name("line-03broken.csv").write_text("no table\n")
    report = learn_continuously(pipeline=str(pipeline), sources=[str(source)], home=str(tmp_path / "home"))
    pipeline.with_suffix(".suite.json").unlink()
    history = read_history(pipeline, PipelineConfig.load(pipeline), iter_arrivals([source]))
    assert not pipeline.with_suffix(".suite.json").exists(), "a backtest leaves no suite behind"
    return [record for record in report["batches"] if record["status"] == "accepted"], history


def replayed(past: Past, history: History) -> list[tuple[str, str, float]]:
    """The pipeline's own decisions, with their reasons and the scores that its versions had."""
    version, found = past.scores.first, list[tuple[str, str, float]]()
    for t in range(version + 1, len(history)):
        decision = past.decide(history.config.trigger, version, t)
        found.append((decision.action, decision.reason, float(past.scores.scores_VT[version, t])))
        version = t if decision.action != "none" else version
    return found


@pytest.mark.parametrize(
    ("trigger", "strategy", "learning"),
    [
        ("price", "scratch", "scratch"),
        pytest.param("all", "scratch", "scratch", marks=pytest.mark.torture),
        pytest.param("{any: [{kind: rows, count: 1}]}", "half_lives", "chain", marks=pytest.mark.torture),
    ],
)
def test_a_replay_decides_as_the_loop_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trigger: str, strategy: str, learning: Learning
) -> None:
    monkeypatch.setattr("deployments.gate.judge", lambda *_: Verdict(True, ()))
    monkeypatch.setattr("deployments.rivalry.Wager.proven", False)
    records, history = live(tmp_path, TRIGGERS.get(trigger, trigger), strategy)
    assert all(passed(record) for record in records)
    past = make_past(history, learning, tmp_path / "backtest", lambda *_: None)
    found = replayed(past, history)
    decisions = [(r["decision"]["action"], r["decision"]["reason"]) for r in records[1:]]
    assert [(action, reason) for action, reason, _ in found] == decisions
    scores = [record["score_before"]["accuracy"] for record in records[1:]]
    assert [score for _, _, score in found] == pytest.approx(scores, abs=1e-9)
    assert [batch.number for batch in history.batches] == [record["batch"] for record in records]
    if strategy == "scratch":
        assert {action for action, _, _ in found} == {"none", "update"}, "a test of one decision would show little"
