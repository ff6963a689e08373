"""SIGKILL between any two steps: every batch is in the store once, the champion is whole, and nothing differs."""

import os
import random
import sqlite3
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from data.feature_store import FeatureStore
from data.ledger import Ledger
from deployments.export import load_state
from deployments.line import open_ledger
from deployments.registry import Registry
from deployments.settings import Settings
from tests.flows.run_process import run
from tests.forked import fork

KILLS = int(os.environ.get("LEHR_KILLS", "1"))
KILLS_OF_A_RUN = 8


def start(pipeline: Path, source: Path, home: Path) -> BaseProcess:
    told = str(pipeline), str(source), str(home), PREFECT_API_URL.value()
    return fork(run, *told, needs=["deployments.preloaded"])


def ended(process: BaseProcess) -> int | None:
    process.join()
    return process.exitcode


def written_steps(home: Path) -> int:
    try:
        with sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True) as connection:
            return int(connection.execute("select count(*) from steps").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def kill_after(process: BaseProcess, home: Path, steps: int, delay: float) -> None:
    deadline = time.monotonic() + 60
    while written_steps(home) < steps and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    process.join()


def champion_weights(ledger: Ledger, home: Path) -> dict[str, list[float]]:
    champion = ledger.champion("line")
    assert champion is not None
    onnx = (home / "line" / "versions" / str(champion.version) / "model.onnx").read_bytes()
    return {name: tensor.flatten().tolist() for name, tensor in load_state(onnx)[1].items()}


@pytest.mark.slow
@pytest.mark.timeout(240 + 60 * KILLS)
def test_killed_runs_end_as_an_uninterrupted_one(pipeline: Path, source: Path, tmp_path: Path) -> None:
    """A run is killed a few times; more kills than these take several runs."""
    quiet = tmp_path / "quiet"
    assert ended(start(pipeline, source, quiet)) == 0
    steps_of_a_run = written_steps(quiet)
    generator = random.Random(0)
    for killed in range(0, KILLS, KILLS_OF_A_RUN):
        home, kills = tmp_path / f"home-{killed}", min(KILLS_OF_A_RUN, KILLS - killed)
        for _ in range(kills):
            steps = written_steps(home) + generator.randint(1, steps_of_a_run // kills)
            kill_after(start(pipeline, source, home), home, steps, generator.random() / 5)
        assert ended(start(pipeline, source, home)) == 0
        assert_same_outcome(home, quiet)


def assert_same_outcome(home: Path, quiet: Path) -> None:
    """Every batch once, and the champion of an undisturbed run, to the bit."""
    rows = FeatureStore(home / "line" / "store").read()
    assert rows.group_by("lehr_batch").len().sort("lehr_batch")["len"].to_list() == [200] * 4
    ledger, undisturbed = open_ledger(Settings(home=home)), open_ledger(Settings(home=quiet))
    assert champion_weights(ledger, home) == champion_weights(undisturbed, quiet)
    said = [(p.sequence, p.version, p.previous, p.reason) for p in ledger.history("line")]
    assert said == [(p.sequence, p.version, p.previous, p.reason) for p in undisturbed.history("line")]
    champion = ledger.champion("line")
    assert champion is not None
    assert Registry(Settings(home=home).tracking_uri, "line").champion() == champion.version
    assert not any((home / "line" / "landing").iterdir())
