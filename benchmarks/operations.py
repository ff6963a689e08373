"""How long a plant takes: from drift to the retrain that it starts, and for a waiting batch without drift.

`lehr up` on free ports, a real server and real runs. Writes benchmarks/out/operations.json.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from benchmarks.results import bar_chart, write_json
from deployments.line import open_ledger
from deployments.settings import Settings
from tests.operations.plant import Plant, bring_up, until

ROWS, FEATURES, ROUNDS = 10_000, 20, 11
DRIFT_ROWS, DRIFTS = 400, 11
PIPELINE = """
name: {name}
task: classification
data: {{target: y}}
model: {{architecture: mlp, hidden_units: [32, 16], dropout: 0.0}}
training: {{epochs: 5}}
trigger: {{any: [{{kind: drift}}]}}
drift: {{report: never}}
schedule: {{learn: null, watch_minutes: null}}
"""


def write_batch(folder: Path, number: int, rows: int = ROWS, shift: float = 0.0) -> Path:
    """Sensors that keep their level, or have moved by so many deviations; the class follows the first two."""
    rng = np.random.default_rng(number)
    values = rng.standard_normal((rows, FEATURES)).astype(np.float32)
    side = values[:, 0] + 0.3 * values[:, 1] > 0
    channels = {f"s{i:02}": values[:, i] + shift for i in range(FEATURES)}
    path = folder / f"batch-{number:03}.parquet"
    pl.DataFrame({**channels, "y": np.where(side, "up", "down")}).write_parquet(path)
    return path


def loop_seconds(plant: Plant, batch: Path) -> dict[str, float]:
    """Seconds of a loop over a waiting batch, one part after another, from the request to the run's end."""
    plant.drop(batch)
    asked = datetime.now(UTC)
    run = plant.ended(plant.start("learn-continuously"))
    assert run["state_type"] == "COMPLETED", run["state"]
    states = {s["type"]: _moment(s["timestamp"]) for s in plant.states_of(run["id"])}
    ledger = open_ledger(Settings(home=plant.home))
    entry = ledger.batches("line")[-1]
    steps = ledger.step_times("line", entry.batch_id)
    assert entry.name == batch.name and not any(step.startswith("learn") for step in steps), list(steps)
    moments = [
        ("picked up by the runner", states["PENDING"]),
        ("process and imports", states["RUNNING"]),
        ("opening the line", entry.arrived_at),
        *((step.replace("attempt:1", "ingest"), at) for step, at in sorted(steps.items(), key=lambda s: s[1])),
        ("closing the run", states["COMPLETED"]),
    ]
    times = [asked, *(at for _, at in moments)]
    return {name: (at - before).total_seconds() for (name, at), before in zip(moments, times, strict=False)}


def drift_seconds(plant: Plant, folder: Path, name: str) -> dict[str, float]:
    """Seconds from a pipeline's event of drift to the start of the retrain that it starts, one part after another."""
    before = len(plant.runs_of("retrain"))
    for number, flow, shift in ((0, "learn-continuously", 0.0), (1, "watch-drift", 2.0)):
        plant.drop(write_batch(folder, number, DRIFT_ROWS, shift), name)
        run = plant.ended(plant.start(flow, name))
        assert run["state_type"] == "COMPLETED", run["state"]
    retrain = until(lambda: next(iter(plant.runs_of("retrain")[before:]), None))
    event = until(lambda: plant.event("lehr.drift.detected", retrain["parameters"]["run_key"]))
    plant.ended(retrain["id"])
    moments = [_moment(text) for text in (event["occurred"], retrain["created"], retrain["start_time"])]
    parts = zip(("the server makes a run", "the runner starts it"), moments, moments[1:], strict=False)
    return {part: (after - before).total_seconds() for part, before, after in parts}


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each part over the rounds."""
    return {name: median(found[name] for found in rounds) for name in rounds[0]}


def pipeline_file(folder: Path, name: str) -> Path:
    """A pipeline of this name that nothing but drift makes learn."""
    path = folder / f"{name}.yaml"
    path.write_text(PIPELINE.format(name=name), encoding="utf-8")
    return path


def main() -> None:
    names = [f"drift-{number:02}" for number in range(DRIFTS)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with bring_up(folder, *(pipeline_file(folder, name) for name in ("line", *names))) as plant:
            plant.drop(write_batch(folder, 0))
            plant.ended(plant.start("learn-continuously"))
            loops = [loop_seconds(plant, write_batch(folder, 1 + i)) for i in range(ROUNDS)]
            drifts = [drift_seconds(plant, folder, name) for name in names]
    tell("a waiting batch", loops)
    tell("drift to retrain", drifts)
    write_json("operations", {"loop": loops, "drift to retrain": drifts})
    bar_chart("operations", f"Seconds of a waiting batch, {ROWS:,} rows × {FEATURES}", {"": medians(loops)})


def tell(what: str, rounds: Sequence[dict[str, float]]) -> None:
    """Print the medians of its parts, and of the whole with its range."""
    for part, seconds in medians(rounds).items():
        print(f"{part:<24} {seconds:6.2f} s")
    totals = [sum(found.values()) for found in rounds]
    print(f"{what:<24} {median(totals):6.2f} s; {min(totals):.2f} to {max(totals):.2f}\n")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
