"""Planted candidates through the real gate: none of the bad ones may pass, and the better ones should.

`python -m benchmarks.planted [--seeds 3]`: for each seed the synthetic glass line, with both products in every batch,
goes through the loop, once to tell defects and once to tell the gob's temperature. A candidate that the loop itself
makes of the last batch is then spoilt in one way after another, exported, and judged by `judge_version` against the
champion. The better candidates are honest updates and retrains, judged against a champion that knew the first batch
only. Writes benchmarks/out/planted.json.
"""

import argparse
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from benchmarks.results import write_json
from data.samples import Samples, join_samples
from data.synthetic import glass_line
from data.windows import make_samples
from deployments.candidates import make_candidate, training_samples
from deployments.drafts import Classes
from deployments.exporting import export_version
from deployments.judging import judge_version
from deployments.line import Line, Overrides, open_line
from deployments.outcomes import Batch
from deployments.settings import Settings, keep_quiet
from deployments.verdict import Verdict
from learning.candidate import Candidate
from learning.config import TrainingConfig
from learning.memory import Memory
from learning.refresh import refresh
from models.network import Network

PAIRS = ((1, 5), (2, 6), (3, 8), (4, 13), (9, 14), (10, 16))
"""The line's batches that are put together, a bottle's and a jar's; none with a stuck sensor or in other units."""
ROWS = 400
TASKS = {"classification": "defect", "regression": "gob_c"}
PIPELINE = """
name: planted
task: TASK
data: {target: TARGET, group: product}
model: {architecture: mlp, hidden_units: [64, 32], dropout: 0.1}
training: {epochs: 20}
trigger: {any: [{kind: manual}]}
drift: {report: never}
"""


@dataclass(frozen=True)
class Scene:
    """A line whose champion has not learned from the last batch, and an honest candidate that has."""

    line: Line
    batch: Batch
    honest: Candidate
    classes: Classes
    trained: Samples
    held_out: Samples

    def judge(self, candidate: Candidate) -> Verdict:
        """Export the candidate as a version and hold it against the champion."""
        exported = export_version(self.line, self.batch, "update", candidate, self.classes)
        return judge_version(self.line, self.batch, exported).verdict


@contextmanager
def open_scene(folder: Path, task: str, seed: int, learned: int = len(PAIRS) - 1) -> Generator[Scene]:
    """Run the loop over the batches; it learns from so many of them, and the rest is stored."""
    from flows.learn_continuously import learn_continuously  # Prefect's import waits until it is needed

    files, pipeline, settings = _write(folder, task, seed), folder / "planted.yaml", Settings(home=folder / "home")
    sources = [[str(file) for file in part] for part in (files[:learned], files[learned:])]
    for part, action in zip(sources, ("update", None), strict=True):
        learn_continuously(pipeline=str(pipeline), sources=part, home=str(settings.home), action=action, seed=seed)
    with open_line(pipeline, settings, [], Overrides(seed)) as line:
        last = line.ledger.batches(line.name)[-1]
        batch = Batch(last.number, last.batch_id, last.name)
        made = make_candidate(line, batch, "update")
        assert made is not None, "the last batch has labels"
        held_out = make_samples(line.store.read_holdout(batch.number), line.schema, line.window_length, made[1])
        trained = training_samples(line, range(1, batch.number + 1), made[1])
        yield Scene(line, batch, *made, trained, held_out)


