"""A champion on probation beside its predecessor, and a version in the shadow that is to prove itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from deployments.gate import Verdict
from deployments.judging import judge_version
from deployments.line import Line, open_ledger
from deployments.outcomes import Batch, Exported, Judged
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously

PIPELINE = """
name: line
task: classification
data: {target: side}
model: {architecture: mlp, hidden_units: [8], dropout: 0.0}
training: {epochs: 60, batch_size: 32, learning_rate: 0.01}
trigger: {any: [{kind: TRIGGER}]}
gate: {threshold: 0.2, appetite: APPETITE, max_forgetting: 1.0}
drift: {report: never}
"""


def write(folder: Path, batches: int, turned: int) -> list[Path]:
    """Rows whose side a line tells; in the batch `turned` a third of the labels mean the other side."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    files = [folder / f"{number:02}.csv" for number in range(1, batches + 1)]
    for number, file in enumerate(files, start=1):
        values = rng.standard_normal((200, 3)).astype(np.float32)
        side = values[:, 0] + values[:, 1] > 0
        if number == turned:
            side = side ^ (values[:, 2] > 0.4)
        columns = {name: values[:, i] for i, name in enumerate("abc")}
        pl.DataFrame({**columns, "side": np.where(side, "up", "down")}).write_csv(file)
    return files


def run(pipeline: Path, files: list[Path], home: Path, action: Any = None) -> list[dict[str, Any]]:
    sources = [str(file) for file in files]
    return learn_continuously(pipeline=str(pipeline), sources=sources, home=str(home), action=action)["batches"]


def test_a_promotion_that_proves_worse_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate is blinded for one batch with wrong labels; the predecessor shows that it was the better one."""

    def judge_blindly(line: Line, batch: Batch, exported: Exported, wealth: float = 0.0) -> Judged:
        judged = judge_version(line, batch, exported, wealth)
        return replace(judged, verdict=Verdict(True, judged.verdict.checks)) if batch.number == 2 else judged

    monkeypatch.setattr("deployments.row_kind.judge_version", judge_blindly)
    pipeline = tmp_path / "line.yaml"
    pipeline.write_text(PIPELINE.replace("TRIGGER", "manual").replace("APPETITE", "probation"))
    home, files = tmp_path / "home", write(tmp_path / "source", 12, turned=2)
    assert run(pipeline, files[:1], home)[0]["promoted"]
    assert run(pipeline, files[1:2], home, "update")[0]["promoted"]
    unlabelled = pl.read_csv(files[3]).with_columns(side=pl.lit(None, pl.String))
    unlabelled.write_csv(files[3])
    records = run(pipeline, files[2:], home)
    seen = [len(record["rivalry"]["wager"]["gains"]) for record in records[:4]]
    assert seen == [1, 1, 2, 3], "a batch without labels tells nothing, and nothing is forgotten over it"
    revoked = [record["revoked"] for record in records if record["revoked"] is not None]
    assert [(r["version"], r["champion"]) for r in revoked] == [(2, 1)]
    history = open_ledger(Settings(home=home)).history("line")
    assert [promotion.version for promotion in history] == [1, 2, 1]
    assert "version 1 against 2: accuracy" in history[-1].reason, "both scores are told"
    assert "a stake of 1 on it has become" in history[-1].reason
    assert records[-1]["rivalry"] is None, "a rollback is not on probation"


def test_a_shadow_goes_live_once_it_has_proven_itself(tmp_path: Path) -> None:
    """The first champion learned wrong labels; what learns the true ones must show it before it goes live."""
    pipeline = tmp_path / "line.yaml"
    pipeline.write_text(PIPELINE.replace("TRIGGER", "rows, count: 1").replace("APPETITE", "proof"))
    records = run(pipeline, write(tmp_path / "source", 10, turned=1), tmp_path / "home")
    assert records[0]["promoted"]
    live = next(record for record in records[1:] if record["promoted"])
    assert live["action_taken"] == "shadow"
    assert live["batch"] > 5
    assert {check["name"]: check["value"] for check in live["gate"]["checks"]}["proof"] >= 20
    assert all("proof" in refused_for(record) for record in records[1 : live["batch"] - 1])


def test_a_shadow_without_proof_is_given_up_in_time(tmp_path: Path) -> None:
    """Champion and lineage learn the same relation: nothing tells them apart, and learning starts from the champion."""
    pipeline = tmp_path / "line.yaml"
    text = PIPELINE.replace("TRIGGER", "rows, count: 1").replace("APPETITE", "proof, shadow_batches: 4")
    pipeline.write_text(text)
    records = run(pipeline, write(tmp_path / "source", 8, turned=0), tmp_path / "home")
    ended = [record["rivalry"]["ended"] for record in records if (record["rivalry"] or {}).get("ended")]
    assert ended
    assert ended[0].startswith("given up in the shadow after 4 batches without proof: version 5 against 1: accuracy")
    assert len(records[6]["rivalry"]["wager"]["gains"]) == 1, "the next lineage starts a wager of its own"
    assert "1,000 rows since it last learned" in records[5]["decision"]["reason"], "learning starts over"
    assert all(not record["promoted"] for record in records[1:])


def refused_for(record: dict[str, Any]) -> set[str]:
    return {check["name"] for check in record["gate"]["checks"] if not check["passed"]}
