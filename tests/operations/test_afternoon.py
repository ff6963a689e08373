"""An afternoon on a shortened clock, with SIGKILL at random moments: of runs, and of the process that starts them."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from data.feature_store import FeatureStore
from data.synthetic import write_line
from deployments.champions import version_of
from deployments.line import Line, open_ledger, read_line
from deployments.promotion import smoke_test
from deployments.settings import Settings
from tests.operations.plant import Plant, bring_up, lehr, until

KILLS = int(os.environ.get("LEHR_PLANT_KILLS", "4"))
KILLS_OF_A_DAY = 7
"""Then the runner is killed too, and the plant is brought up again."""
ROWS, SETTLED_SECONDS = 200, 120
PIPELINE = """
name: line
task: classification
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [32, 16], dropout: 0.0}
training: {epochs: 20}
trigger: {any: [{kind: rows, count: 1}]}
gate: {metric: accuracy, threshold: 0.0, baseline: none}
drift: {report: never}
schedule: {learn: "* * * * *", watch_minutes: 0.15}
"""


@pytest.mark.operations
@pytest.mark.timeout(900 + 90 * KILLS)
def test_an_afternoon_of_kills(tmp_path: Path) -> None:
    pipeline, chance = tmp_path / "line.yaml", random.Random(0)
    pipeline.write_text(PIPELINE)
    waiting = write_line(tmp_path / "batches", batches=KILLS + 2, rows=ROWS)
    for begun in range(0, KILLS, KILLS_OF_A_DAY):
        with bring_up(tmp_path, pipeline) as plant:
            if begun == 0:
                plant.drop(waiting.pop(0))
                assert plant.ended(plant.start("learn-continuously"))["state_type"] == "COMPLETED"
            for _ in range(min(KILLS_OF_A_DAY, KILLS - begun)):
                plant.drop(waiting.pop(0))
                kill_a_run(plant, chance)
            plant.kill_runner()
    with bring_up(tmp_path, pipeline) as plant:
        assert_all_settle(plant)
        until(lambda: True if learned_through(pipeline, plant.home) == KILLS + 1 else None)
    assert_whole(tmp_path, pipeline, KILLS + 1)


def kill_a_run(plant: Plant, chance: random.Random) -> None:
    """SIGKILL to one of the runs that are under way, at a moment of its life that chance chooses."""
    for _ in range(100):
        process = until(lambda: next(filter(None, map(plant.process_of, under_way(plant))), None))
        time.sleep(3 * chance.random() ** 2)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            return
    raise AssertionError("no run was caught alive")


def under_way(plant: Plant) -> list[str]:
    """The runs that Prefect says are running."""
    body = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "CANCELLING"]}}}, "sort": "START_TIME_DESC"}
    return [run["id"] for run in plant.call("POST", "/flow_runs/filter", body)]


def assert_all_settle(plant: Plant) -> None:
    """Two minutes after the last kill none of the runs that were under way is; soon nothing waits any more."""
    left = set(under_way(plant))
    deadline = time.monotonic() + SETTLED_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(1)
        left &= set(under_way(plant))
    assert not left, [plant.run(run) for run in left]
    until(lambda: True if not list(plant.inbox.glob("*.csv")) else None)
    until(lambda: True if not under_way(plant) else None)


def assert_whole(folder: Path, pipeline: Path, came: int) -> None:
    """Every batch was stored and finished once, learning went through each once, and the champion is what it was."""
    home = folder / "home"
    rows = FeatureStore(home / "line" / "store").read()
    ledger = open_ledger(Settings(home=home))
    finished = ledger.outcomes("line", "finish")
    assert sorted(finished) == list(range(1, came + 1))
    sound = [(number, ROWS) for number, record in finished.items() if record["status"] == "accepted"]
    assert sorted(rows.group_by("lehr_batch").len().rows()) == sorted(sound)
    assert len(list((home / "line" / "inbox" / "taken").iterdir())) == came
    lehr("verify", "--home", str(home))
    line, champion = read_line(pipeline, Settings(home=home)), ledger.champion("line")
    assert champion is not None and line.registry.champion() == champion.version
    smoke_test(line, champion.version)
    assert_learned_once(line)


def learned_through(pipeline: Path, home: Path) -> int:
    """The last batch that the newest version has learned from."""
    line = read_line(pipeline, Settings(home=home))
    return version_of(line, line.ledger.versions("line")[-1].version).candidate.trained_through


def assert_learned_once(line: Line) -> None:
    """Each version goes on where the one before it ended, and the newest remembers no row twice."""
    newest = line.ledger.versions("line")[-1]
    memory = version_of(line, newest.version).candidate.memory.to_frame()
    assert memory.unique().height == memory.height
    through: list[int] = []
    version: int | None = newest.version
    while version is not None:
        through.append(version_of(line, version).candidate.trained_through)
        version = line.ledger.version("line", version).parent
    assert through == sorted(set(through), reverse=True)
