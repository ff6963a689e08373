"""A champion of signals beside the version that it replaced, step by step without the orchestrator."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.landing import land
from data.npz_files import write_npz
from data.signals import Signals
from data.sources import Arrival
from data.synthetic_signals import KEYPOINTS, SignalPlan, synthetic_signals
from deployments.kinds import kind_of, open_any_line
from deployments.ladder import Rung
from deployments.line import AnyLine
from deployments.outcomes import WATCHED, Batch, Watched
from deployments.promotion import log_version, promote_version
from deployments.rivalry import take_back
from deployments.settings import Settings
from learning.metrics import Cost, Training
from learning.representation import Learned
from models.hierarchical import HierarchicalSignalNet

PIPELINE = """
name: machines
task: representation
data: {keypoints: [rise, peak, fall], holdout: {by: session, share: 0.4}}
model: {channels: [8, 16], hidden_units: 16, embedding_dim: 16, dropout: 0.0}
training: {epochs: 8, p_elements: 6, k_samples: 6, learning_rate: 0.01}
gate: {resamples: 100}
"""


def arrival(number: int, sessions: range) -> Arrival:
    plan = SignalPlan(tuple(range(8)), tuple(sessions), signals=5, samples=64)
    signals = synthetic_signals(plan, seed=3)
    positions = np.stack([signals.keypoints[name] for name in KEYPOINTS], 1)
    arrays = {"signals": signals.values_NCT, "lengths": signals.lengths_N, "keypoint_names": np.array(KEYPOINTS)}
    ids = {"element_ids": signals.element_ids_N, "session_ids": signals.session_ids_N}
    content = write_npz({**arrays, **ids, "keypoints": np.where(np.isnan(positions), -1, positions)})
    return Arrival(f"{number}.npz", content, "npz")


def take(line: AnyLine, came: Arrival) -> tuple[Batch, Watched]:
    row = line.ledger.open_batch(line.name, came.id, came.name)
    batch, kind = Batch(row.number, row.batch_id, row.name), kind_of(line)
    land(line.landing, came)
    assert kind.validate(batch).refusal is None
    kind.store(batch)
    watched = kind.watch(batch)
    line.ledger.record_step(line.name, batch.id, "watch", WATCHED.dump_python(watched, mode="json"))
    return batch, watched


def promote(line: AnyLine, batch: Batch, rung: Rung, parent: int | None) -> None:
    """Learn, and put what comes of it into production whatever the gate says."""
    kind = kind_of(line)
    assert kind.learn(batch, rung, []) is not None
    exported = kind.export(batch, rung, parent)
    judged = kind.judge(batch, exported, 0.0)
    log_version(line, batch, rung, exported, judged, register=True)
    promote_version(line, batch, exported, judged, "a test")


def collapsed(before: HierarchicalSignalNet, memory: Signals, *_: Any) -> Learned:
    """An update after which all signals are alike."""
    network = deepcopy(before)
    with torch.no_grad():
        network.embedding.weight.zero_()
    return Learned(network.eval(), Training((), Cost(1, 0.0)))


def test_a_worse_network_is_taken_back_once_its_predecessor_has_proven_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = tmp_path / "machines.yaml"
    pipeline.write_text(PIPELINE)
    came = [arrival(1, range(6)), *(arrival(n, range(4 + n, 5 + n)) for n in range(2, 16))]
    with open_any_line(pipeline, Settings(home=tmp_path / "home"), came) as line:
        promote(line, take(line, came[0])[0], "bootstrap", None)
        monkeypatch.setattr("deployments.signal_learning.update_representation", collapsed)
        promote(line, take(line, came[1])[0], "update", 1)
        revoked, compared = None, list[int]()
        for later in came[2:]:
            _, watched = take(line, later)
            assert watched.rivalry is not None
            compared.append(len(watched.rivalry.wager.gains))
            revoked = take_back(line, watched)
            if revoked is not None:
                break
        assert compared == list(range(1, len(compared) + 1))
        assert revoked is not None
        assert (revoked.version, revoked.champion) == (2, 1)
        assert "element_recall_at_1 " in revoked.reason
        champion = line.ledger.champion("machines")
        assert champion is not None
        assert (champion.version, line.registry.champion()) == (1, 1)
