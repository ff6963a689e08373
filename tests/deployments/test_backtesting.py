"""What a backtest keeps, what it goes on from, and what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from data.synthetic import write_line
from deployments.backtest_command import run_backtest
from monitoring.backtest import Prices
from monitoring.backtest_page import write_backtest_page
from monitoring.backtest_terminal import backtest_table, snippet
from monitoring.config import TriggerConfig

ROOT = Path(__file__).parents[2]
PIPELINE = """
name: line
task: classification
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [16], dropout: 0.1}
training: {epochs: 3}
gate: {metric: accuracy}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(PIPELINE)
    write_line(tmp_path / "source", batches=5, rows=120)
    return path


def run(pipeline: Path, home: str = "home", **options: Any) -> dict[str, Any]:
    folder = pipeline.parent
    given: dict[str, Any] = {"batch_rows": None, "learning": "scratch", "prices": Prices(), **options}
    return run_backtest(pipeline, [folder / "source"], home=folder / home, **given)


def kept(home: Path) -> dict[str, int]:
    return {str(p.relative_to(home)): p.stat().st_mtime_ns for p in sorted(home.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("learning", ["scratch", "chain"])
def test_a_second_run_learns_nothing(pipeline: Path, monkeypatch: pytest.MonkeyPatch, learning: str) -> None:
    first = run(pipeline, learning=learning)
    before = kept(pipeline.parent / "home")
    for name in ("bootstrap", "bootstrap_many", "update", "retrain"):
        monkeypatch.setattr(f"deployments.past_versions.{name}", None)
    assert run(pipeline, learning=learning) == first
    assert kept(pipeline.parent / "home") == before
    other_prices = run(pipeline, learning=learning, prices=Prices(training=50))
    trainings = {row["name"]: row["trainings"] for row in other_prices["policies"]}
    assert trainings["oracle"] < 3 == trainings["always"]


def test_what_made_a_version_is_in_its_key(pipeline: Path) -> None:
    run(pipeline)
    versions = pipeline.parent / "home" / "line" / "backtest" / "versions"
    assert len(list(versions.iterdir())) == 5
    pipeline.write_text(PIPELINE.replace("epochs: 3", "epochs: 2"))
    run(pipeline)
    assert len(list(versions.iterdir())) == 10
    pipeline.write_text(PIPELINE + "trigger: {any: [{kind: drift}]}\n")
    run(pipeline)
    assert len(list(versions.iterdir())) == 10, "a trigger makes no other version"
    (pipeline.parent / "source" / "line-05.csv").unlink()
    run(pipeline)
    assert len(list(versions.iterdir())) == 10, "earlier ranges are the same"


def test_only_the_backtest_folder_is_written(pipeline: Path) -> None:
    run(pipeline)
    assert [p.name for p in (pipeline.parent / "home").iterdir()] == ["line"]
    assert [p.name for p in (pipeline.parent / "home" / "line").iterdir()] == ["backtest"]
    assert sorted(p.name for p in pipeline.parent.iterdir()) == ["home", "line.yaml", "source"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_killed_run_goes_on(pipeline: Path) -> None:
    """Killed once some versions are there; what was kept stays as it was, and the result is that of a quiet run."""
    pipeline.write_text(PIPELINE.replace("epochs: 3", "epochs: 60"))
    quiet = run(pipeline, "quiet")
    command = [sys.executable, str(ROOT / "lehr.py"), "backtest", str(pipeline), "--source"]
    command += [str(pipeline.parent / "source"), "--home", str(pipeline.parent / "home"), "--learning", "chain"]
    quiet_chain = run(pipeline, "quiet", learning="chain")
    versions = pipeline.parent / "home" / "line" / "backtest" / "versions"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while len(list(versions.glob("*/checkpoint/*/hashes.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    whole = kept(versions)
    assert whole, "something was kept before the kill"
    assert run(pipeline, learning="chain") == quiet_chain
    finished = {name: at for name, at in whole.items() if name.endswith("hashes.json") and ".part" not in name}
    assert finished.items() <= kept(versions).items()
    assert run(pipeline) == quiet


@pytest.mark.slow
def test_over_processes_the_same(pipeline: Path) -> None:
    assert run(pipeline, "two", processes=2) == run(pipeline)


def test_what_is_said(pipeline: Path, tmp_path: Path) -> None:
    result = json.loads(json.dumps(run(pipeline), allow_nan=False))
    rows = {row["name"]: row for row in result["policies"]}
    assert list(rows)[-2:] == ["best trigger", "oracle"]
    assert {"never", "always", "every 2", "rows", "drift", "Evidently", "ADWIN", "performance", "pipeline"} <= set(rows)
    assert all(row["cost"] >= rows["oracle"]["cost"] - 1e-9 for row in result["policies"])
    expressible = [row["cost"] for row in result["policies"] if row["trigger"] is not None]
    assert rows["best trigger"]["cost"] == pytest.approx(min(expressible))
    assert not result["approximation"]
    TriggerConfig.model_validate(result["best"]["trigger"])
    pipeline.write_text(PIPELINE + snippet(result) + "\n")
    pasted = {row["name"]: row for row in run(pipeline)["policies"]}
    assert pasted["pipeline"]["cost"] == rows["best trigger"]["cost"]
    assert backtest_table(result)
    write_backtest_page(result, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert snippet(result).replace("'", "&#39;") in page
    assert 'src="http' not in page.replace(get_plotlyjs(), "")


def test_a_chain_is_marked_as_an_approximation(pipeline: Path, tmp_path: Path) -> None:
    result = run(pipeline, learning="chain")
    assert result["approximation"]
    write_backtest_page(result, tmp_path / "page.html")
    assert "This is an approximation" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prices": Prices(training=-1)}, "prices: none may be negative"),
        ({"prices": Prices(point=0)}, "a point of score must cost something"),
        ({"processes": 0}, "processes: 0 cannot learn"),
    ],
)
def test_a_mistake_is_told(pipeline: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(pipeline, **options)


def test_one_batch_is_no_history(pipeline: Path) -> None:
    for file in sorted((pipeline.parent / "source").glob("*.csv"))[1:]:
        file.unlink()
    with pytest.raises(ValueError, match="a history needs two sound batches, the source holds 1"):
        run(pipeline)