def plant(scene: Scene, seed: int) -> dict[str, Candidate]:
    """Bad candidates by what is wrong with them, each from the honest one."""
    rng = np.random.default_rng(seed)
    values = scene.classes is None
    bad = {
        "worse: noise on the weights": _edited(scene, lambda n: _add_noise(n, 0.5, seed)),
        "worse: much noise on the weights": _edited(scene, lambda n: _add_noise(n, 1.0, seed)),
        "worse: labels shuffled": _taught(scene, _shuffled(scene.trained, rng)),
        "not a number": _edited(scene, lambda n: n.head.bias.fill_(torch.nan)),
        "not a number where a sensor is high": _edited(scene, _overflow),
        "constant": _edited(scene, lambda n: n.head.weight.zero_()),
        "collapsed variance": _edited(scene, lambda n: _shrink(n, 0.5 if values else 0.03)),
        "good on the new, bad on the old": _taught(scene, *[_newest(scene.trained)] * 6),
        "trained on the held-out rows": _peeking(scene),
        "a copy of the target in training": _taught(scene, *[_with_copy(scene.trained)] * 4),
    }
    for name, rows_B in _slices(scene).items():
        spoilt = _shuffled(scene.trained, rng, rows_B)
        bad[f"worse on one slice: {name}"] = _taught(scene, spoilt, spoilt)
    return bad


def better(scene: Scene, seed: int, count: int) -> dict[str, Candidate]:
    """Honest candidates, every second one a retrain, each from a seed of its own."""
    made = dict[str, Candidate]()
    for number in range(count):
        training = scene.line.config.training.model_copy(update={"seed": 100 * seed + number})
        line = replace(scene.line, config=scene.line.config.model_copy(update={"training": training}))
        rung = "retrain" if number % 2 else "update"
        found = make_candidate(line, scene.batch, rung)
        assert found is not None, "the batches have labels"
        made[f"{rung} {number}"] = found[0]
    return made


