"""Whether lines that learn together learn as well as if their rows were pooled, and what hostile nodes can do.

`python -m benchmarks.federation DATA_FOLDER [--rounds 80 --seeds 3]`: the years of a gas turbine as three nodes (NOx,
RMSE), and ten glass lines whose classes are skewed by a Dirichlet distribution of 0.3 (accuracy). A fifth of each
node's rows, in blocks spread over time, is never learned from, and all models are scored on all of these together.
*Pooled*: the same network trained by lehr's trainer on all rows for as many epochs. *Alone*: as a federation of one.

Hostile: two of the ten lines send NaN, updates × 10⁶, updates of the opposite sign, their first update again and
again, or another shape; lines skewed and not. Such a line teaches nothing, so the loss is held against that of the
honest eight alone, by the same method and by fedavg, on the rows of these eight; and against the same method's with all
ten honest, on the rows of all ten, which also counts what the two would have taught.

How nodes learn was chosen on seeds 11 to 14: by SGD on the lines, by AdamW on the turbine and where some are hostile,
and with skewed classes with logit adjustment. Writes benchmarks/out/federation.json and federation.png (ten minutes).
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.hostile_nodes import KINDS, with_hostile
from benchmarks.results import bar_chart, write_json
from data.config import DataConfig
from data.samples import Samples, join_samples
from data.schema import resolve_schema
from data.synthetic import SENSORS, glass_line
from data.windows import make_samples
from learning.config import TrainingConfig
from learning.federated import FederatedLearningCoordinator
from learning.federation.results import FederatedModel
from learning.federation.run import ask_in_turn
from learning.federation.sources import NodeData
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.optimisers import Sgd
from learning.randomness import seeded
from learning.search.row_material import predict
from learning.validation import split_blocks
from models.config import MlpConfig
from models.network import Network, build_network
from monitoring.performance import score

YEARS = (2011, 2012, 2013)
TURBINE = ("AT", "AP", "AH", "AFDP", "GTEP", "TIT", "TAT", "TEY", "CDP")
LINES, SKEW, BATCHES, BATCH_ROWS = 10, 0.3, 3, 600
BLOCKS, EVERY = 25, 5
MODEL = MlpConfig(hidden_units=[64, 32], dropout=0.0)
LOCAL_EPOCHS = 1
ADAM = TrainingConfig(batch_size=64, learning_rate=1e-2)
SGD = TrainingConfig(batch_size=64, learning_rate=0.1, optimiser=Sgd(momentum=0.9))


@dataclass(frozen=True)
class Stream:
    """Nodes' training samples and what none of them learns from, by name.

    adjusted: whether nodes learn with logit adjustment.
    """

    metric: str
    labels: tuple[str, ...] | None
    adjusted: bool
    learned: dict[str, Samples]
    unseen: dict[str, Samples]

    @property
    def sources(self) -> dict[str, NodeData]:
        """As a federation's nodes."""
        task = "regression" if self.labels is None else "classification"
        sensors = tuple(f"x{i}" for i in range(next(iter(self.learned.values())).rows_NC.shape[1]))
        return {name: NodeData(sensors, task, self.labels, samples) for name, samples in self.learned.items()}

    def of(self, names: Sequence[str]) -> "Stream":
        """Some of the nodes alone."""
        return replace(self, learned={n: self.learned[n] for n in names}, unseen={n: self.unseen[n] for n in names})


def turbine(folder: Path, rows: int | None = None) -> Stream:
    """The NOx of one gas turbine, each year a node."""
    parts: dict[str, Samples] = {}
    for year in YEARS:
        frame = pl.read_csv(folder / "gas_turbine" / f"gt_{year}.csv").head(rows or 10**9)
        readings = torch.from_numpy(frame.select(TURBINE).to_numpy().astype(np.float32)).contiguous()
        targets = torch.from_numpy(frame["NOX"].to_numpy().astype(np.float32))
        ones = torch.ones(frame.height, dtype=torch.int64)
        parts[str(year)] = Samples(readings, torch.arange(frame.height), 1, targets, ones)
    return _split("rmse", None, False, parts)


