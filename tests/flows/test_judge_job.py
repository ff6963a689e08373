"""Candidates of retraining jobs through the gate: two sites, a model that was sent, one that is worse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from data.feature_store import FeatureStore
from data.ledger import Ledger
from deployments.drafts import load_draft
from deployments.job_training import JobFolder, train_job
from deployments.line import open_ledger, read_line
from deployments.registry import Registry
from deployments.requests import next_number
from deployments.settings import Settings
from flows.judge_job import judge_job
from tests.deployments.jobs import DOCUMENT, make_job, site_csv


def write_pipeline(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, "name": name}))
    return path


def train_and_judge(
    home: Path, name: str, content: bytes, model: bytes | None = None, **more: Any
) -> tuple[JobFolder, dict[str, Any]]:
    folder = make_job(
        home.parent / f"job-{len(list(home.parent.glob('job-*')))}",
        content,
        {**DOCUMENT, "name": name},
        model,
        **{"number": len(open_ledger(Settings(home=home)).batches(name)) + 1, **more},
    )
    train_job(folder)
    return folder, judge(home, name, folder)


def judge(home: Path, name: str, folder: JobFolder) -> dict[str, Any]:
    return judge_job(str(write_pipeline(home.parent, name)), str(folder.path), folder.path.name, str(home))


def model_of(home: Path, name: str, version: int) -> bytes:
    return (home / name / "versions" / str(version) / "model.onnx").read_bytes()


def test_sites_train_and_are_judged_apart_from_one_another(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = Settings(home=home)
    ledger = open_ledger(settings)

    # Kostroma has a file alone: a first version, from scratch.
    _, first = train_and_judge(home, "line--kostroma", site_csv(seed=1))
    assert (first["state"], first["version"], first["champion"]) == ("registered", 1, 1)
    assert [promotion.version for promotion in ledger.history("line--kostroma")] == [1]

    # Moscow has a model, which goes into production first, and is learned on from.
    _, tuned = train_and_judge(home, "line--moskva", site_csv(seed=2), model_of(home, "line--kostroma", 1))
    versions = ledger.versions("line--moskva")
    assert (tuned["state"], [v.made_by for v in versions]) == ("registered", ["adopted", "job"]), tuned
    assert versions[1].parent == 1
    assert [promotion.reason for promotion in ledger.history("line--moskva")] == [
        "adopted from ours.onnx",
        "job on a request: h.csv, going on from ours.onnx",
    ]

    # Neither has anything of the other's.
    for site, seed in (("line--kostroma", 1), ("line--moskva", 2)):
        stored = FeatureStore(home / site / "store", "quality").read(range(1, 100))["heat"]
        own = [float(row.split(b",")[0]) for row in site_csv(seed=seed).splitlines()[1:]]
        assert np.allclose(stored.to_numpy(), own)
        assert Registry(settings.tracking_uri, site).champion() == ledger.history(site)[-1].version
    assert "line" not in ledger.pipelines()

    # What was learned from noise is refused, and nothing goes on from it.
    before = ledger.history("line--moskva")[-1].version
    _, worse = train_and_judge(home, "line--moskva", site_csv(seed=4, noise=1000))
    assert (worse["state"], worse["champion"]) == ("refused", before)
    assert "accuracy" in worse["reason"]
    assert ledger.history("line--moskva")[-1].version == before
    line = read_line(write_pipeline(tmp_path, "line--moskva"), settings)
    assert len(ledger.batches("line--moskva")) == 2
    assert line.registry.champion() == before
    assert_outdated(home, ledger)


def assert_outdated(home: Path, ledger: Ledger) -> None:
    """Other batches came while it trained: it is not judged, and nothing of it is left in the pipeline."""
    count = len(ledger.batches("line--moskva"))
    _, outdated = train_and_judge(home, "line--moskva", site_csv(seed=5), number=count)
    assert outdated["state"] == "outdated"
    assert len(ledger.batches("line--moskva")) == count
    assert next_number(ledger, "line--moskva", "0" * 64) == count + 1


@pytest.mark.torture
def test_what_is_judged_again_is_the_same_and_an_own_version_keeps_its_numbers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ledger = open_ledger(Settings(home=home))
    folder, first = train_and_judge(home, "line", site_csv(seed=1))
    assert judge(home, "line", folder) == first
    assert [promotion.version for promotion in ledger.history("line")] == [1]
    folder, again = train_and_judge(home, "line", site_csv(seed=3), model_of(home, "line", 1), known=True)
    assert ledger.versions("line")[1].parent == 1
    assert again["state"] in ("registered", "refused")
    assert [(e.number, e.name) for e in ledger.batches("line")] == [(1, "h.csv"), (2, "h.csv")]
    candidate, _ = load_draft(folder.draft)
    assert set(candidate.memory.samples.batches_B.tolist()) == {1, 2}
