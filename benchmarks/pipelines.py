"""Seconds of a fleet's round, `learn-fleet` on processes: a batch waits for each pipeline, and none drifts.

Rounds of 10 pipelines and of all; what a pipeline costs is flat where the second lies on the line through the first.
Writes benchmarks/out/pipelines.json. `--pipelines N`: how many there are (100). `--home FOLDER`: go on with the fleet
of an earlier run, whose first champions took most of its time.
"""

import argparse
import os
import resource
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

from benchmarks.results import write_json
from deployments.settings import Settings, keep_quiet

FEATURES, ROWS, ROUNDS, FEW = 8, 300, 2, 10
PIPELINE = """
name: {name}
task: classification
data: {{target: y}}
model: {{architecture: mlp, hidden_units: [16], dropout: 0.0}}
training: {{epochs: 5}}
trigger: {{any: [{{kind: drift}}]}}
drift: {{report: never}}
gate: {{baseline: none, threshold: 0.0}}
"""


def drop(home: Path, name: str, seed: int) -> None:
    """Let a batch wait that is like all others of the pipeline."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
    channels = {f"s{i}": values[:, i] for i in range(FEATURES)}
    inbox = home / name / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({**channels, "y": np.where(values[:, 0] > 0, "up", "down")})
    frame.write_parquet(inbox / f"batch-{seed:08}.parquet")


def take_round(home: Path, files: list[Path], seed: int) -> tuple[float, float]:
    """Let a batch wait for each pipeline and take them all; seconds by the clock, and of all processors."""
    from flows.learn_fleet import learn_fleet

    for number, file in enumerate(files):
        drop(home, file.stem, 1_000 * seed + number)
    started, busy = perf_counter(), cpu_seconds()
    taken = learn_fleet([str(file) for file in files], str(home))
    seconds = perf_counter() - started, cpu_seconds() - busy
    assert set(taken.values()) == {1}, taken
    return seconds


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipelines", type=int, default=100)
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.home or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["LEHR_FLEET_RUNNER"] = "processes"
        keep_quiet(Settings(home=folder / "home"))
        files: list[Path] = []
        for number in range(given.pipelines):
            files.append(folder / f"p{number:03}.yaml")
            files[-1].write_text(PIPELINE.format(name=files[-1].stem), encoding="utf-8")
        seed = len(list((folder / "home" / "p000" / "inbox" / "taken").glob("*")))
        if seed == 0:
            seconds, _ = take_round(folder / "home", files, 0)
            print(f"first champions: {seconds:.1f} s", flush=True)
            seed = 1
        few, all_of_them = list[tuple[float, float]](), list[tuple[float, float]]()
        for number in range(ROUNDS):
            few.append(take_round(folder / "home", files[:FEW], seed + 2 * number))
            all_of_them.append(take_round(folder / "home", files, seed + 2 * number + 1))
            for count, (seconds, busy) in ((FEW, few[-1]), (len(files), all_of_them[-1])):
                print(f"{count}: {seconds:.1f} s, {busy:.1f} s of processors", flush=True)
    for what, place in (("by the clock", 0), ("of processors", 1)):
        first, second = min(found[place] for found in few), min(found[place] for found in all_of_them)
        each = (second - first) / (len(files) - FEW)
        print(f"{each:.2f} s {what} a pipeline, and {first - FEW * each:.1f} s whatever their number")
    write_json("pipelines", {"pipelines": len(files), f"seconds of {FEW}": few, "seconds of all": all_of_them})


if __name__ == "__main__":
    main()