def lines(seed: int, batches: int = BATCHES, skew: float | None = SKEW, adjusted: bool = False) -> Stream:
    """Ten glass lines, each of its own seed; skew: whose rows are thinned so that each has classes of its own."""
    frames = [
        pl.concat([frame for _, frame, _ in glass_line(batches, BATCH_ROWS, 100 * seed + number)]).with_row_index("row")
        for number in range(LINES)
    ]
    schema = resolve_schema(
        DataConfig(target="defect", timestamp="time"), "classification", ["time", *SENSORS, "defect"]
    )
    labels = tuple(sorted({label for frame in frames for label in frame["defect"].unique().to_list()}))
    rng = np.random.default_rng([7, seed])
    parts: dict[str, Samples] = {}
    for number, frame in enumerate(frames):
        favours = np.ones(len(labels)) if skew is None else rng.dirichlet([skew] * len(labels))
        kept = rng.random(frame.height) < (favours / favours.max())[[labels.index(d) for d in frame["defect"]]]
        marked = frame.filter(kept).with_columns(
            lehr_batch=pl.lit(1, pl.Int32), lehr_split=pl.lit("train"), lehr_row=pl.int_range(pl.len(), dtype=pl.Int32)
        )
        parts[f"line-{number}"] = make_samples(marked, schema, 1, labels)
    return _split("accuracy", labels, adjusted, parts)


def _split(metric: str, labels: tuple[str, ...] | None, adjusted: bool, parts: Mapping[str, Samples]) -> Stream:
    both = {name: split_blocks(part, BLOCKS, EVERY, 2) for name, part in parts.items()}
    return Stream(metric, labels, adjusted, {n: b[0] for n, b in both.items()}, {n: b[1] for n, b in both.items()})


def pooled(stream: Stream, seed: int, epochs: int) -> float:
    """The score of the network that lehr's trainer makes of all rows."""
    samples, labels = join_samples(list(stream.learned.values())), stream.labels
    task = "regression" if labels is None else "classification"
    with seeded(seed, 0):
        network = build_network(MODEL, samples.rows_NC.shape[1], 1 if labels is None else len(labels), task)
        fit_normalisers(network, samples)
        fit(network, samples, TrainingConfig(epochs=epochs, batch_size=64))
    return _score(stream, network, stream.metric)


def together(
    stream: Stream,
    seed: int,
    rounds: int,
    method: str = "fedavg",
    ask: Any = ask_in_turn,
    training: TrainingConfig = ADAM,
    **federation: Any,
) -> FederatedModel:
    """The federation's global model."""
    coordinator = FederatedLearningCoordinator(
        model=MODEL,
        training=training,
        federation={"seed": seed, "local_epochs": LOCAL_EPOCHS, "logit_adjustment": stream.adjusted, **federation},
    )
    return coordinator.coordinate_training(stream.sources, rounds, method, ask=ask)


def judge(stream: Stream, model: FederatedModel, metric: str | None = None) -> float:
    """The score on what nobody learned from."""
    return _score(stream, model.network, metric or stream.metric)


def _score(stream: Stream, network: Network, metric: str) -> float:
    unseen = join_samples(list(stream.unseen.values()))
    return score(metric, predict(network, unseen), unseen.targets_B.numpy())  # pyright: ignore[reportArgumentType]


def learn(stream: Stream, seed: int, rounds: int, training: TrainingConfig) -> dict[str, Any]:
    """Pooled, together by fedavg, and each alone."""
    found: dict[str, Any] = {"pooled": pooled(stream, seed, rounds * LOCAL_EPOCHS)}
    found["fedavg"] = judge(stream, together(stream, seed, rounds, training=training))
    each = {n: replace(stream, learned={n: samples}) for n, samples in stream.learned.items()}
    alone = {n: judge(stream, together(one, seed, rounds, training=training)) for n, one in each.items()}
    found["best alone"] = (min if stream.metric == "rmse" else max)(alone.values())
    return {**found, "alone": alone}