def _write(folder: Path, task: str, seed: int) -> list[Path]:
    batches = {t.batch: f.with_columns(product=pl.lit(t.product)) for _, f, t in glass_line(16, ROWS, seed)}
    pipeline = PIPELINE.replace("TASK", task).replace("TARGET", TASKS[task])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "planted.yaml").write_text(pipeline)
    dropped = ["time", "defect"] if task == "regression" else ["time"]
    files = [folder / f"{number:02}.csv" for number in range(1, len(PAIRS) + 1)]
    for file, pair in zip(files, PAIRS, strict=True):
        halves = [batches[number].head(ROWS // 2 * (1 + (i == 0))) for i, number in enumerate(pair)]
        mixed = pl.concat([part for rows in zip(*(h.iter_slices(40) for h in halves), strict=False) for part in rows])
        mixed.drop(dropped).write_csv(file)
    return files


def _edited(scene: Scene, change: Callable[[Network], object]) -> Candidate:
    network = deepcopy(scene.honest.network)
    with torch.no_grad():
        change(network)
    return replace(scene.honest, network=network)


def _taught(scene: Scene, *lessons: Samples) -> Candidate:
    """The honest candidate after a refresh on each of these samples."""
    network = deepcopy(scene.honest.network)
    torch.manual_seed(0)
    for samples in lessons:
        shares_MK = torch.full((len(samples), network.heads), 1 / len(samples), dtype=torch.float64)
        refresh(network, samples, shares_MK, TrainingConfig())
    return replace(scene.honest, network=network)


def _peeking(scene: Scene) -> Candidate:
    """Refreshed on the held-out rows as well, which its memory then holds as it holds all that is learned from."""
    torch.manual_seed(0)
    seen = join_samples([scene.trained, scene.held_out])
    taught = _taught(scene, *[seen] * 4)
    return replace(taught, memory=Memory(seen.take(torch.arange(0)), 0, 0).absorb(seen, 4 * len(seen)))


def _add_noise(network: Network, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in network.parameters():
        spread = weight.std() if weight.numel() > 1 else weight.abs()
        weight.add_(share * spread * torch.randn(weight.shape, generator=generator))


def _overflow(network: Network) -> None:
    """A weight so large that the sum is infinite, and infinity less infinity no number, at high readings only."""
    first = next(network.trunk.parameters())
    first[0, 0], first[1, 0] = 3e38, 3e38
    network.head.weight[:, 0], network.head.weight[:, 1] = 10.0, -10.0


def _shrink(network: Network, share: float) -> None:
    """All outputs nearer to their mean: the guesses stay, sureness goes; of values the spread."""
    network.head.weight.mul_(share)
    network.head.bias.mul_(share)


def _slices(scene: Scene) -> Mapping[str, Tensor]:
    """Training samples of one product, of one class, and at one end of a sensor's range."""
    trained, schema = scene.trained, scene.line.schema
    rows_BC = trained.inputs()
    speed_B = rows_BC[:, schema.features.index("speed_cpm")]
    oxygen_B = rows_BC[:, schema.features.index("o2_pct")]
    found = {
        "bottles": speed_B > 90,
        "jars": speed_B < 90,
        "high oxygen": oxygen_B > oxygen_B.nanquantile(0.85),
        "low oxygen": oxygen_B < oxygen_B.nanquantile(0.15),
    }
    if scene.classes is not None:
        found |= {f"class {label}": trained.targets_B == number for number, label in enumerate(scene.classes)}
    return found


def _shuffled(samples: Samples, rng: np.random.Generator, rows_B: Tensor | None = None) -> Samples:
    """The same samples with the targets of some of them (all: None) drawn anew from all targets, never their own."""
    chosen_B = torch.ones(len(samples), dtype=torch.bool) if rows_B is None else rows_B
    places = torch.from_numpy(rng.integers(0, len(samples), int(chosen_B.sum())))
    targets_B = samples.targets_B.clone()
    drawn = samples.targets_B[places]
    if targets_B.dtype == torch.int64:
        classes = int(targets_B.max()) + 1
        drawn = torch.where(drawn == targets_B[chosen_B], (drawn + 1) % classes, drawn)
    targets_B[chosen_B] = drawn
    return replace(samples, targets_B=targets_B)


def _newest(samples: Samples) -> Samples:
    """The jars of the last batch: what a line that runs one product only would send."""
    return samples.take((samples.batches_B == samples.batches_B.max()).nonzero().flatten()[-100:])


def _with_copy(samples: Samples) -> Samples:
    """The same samples with the target in place of the first sensor, at its level and spread."""
    rows_NC, targets = samples.rows_NC.clone(), samples.targets_B.float()
    first, ends_B = rows_NC[:, 0], samples.starts_B + samples.length - 1
    level, spread = first.nanmean(), first[~first.isnan()].std()
    rows_NC[ends_B, 0] = level + spread * (targets - targets.mean()) / targets.std()
    return replace(samples, rows_NC=rows_NC)


def run(seeds: int) -> dict[str, dict[str, str]]:
    """Every candidate's verdict, printed as it comes: `passed`, or the checks that refused it."""
    found: dict[str, dict[str, str]] = {"bad": {}, "better": {}, "honest": {}}

    def note(group: str, name: str, verdict: Verdict) -> None:
        refused = ", ".join(c.name for c in verdict.checks if not c.passed)
        found[group][name] = refused or "passed"
        print(f"{group:<7} {name:<62} {found[group][name]}", flush=True)

    with tempfile.TemporaryDirectory() as home:  # Prefect's, as long as any scene lasts
        keep_quiet(Settings(home=Path(home)))
        for seed, task in product(range(seeds), TASKS):
            folder = Path(home) / f"{task}-{seed}"
            with open_scene(folder, task, seed) as scene:
                note("honest", f"{task} {seed}", scene.judge(scene.honest))
                for kind, candidate in plant(scene, seed).items():
                    note("bad", f"{task} {seed}: {kind}", scene.judge(candidate))
            with open_scene(folder / "better", task, seed, learned=1) as scene:
                for kind, candidate in better(scene, seed, 4).items():
                    note("better", f"{task} {seed}: {kind}", scene.judge(candidate))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    found = run(parser.parse_args().seeds)
    for group, answers in found.items():
        print(f"{group}: {sum(a == 'passed' for a in answers.values())} of {len(answers)} passed")
    write_json("planted", found)


if __name__ == "__main__":
    main()
