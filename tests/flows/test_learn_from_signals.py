import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from commands.tune import tune
from data.feature_store import FeatureStore
from data.npz_files import write_npz
from data.signals import Signals
from data.sources import read_arrival
from data.synthetic_signals import KEYPOINTS, SignalPlan, synthetic_signals
from deployments.answers import predict_file
from deployments.kinds import open_any_line, read_any_line
from deployments.line import open_ledger
from deployments.receipt_text import receipt_lines
from deployments.receipts import find_prediction, receipt_of
from deployments.registry import Registry
from deployments.setting_aside import release
from deployments.settings import Settings
from deployments.signal_export import SignalModel, load_signal_network
from deployments.signal_learning import CHECKPOINTS, MODEL, stored_signals
from deployments.signal_line import SignalLine
from deployments.verification import verify
from flows.learn_continuously import learn_continuously
from learning.callbacks import Followed, Listener
from learning.metrics import Cost, Training
from learning.representation import Learned
from learning.representation_config import RepresentationConfig
from models.hierarchical import HierarchicalSignalNet
from monitoring.terminal import batch_line
from tests.flows.artifacts import shown

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
AT = datetime(2026, 1, 1, tzinfo=UTC)


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


@dataclass(frozen=True)
class Plant:
    """A pipeline's file, inbox and home, and what came of its first two batches: the second has a new element."""

    folder: Path
    records: tuple[dict[str, Any], ...]

    @property
    def pipeline(self) -> Path:
        return self.folder / "machines.yaml"

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def run(self, *names: str, **options: Any) -> list[dict[str, Any]]:
        sources = [str(self.source / name) for name in names] or [str(self.source)]
        report = learn_continuously(pipeline=str(self.pipeline), sources=sources, home=str(self.home), **options)
        json.dumps(report, allow_nan=False)
        return report["batches"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    folder = tmp_path_factory.mktemp("machines")
    plant = Plant(folder, ())
    plant.pipeline.write_text(PIPELINE)
    plant.source.mkdir()
    (plant.source / "1.npz").write_bytes(npz(machines(ELEMENTS, range(6))))
    parquet(machines((*ELEMENTS, 8), range(6, 10)), plant.source / "2.parquet")
    return replace(plant, records=tuple(plant.run()))


@pytest.fixture
def plant(learned: Plant, tmp_path: Path) -> Plant:
    """A copy of it to go on with."""
    return replace(learned, folder=Path(shutil.copytree(learned.folder, tmp_path / "plant")))


def test_signals_through_the_whole_loop(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    source, home, (first, second) = plant.source, plant.home, plant.records
    assert (first["decision"]["action"], first["promoted"], first["drift"]) == ("bootstrap", True, None)
    assert {c["name"] for c in first["gate"]["checks"]} == {
        "threshold_element_recall_at_1", "baseline", "holdouts_unseen", "latency", "size", "parity",
    }  # fmt: skip
    assert (second["action_taken"], second["decision"]["action"]) == ("update", "update")
    assert second["score_before"]["element_recall_at_1"] > 0.5
    assert set(second["score_before"]) == {
        "element_recall_at_1", "element_map_at_r", "session_recall_at_1", "session_map_at_r", "keypoint_mae",
        "keypoint_median", "keypoint_p90", "keypoint_within",
    }  # fmt: skip
    assert second["drift"]["note"] == "new elements: m08"
    assert (second["triage"]["cause"], second["triage"]["reason"]) == ("regime", "m08")
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
    *duplicates, third = plant.run()
    assert [record["status"] for record in duplicates] == ["duplicate"] * 2
    assert not third["promoted"]
    assert "not_worse" in {c["name"] for c in third["gate"]["checks"] if not c["passed"]}
    assert ledger.champion("machines") == champion
    rivalry = third["rivalry"]
    assert (rivalry["champion"], rivalry["rival"], rivalry["role"]) == (2, 1, "predecessor")
    assert (len(rivalry["wager"]["gains"]), rivalry["wager"]["rows"]) == (1, len(machines(ELEMENTS, range(10, 13))))
    assert rivalry["score_champion"] == pytest.approx(third["score_before"]["element_recall_at_1"])
    assert 0 < rivalry["score_rival"] <= 1


def untrained(
    before: HierarchicalSignalNet, memory: Signals, new: Signals, config: RepresentationConfig, *_: Any
) -> Learned:
    """An update that forgets all that was learned."""
    torch.manual_seed(0)
    network = HierarchicalSignalNet(before.in_channels, before.keypoints, before.config)
    return Learned(network.eval(), Training((), Cost(1, 0.0)))


class KilledError(Exception):
    """Stands for the end of a process."""


class Dies(Listener[Followed]):
    """Ends a training in the middle of its third epoch."""

    def batch_start(self, state: Followed) -> None:
        if len(state.history) == 2:
            raise KilledError


def test_an_update_that_was_killed_goes_on_and_leaves_the_champion_alone(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(machines(ELEMENTS, range(10, 12)), plant.source / "3.parquet")
    undisturbed = replace(plant, folder=Path(shutil.copytree(plant.folder, tmp_path / "undisturbed")))
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr("tasks.learn.ends_between_batches", Dies)
        plant.run("3.parquet")
    ledger = open_ledger(plant.settings)
    champion = ledger.champion("machines")
    assert champion is not None
    assert champion.version == 2
    assert list((plant.home / "machines" / "drafts" / "3" / "update" / CHECKPOINTS).iterdir()), "epochs are kept"
    (killed,), (whole,) = plant.run("3.parquet"), undisturbed.run("3.parquet")
    assert killed["cost"]["samples"] == whole["cost"]["samples"] > 0
    weights = [
        load_signal_network((p.home / "machines" / "versions" / "3" / MODEL).read_bytes()).state_dict()
        for p in (plant, undisturbed)
    ]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())


TUNING = """
tuning:
  objectives: [score, size_mb]
  trials: 4
  space:
    loss.metric: [factored_contrastive, triplets]
    embedding_dim: [8, 16]
    learning_rate: [0.0001, 0.01]
"""


def test_what_a_search_finds_goes_through_the_gate(plant: Plant) -> None:
    plant.pipeline.write_text(PIPELINE.replace("learning_rate: 0.01", "learning_rate: 0.0001") + TUNING)
    page, report = plant.folder / "tune.html", plant.folder / "tune.json"
    result = tune(plant.pipeline, home=plant.home, html=page, report=report)
    line = read_any_line(plant.pipeline, plant.settings)
    learned = line.store.read(split="train")
    assert result["rows"] == learned.height, "what the gate holds out is not searched on"
    assert {t["epochs"] for t in result["trials"]} == {1, 3, 8}
    assert result["baseline"]["point"] == {
        "loss.metric": "factored_contrastive", "embedding_dim": 16, "learning_rate": 0.0001,
    }  # fmt: skip
    assert result["changed"] and result["best"]["point"]["learning_rate"] == 0.01
    asked = yaml.safe_load(result["snippet"])
    assert asked["training"]["loss"] == {"metric": result["best"]["point"]["loss.metric"]}
    judged = line.ledger.versions("machines")[-1]
    assert judged.made_by == "tune"
    card = json.loads((line.version_folder(judged.version) / "card.json").read_text())
    assert card["config"]["training"]["learning_rate"] == 0.01
    assert card["config"]["model"]["embedding_dim"] == result["best"]["point"]["embedding_dim"]
    record = result["record"]
    assert "not_worse" in {check["name"] for check in record["gate"]["checks"]}
    assert record["gate"]["passed"] == record["promoted"] == (record["champion"] == judged.version)
    assert result["why"] in page.read_text()
    assert "signals in" in shown("tuning-machines")
    again = tune(plant.pipeline, home=plant.home, candidate=False)
    assert again["trials"] == result["trials"]


def test_signals_of_a_dead_channel_are_set_aside_until_they_are_released(plant: Plant) -> None:
    signals = machines(ELEMENTS, range(10, 12))
    signals.values_NCT[3:40, 1] = 0.25
    parquet(signals, plant.source / "3.parquet")
    (record,) = plant.run("3.parquet", action="update")
    triage = record["triage"]
    assert (triage["cause"], triage["features"]) == ("sensor_fault", ["signals_1"])
    assert triage["set_aside"] == [{"feature": "signals_1", "first": 4, "last": 40}]
    assert "signals_1 stands still in 37 of 80 signals" in batch_line(record, "element_recall_at_1", "signals").plain
    with open_any_line(plant.pipeline, plant.settings, []) as line:
        assert isinstance(line, SignalLine)
        batch = range(3, 4)
        assert len(stored_signals(line, batch) or ()) == len(signals) - 37
        release(line.ledger, "machines", 3, "it was switched off on purpose")
        assert len(stored_signals(line, batch) or ()) == len(signals)


def test_every_representation_has_a_receipt(learned: Plant, tmp_path: Path) -> None:
    signals = machines((0, 3), range(20, 21))
    asked, answers = tmp_path / "asked.npz", tmp_path / "answers.csv"
    asked.write_bytes(write_npz({"signals": signals.values_NCT, "lengths": signals.lengths_N}))  # no ids, no keypoints
    predicted = predict_file(learned.pipeline, learned.settings, asked, answers, AT)
    rows = pl.read_csv(answers)
    assert rows.columns[:5] == ["row", "position.rise", "position.peak", "position.fall", "prediction_id"]
    assert (rows.height, "embedding.16" in rows.columns) == (len(signals), True)
    ledger = open_ledger(learned.settings)
    place = find_prediction(ledger, learned.home, rows["prediction_id"][4])
    receipt = receipt_of(ledger, place, read_arrival(asked))
    assert receipt["given"] == {"name": "asked.npz", "same_file": True, "matches": True, "same_rows": [5]}
    assert (receipt["model"]["version"], receipt["run"]["rung"], receipt["run"]["parent"]) == (2, "update", 1)
    assert [batch["batch"] for batch in receipt["data"]] == [1, 2]
    assert receipt["verdict"]["checks"]
    lines = "\n".join(receipt_lines(receipt))
    assert "an embedding of 16 numbers" in lines
    assert "row 5 of asked.npz is what was predicted" in lines
    represented = SignalModel(learned.home / "machines" / "versions" / "2" / MODEL).represent(
        signals.values_NCT[4:5], signals.lengths_N[4:5]
    )
    np.testing.assert_allclose(receipt["prediction"]["embedding"], represented.embeddings_BE[0], atol=1e-6)
    other = tmp_path / "other.npz"
    other.write_bytes(write_npz({"signals": signals.values_NCT + 1, "lengths": signals.lengths_N}))
    assert not receipt_of(ledger, place, read_arrival(other))["given"]["matches"]
    assert predicted.version == 2
    assert verify(ledger, learned.home, ["machines"]).changes == ()


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
    with pytest.raises(
        ValueError, match=r"works on rows; it is not there for task: representation\. For signals there"
    ):
        run(pipeline, tmp_path / "1.parquet", home, compare=True)
    with pytest.raises(ValueError, match="nothing to patch; ask for update or retrain"):
        run(pipeline, tmp_path / "1.parquet", home, action="patch")
