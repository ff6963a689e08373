import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from data.feature_store import FeatureStore
from data.npz_files import write_npz
from data.signals import Signals
from data.synthetic_signals import KEYPOINTS, SignalPlan, synthetic_signals
from deployments.line import open_ledger
from deployments.registry import Registry
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously
from learning.metrics import Cost, Training
from learning.representation import Learned
from learning.representation_config import RepresentationConfig
from models.hierarchical import HierarchicalSignalNet

PIPELINE = """
name: machines
task: representation
data:
  keypoints: [rise, peak, fall]
  ordered: true
  holdout: {by: session, share: 0.4}
model: {channels: [8, 16], hidden_units: 16, embedding_dim: 16, dropout: 0.0}
training: {epochs: 8, p_elements: 6, k_samples: 6, learning_rate: 0.01, update_share: 0.5}
drift: {false_alarms_per_year: 5}
trigger: {any: [{kind: rows, count: 1}]}
gate: {metric: element_recall_at_1, thresholds: {element_recall_at_1: 0.5}, resamples: 200}
"""
ELEMENTS = tuple(range(8))


def npz(signals: Signals) -> bytes:
    positions = np.stack([signals.keypoints[name] for name in KEYPOINTS], 1)
    return write_npz(
        {
            "signals": signals.values_NCT,
            "lengths": signals.lengths_N,
            "element_ids": signals.element_ids_N,
            "session_ids": signals.session_ids_N,
            "keypoints": np.where(np.isnan(positions), -1, positions),
            "keypoint_names": np.array(KEYPOINTS),
        }
    )


def parquet(signals: Signals, path: Path) -> None:
    columns = {
        "signals": [signals.signal(n).tolist() for n in range(len(signals))],
        "element_ids": signals.element_ids_N.tolist(),
        "session_ids": signals.session_ids_N.tolist(),
        **{name: [None if np.isnan(p) else float(p) for p in signals.keypoints[name]] for name in KEYPOINTS},
    }
    pl.DataFrame(columns).write_parquet(path)


def machines(elements: tuple[int, ...], sessions: range, moved: float = 0.0) -> Signals:
    return synthetic_signals(SignalPlan(elements, tuple(sessions), signals=5, samples=64, moved=moved), seed=3)


def run(pipeline: Path, source: Path, home: Path, **options: Any) -> list[dict[str, Any]]:
    report = learn_continuously(pipeline=str(pipeline), sources=[str(source)], home=str(home), **options)
    json.dumps(report, allow_nan=False)
    return report["batches"]


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "machines.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def two_batches(pipeline: Path, tmp_path: Path) -> tuple[Path, Path, list[dict[str, Any]]]:
    """A pipeline's inbox and home after a first batch as npz and a second one as Parquet, with a new element."""
    inbox, home = tmp_path / "source", tmp_path / "home"
    inbox.mkdir()
    (inbox / "1.npz").write_bytes(npz(machines(ELEMENTS, range(6))))
    parquet(machines((*ELEMENTS, 8), range(6, 10)), inbox / "2.parquet")
    return inbox, home, run(pipeline, inbox, home)


def test_signals_through_the_whole_loop(
    pipeline: Path, two_batches: tuple[Path, Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, home, (first, second) = two_batches
    assert (first["decision"]["action"], first["promoted"], first["drift"]) == ("bootstrap", True, None)
    assert {c["name"] for c in first["gate"]["checks"]} == {
        "threshold_element_recall_at_1", "baseline", "holdouts_unseen", "latency", "size", "parity",
    }  # fmt: skip
    assert (second["action_taken"], second["decision"]["action"]) == ("update", "update")
    assert second["score_before"]["element_recall_at_1"] > 0.5
    assert set(second["score_before"]) == {
        "element_recall_at_1", "element_map_at_r", "session_recall_at_1", "session_map_at_r", "keypoint_mae",
        "keypoint_within",
    }  # fmt: skip
    assert second["drift"]["note"] == "new elements: m08"
    assert not second["drift"]["drifted"]
    assert {"not_worse", "regression", "forgetting", "loss_keypoint_mae"} <= {
        c["name"] for c in second["gate"]["checks"]
    }
    settings = Settings(home=home)
    ledger, registry = open_ledger(settings), Registry(settings.tracking_uri, "machines")
    champion = ledger.champion("machines")
    assert champion is not None
    assert champion.version == registry.champion() == second["champion"]
    rows = FeatureStore(home / "machines" / "store").read()
    assert rows.schema["signals_0"] == pl.List(pl.Float32)
    held = rows.filter(pl.col("lehr_split") == "holdout")["session_ids"].unique()
    assert not set(held) & set(rows.filter(pl.col("lehr_split") == "train")["session_ids"].unique())

    parquet(machines(ELEMENTS, range(10, 13)), source / "3.parquet")
    monkeypatch.setattr("deployments.signal_learning.update_representation", untrained)
    *duplicates, third = run(pipeline, source, home)
    assert [record["status"] for record in duplicates] == ["duplicate"] * 2
    assert not third["promoted"]
    assert "not_worse" in {c["name"] for c in third["gate"]["checks"] if not c["passed"]}
    assert ledger.champion("machines") == champion


def untrained(before: HierarchicalSignalNet, memory: Signals, new: Signals, config: RepresentationConfig) -> Learned:
    """An update that forgets all that was learned."""
    torch.manual_seed(0)
    network = HierarchicalSignalNet(before.in_channels, before.keypoints, before.config)
    return Learned(network.eval(), Training((), Cost(1, 0.0)))


def test_what_is_no_signal_is_quarantined(pipeline: Path, tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    good = machines(ELEMENTS, range(3))
    parquet(good, source / "1.parquet")
    frame = pl.read_parquet(source / "1.parquet")
    bad = frame.with_columns(rise=pl.when(pl.int_range(pl.len()) == 4).then(99.0).otherwise(pl.col("rise")))
    bad.write_parquet(source / "1.parquet")
    frame.drop("session_ids").write_parquet(source / "2.parquet")
    (source / "3.npz").write_bytes(npz(good)[:-40])
    flat = frame.with_columns(signals=pl.col("signals").list.head(1))
    flat.write_parquet(source / "4.parquet")
    records = run(pipeline, source, home)
    assert [record["status"] for record in records] == ["accepted"] + ["quarantined"] * 3
    assert (records[0]["rows"], records[0]["rows_quarantined"]) == (len(good) - 1, 1)
    refused = pl.read_parquet(next((home / "machines" / "quarantine").glob("*.parquet")))
    assert refused["reason"].to_list()[0].startswith("rise lies at sample 99.0 of a signal of")
    reasons = [record["reason"] for record in records[1:]]
    assert "missing column 'session_ids'" in reasons[0]
    assert "not a readable npz file" in reasons[1]
    assert reasons[2] == "signals of 1 channels; those before have 2"


def test_what_signals_do_not_have_is_refused_by_name(pipeline: Path, tmp_path: Path) -> None:
    parquet(machines((0, 1), range(2)), tmp_path / "1.parquet")
    home = tmp_path / "home"
    with pytest.raises(ValueError, match="works on rows; it is not there for task: representation"):
        run(pipeline, tmp_path / "1.parquet", home, compare=True)