def attack(
    stream: Stream,
    seed: int,
    rounds: int,
    kinds: Sequence[str] = KINDS,
    methods: Sequence[str] = ("krum", "trimmed_mean"),
) -> dict[str, Any]:
    """Log-loss with two hostile nodes over what it is without, and who was named, by method and kind."""
    bad = sorted(stream.learned)[1::5][:2]
    honest = stream.of([name for name in stream.learned if name not in bad])
    fedavg, found = judge(honest, together(honest, seed, rounds), "log_loss"), dict[str, Any]()
    for method in methods:
        whole, eight = together(stream, seed, rounds, method), together(honest, seed, rounds, method)
        clean, alone = judge(stream, whole, "log_loss"), judge(honest, eight, "log_loss")
        named = sorted({*whole.offenders, *eight.offenders})
        found[f"{method} clean"] = {"loss": clean, "honest": alone, "over_fedavg": alone / fedavg, "named": named}
        for kind in kinds:
            model = together(stream, seed, rounds, method, partial(with_hostile, bad, kind))
            loss = judge(honest, model, "log_loss")
            found[f"{method} {kind}"] = {
                "loss": loss,
                "over_honest": loss / alone,
                "over_fedavg": loss / fedavg,
                "over_clean": judge(stream, model, "log_loss") / clean,
                "named": sorted(model.offenders),
            }
    return {"hostile": bad, "fedavg": fedavg, "runs": found}


def main() -> None:
    """Run all of it and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    seeds, rounds = range(asked.seeds), asked.rounds
    parts: dict[str, Callable[[int], dict[str, Any]]] = {
        "hostile, skewed": lambda seed: attack(lines(seed, adjusted=True), seed, rounds // 2),
        "glass lines": lambda seed: learn(lines(seed, adjusted=True), seed, rounds, SGD),
        "gas turbine": lambda seed: learn(turbine(asked.folder), seed, rounds, ADAM),
        "hostile": lambda seed: attack(lines(seed, skew=None), seed, rounds // 2),
    }
    found: dict[str, Any] = {}
    for name, part in parts.items():
        found[name] = [part(seed) for seed in seeds]
        write_json("federation", found)
        _tell(name, found[name])
    title = "scores together, pooled, alone; hostile: log-loss over the honest lines' own"
    bar_chart("federation", title, _panels(found))


def _panels(found: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    panels = {
        name: {k: mean(run[k] for run in found[name]) for k in ("fedavg", "pooled", "best alone")}
        for name in ("gas turbine", "glass lines")
    }
    for how in ("hostile", "hostile, skewed"):
        for method in ("krum", "trimmed_mean"):
            runs = [one["runs"] for one in found[how]]
            panels[f"{how}: {method}"] = {k: mean(run[f"{method} {k}"]["over_honest"] for run in runs) for k in KINDS}
    return panels


def _tell(name: str, found: Sequence[Mapping[str, Any]]) -> None:
    if not name.startswith("hostile"):
        for run in found:
            print(name, {k: round(run[k], 4) for k in ("fedavg", "pooled", "best alone")}, flush=True)
        return
    for run in sorted(found[0]["runs"]):
        ones = [one["runs"][run] for one in found]
        over = {k: [round(one[k], 3) for one in ones] for k in ones[0] if k.startswith("over")}
        wanted = [[] if run.endswith("clean") else one["hostile"] for one in found]
        named = sum(one["named"] == names for one, names in zip(ones, wanted, strict=True))
        print(name, run, over, f"named as they should in {named} of {len(ones)}", flush=True)


if __name__ == "__main__":
    main()
