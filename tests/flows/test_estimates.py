"""Scores estimated until labels come, and promotions that rest on one: confirmed or taken back."""

from pathlib import Path

import polars as pl
import pytest

from tests.flows.late_stream import PIPELINE, batch, labels, ledger, run, unlabelled, write


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.mark.parametrize("turned", [False, True])
def test_a_promotion_on_an_estimate_is_confirmed_or_taken_back(pipeline: Path, tmp_path: Path, turned: bool) -> None:
    """The first champion saw few rows; the second learns while the newest batch has no labels yet."""
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1)[:60])
    write(inbox, "02.csv", unlabelled(2))
    write(inbox, "03.csv", unlabelled(3))
    write(inbox, "04-labels.csv", labels(2))
    write(inbox, "05-labels.csv", batch(3, turned).select("line", "piece", "side"))
    _, second, third, late, last = run(pipeline, inbox)
    assert second["estimate"] is None, "twelve held-out rows are too few to estimate from"
    assert late["promoted"]
    assert late["on_estimate"]["batches"] == [3]
    assert late["on_estimate"]["score"] > 0.8
    assert "estimate" in {check["name"] for check in late["gate"]["checks"]}
    assert third["score_before"] is None
    (known,) = last["completed"]
    assert (known["batch"], known["champion"], known["rows"]) == (3, 1, 200)
    assert last["score_before"]["accuracy"] == pytest.approx(known["score"])
    confirmed = last["confirmed"]
    assert (confirmed["version"], confirmed["sequence"], confirmed["passed"]) == (2, 2, not turned)
    history = ledger(pipeline).history("line")
    assert history[1].reason.endswith("(on an estimate: batch 3 without labels yet)")
    if turned:
        assert (last["revoked"]["version"], last["revoked"]["champion"]) == (2, 1)
        assert history[2].version == 1
        assert "promoted on an estimate that the labels do not bear out: " in history[2].reason
    else:
        assert last["revoked"] is None


def test_a_score_is_estimated_until_the_labels_come(pipeline: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1))
    write(inbox, "02.csv", unlabelled(2).with_columns(pl.col("a", "b") * 0.02))
    write(inbox, "03.csv", unlabelled(3))
    near, usual = run(pipeline, inbox)[1:]
    for record in (near, usual):
        found = record["estimate"]
        assert found["low"] < found["score"] < found["high"]
        assert found["rows"] == 200
    assert near["estimate"]["score"] < usual["estimate"]["score"] - 0.1, "rows near the line are harder to tell"
    write(inbox, "04-labels.csv", labels(3))
    (known,) = run(pipeline, inbox)[-1]["completed"]
    assert known["estimated"] == pytest.approx(usual["estimate"]["score"])
    assert usual["estimate"]["low"] <= known["score"] <= usual["estimate"]["high"]
