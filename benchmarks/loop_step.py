"""Seconds of one whole loop step, by step: 10,000 rows × 20 features into a pipeline that has a champion.

Writes benchmarks/out/loop_step.json.
"""

import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.results import bar_chart, write_json
from deployments.line import open_ledger
from deployments.settings import Settings

ROWS, FEATURES, BATCHES = 10_000, 20, 4
ROOT = Path(__file__).parents[1]
PIPELINE = """
name: bench
task: classification
data: {target: y}
trigger: {any: [{kind: rows, count: 1}]}
drift: {report: never}
"""


def write_batches(folder: Path) -> None:
    """Rows whose class follows a slowly turning direction."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(BATCHES):
        values = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
        side = values[:, 0] + 0.3 * number * values[:, 1] > 0
        channels = {f"s{i:02}": values[:, i] for i in range(FEATURES)}
        frame = pl.DataFrame({**channels, "y": np.where(side, "up", "down")})
        frame.write_parquet(folder / f"batch-{number}.parquet")


def step_seconds(home: Path) -> dict[str, float]:
    """Seconds between the ledger's entries of the last batch."""
    ledger = open_ledger(Settings(home=home))
    times = ledger.step_times("bench", ledger.batches("bench")[-1].batch_id)
    moments: list[tuple[str, datetime]] = sorted(times.items(), key=lambda item: item[1])
    arrived = ledger.batches("bench")[-1].arrived_at
    earlier = [arrived, *(moment for _, moment in moments)]
    return {name: (moment - before).total_seconds() for (name, moment), before in zip(moments, earlier, strict=False)}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_batches(folder / "source")
        (folder / "bench.yaml").write_text(PIPELINE, encoding="utf-8")
        command = [sys.executable, str(ROOT / "lehr.py"), "run", str(folder / "bench.yaml")]
        command += ["--source", str(folder / "source"), "--home", str(folder / "home")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = step_seconds(folder / "home")
    for step, value in seconds.items():
        print(f"{step:<18} {value:6.2f} s")
    print(f"{'all':<18} {sum(seconds.values()):6.2f} s for {ROWS:,} rows × {FEATURES}")
    write_json("loop_step", seconds)
    bar_chart("loop_step", f"Seconds of a loop step, {ROWS:,} rows × {FEATURES}", {"": seconds})


if __name__ == "__main__":
    main()
