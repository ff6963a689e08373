"""A plant that was stopped as Ctrl-C stops it, and is brought up again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.synthetic import write_line
from tests.operations.conftest import PIPELINE
from tests.operations.plant import bring_up, until


@pytest.mark.operations
@pytest.mark.timeout(900)
def test_schedules_fire_again_and_what_was_interrupted_is_finished(tmp_path: Path) -> None:
    pipeline = tmp_path / "line.yaml"
    pipeline.write_text(PIPELINE.replace("watch_minutes: 1", "watch_minutes: 0.2"))
    (batch,) = write_line(tmp_path / "batches", batches=1, rows=400)
    with bring_up(tmp_path, pipeline) as plant:
        plant.drop(batch)
        assert plant.ended(plant.start("learn-continuously"))["state_type"] == "COMPLETED"
        interrupted = plant.start("retrain", action="retrain", epochs=6_000)
        until(lambda: plant.progress_of(interrupted))
    again = datetime.now(UTC)
    with bring_up(tmp_path, pipeline) as plant:
        assert plant.run(interrupted)["state_type"] == "CRASHED"
        followed = until(lambda: next((r for r in plant.runs_of("retrain") if r["id"] != interrupted), None))
        assert followed["parameters"]["run_key"] == interrupted
        watched = until(
            lambda: next(
                (r for r in plant.runs_of("watch-drift") if r["start_time"] > f"{again:%Y-%m-%dT%H:%M:%S}"), None
            )
        )
        assert watched["auto_scheduled"]
        missed = {
            "flow_runs": {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "expected_start_time": {"before_": again.isoformat()},
            }
        }
        assert plant.call("POST", "/flow_runs/filter", missed) == [], "what a schedule missed is not made up for"
        assert plant.ended(followed["id"])["state_type"] == "COMPLETED"
