"""Heart beats of people whom the network has never seen: the times of their waves, and who they are.

`python -m benchmarks.ecg DATA/ecg_beats [--seeds 0 1 2] [--part test]`. Records (people) are elements, three-minute
stretches sessions. 20 of the 69 records, drawn once, are the test; all that was chosen was chosen on the other 49, by
`--part development`, which learns from two thirds of them and looks at the rest. Truth are the manual annotations.
Writes benchmarks/out/ecg.json and ecg.png (ecg_development.json).

The network learns the manual annotations, and of the other beats what two networks say that learned before it. Each
beat is read once, in several views, and as its session agrees on these. Beside it: the mean of each record's first five
beats, which sees five labelled beats of the very record. A smaller network, without the decoder, shows what losses
do: untrained, and trained for as long with plain triplets, supervised contrastive, nested and factored contrastive
loss; and an update of one that knows four fifths of the records with the last fifth, beside the full training. And who
is taken for known among strangers. What a finished seed left in benchmarks/out is not run again.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.ecg_learning import (
    MODEL,
    OWN,
    SYNTHETIC,
    TAUGHT_WEIGHT,
    TEACHERS,
    TRAINING,
    learn,
    learn_from_teachers,
)
from benchmarks.ecg_records import (
    AUTOMATIC_SESSIONS,
    AUTOMATIC_WEIGHT,
    FIVE_BEATS_MS,
    JUDGED,
    error_ms,
    five_beats_ms,
    manual,
    of_records,
    recalibrated,
    records_of,
    thinned,
)
from benchmarks.ecg_strangers import strangers
from benchmarks.results import FOLDER, bar_chart, write_json
from data.consensus import agreed_positions
from data.signal_sources import read_signals
from data.signals import Signals
from deployments.signal_export import check_signal_parity, export_signals
from learning.metric import HierarchicalLossConfig
from learning.representation import (
    Learned,
    choose_memory,
    fit_normaliser,
    fit_representation,
    represent,
    update_representation,
)
from learning.representation_config import RepresentationConfig
from learning.signal_augmentation import SignalAugmentation
from learning.views import positions_in_views
from models.hierarchical import HierarchicalSignalNet
from monitoring.retrieval import retrieve

VIEWS, VARIATION = 9, SignalAugmentation(stretch=0.15, shift=12, mixing=0.3)
"""In which each beat is read."""

SMALLER = MODEL.model_copy(update={"decoder": "none", "decoding": "argmax"})
COMPARED = {"epochs": 10, "learning_rate": 4e-3}
SHOWN = ("network", "mean of five beats")
LENGTHS = (7, 50, 133, 300, 777)
"""At which the exported file is compared with the network."""

MAIN = "factored contrastive"
LOSSES: Mapping[str, HierarchicalLossConfig] = {
    "factored contrastive": HierarchicalLossConfig(metric="factored_contrastive", lambda_metric=1.0),
    "nested contrastive": HierarchicalLossConfig(metric="nested_contrastive", lambda_metric=1.0),
    "supervised contrastive": HierarchicalLossConfig(metric="contrastive", lambda_metric=1.0),
    "triplets": HierarchicalLossConfig(metric="triplets", lambda_metric=1.0),
}
WAVES_SETTINGS = (
    MODEL,
    TRAINING,
    SYNTHETIC,
    TEACHERS,
    TAUGHT_WEIGHT,
    VIEWS,
    VARIATION,
    OWN,
    AUTOMATIC_WEIGHT,
    AUTOMATIC_SESSIONS,
)
LOSSES_SETTINGS = (SMALLER, TRAINING, COMPARED, LOSSES, MAIN, AUTOMATIC_WEIGHT, AUTOMATIC_SESSIONS)


def positions(network: HierarchicalSignalNet, signals: Signals) -> NDArray[np.float32]:
    """Where the network finds each keypoint, in samples: (N, K)."""
    found = represent(network, signals).positions
    return np.stack([found[name] for name in signals.keypoints], axis=1)


def retrieval(network: HierarchicalSignalNet, signals: Signals) -> dict[str, float | None]:
    """Recall@1 and MAP@R: of sessions among all beats, of elements among the beats of other sessions."""
    embeddings_NE = represent(network, signals).embeddings_NE
    session = retrieve(embeddings_NE, signals.sessions_N)
    element = retrieve(embeddings_NE, signals.elements_N, signals.sessions_N)
    return {
        "session Recall@1": session.recall_at_1,
        "session MAP@R": session.map_at_r,
        "element Recall@1": element.recall_at_1,
        "element MAP@R": element.map_at_r,
    }


def compared(way: str, seed: int) -> RepresentationConfig:
    """How the smaller network is trained with a loss."""
    return TRAINING.model_copy(update={**COMPARED, "loss": LOSSES[way], "seed": seed})


def untrained(signals: Signals, seed: int) -> HierarchicalSignalNet:
    """The network before its first step, its normaliser fitted."""
    torch.manual_seed(seed)
    network = HierarchicalSignalNet(signals.channels, tuple(signals.keypoints), SMALLER)
    fit_normaliser(network, signals)
    return network.eval()


def errors_ms(found: Mapping[str, NDArray[np.float32]], unseen: Signals) -> dict[str, float]:
    """Of positions found in all beats: errors on the manually annotated ones."""
    truth_N = unseen.annotators_N == "manual"
    return error_ms(np.stack([found[name][truth_N] for name in unseen.keypoints], axis=1), manual(unseen))


def judge(network: HierarchicalSignalNet, unseen: Signals) -> dict[str, Any]:
    """Errors on the manually annotated beats; retrieval among all beats."""
    found = represent(network, unseen).positions
    return {"keypoints_ms": errors_ms(found, unseen), "retrieval": retrieval(network, unseen)}


def update_beside_retrain(known: Signals, full: Learned, unseen: Signals, seed: int) -> dict[str, Any]:
    """A network of four fifths of the records learns the last fifth: what it holds of the others, and what it costs.

    Recall is asked of the beats that were learned from, as stored signals are what old elements are found among.
    """
    drawn = np.random.default_rng([seed, 1]).permutation(np.unique(known.element_ids_N)).tolist()
    fifth = len(drawn) // 5
    old, new = of_records(known, drawn[fifth:]), of_records(known, drawn[:fifth])
    config = compared(MAIN, seed)
    before = fit_representation(old, SMALLER, config)
    updated = update_representation(before.network, choose_memory(old, config.memory_signals, seed), new, config)
    networks = {"before": before.network, "updated": updated.network, "retrained": full.network}
    return {
        "old": {name: retrieval(network, old)["element Recall@1"] for name, network in networks.items()},
        "new": {name: retrieval(network, new)["element Recall@1"] for name, network in networks.items()},
        "unseen": {name: judge(network, unseen) for name, network in networks.items()},
        "cost": updated.training.cost.samples / full.training.cost.samples,
    }


def find_waves(known: Signals, unseen: Signals, seed: int) -> dict[str, Any]:
    """What the network finds, one seed."""
    teachers = [learn(known, of) for of in (seed, (seed + 1) % TEACHERS)]
    network = learn_from_teachers(known, teachers, seed)
    in_views = positions_in_views(network, unseen, VARIATION, VIEWS, seed)
    return {
        **judge(network, unseen),
        "teacher_ms": judge(teachers[0], unseen)["keypoints_ms"],
        "views_ms": errors_ms(in_views, unseen),
        "agreed_ms": errors_ms(agreed_positions(in_views, unseen.sessions_N, OWN), unseen),
        "strangers": strangers(represent(network, unseen).embeddings_NE, unseen, seed),
        "onnx_parity": check_signal_parity(network, export_signals(network), LENGTHS, seed),
        "positions": positions(network, manual(unseen)).round(3).tolist(),
    }


def compare_losses(known: Signals, unseen: Signals, seed: int) -> dict[str, Any]:
    """A smaller network trained with each loss, for as long; then an update beside a full training. One seed."""
    trained = {way: fit_representation(known, SMALLER, compared(way, seed)) for way in LOSSES}
    ways = {way: judge(learned.network, unseen) for way, learned in trained.items()}
    return {
        "ways": {"untrained": judge(untrained(known, seed), unseen), **ways},
        "update": update_beside_retrain(known, trained[MAIN], unseen, seed),
    }


def summary(found: Sequence[Mapping[str, Any]], losses: Sequence[Mapping[str, Any]], unseen: Signals) -> dict[str, Any]:
    """Means over seeds; `together`: the mean of what their networks say."""
    names = [MAIN, *(way for way in losses[0]["ways"] if way != MAIN)]
    retrieved = {f"smaller, {way}": _means([r["ways"][way]["retrieval"] for r in losses]) for way in names}
    together = error_ms(np.mean([r["positions"] for r in found], axis=0), manual(unseen))
    return {
        "keypoints_ms": {
            "one of its teachers": _means([r["teacher_ms"] for r in found]),
            "network": _means([r["keypoints_ms"] for r in found]),
            f"the same, in {VIEWS} views": _means([r["views_ms"] for r in found]),
            "these, as sessions agree": _means([r["agreed_ms"] for r in found]),
            "together": together,
            "mean of five beats": five_beats_ms(unseen),
            "the same, all records": FIVE_BEATS_MS,
        },
        "retrieval": {"network": _means([r["retrieval"] for r in found]), **retrieved},
        "strangers": {way: _means([r["strangers"][way] for r in found]) for way in found[0]["strangers"]},
        "updates": [r["update"] for r in losses],
        "onnx_parity": max(r["onnx_parity"] for r in found),
        "seeds": [{way: r[way] for way in ("teacher_ms", "keypoints_ms", "views_ms")} for r in found],
    }


def table(figures: Mapping[str, Mapping[str, float]], names: Sequence[str], form: str) -> str:
    """A line for each way."""
    rows = [["", *names], *([way, *(format(row[name], form) for name in names)] for way, row in figures.items())]
    return "\n".join(f"{way:<32}" + "".join(f"{cell:>18}" for cell in cells) for way, *cells in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="finished ones are not run again")
    parser.add_argument("--part", choices=["test", "development"], default="test")
    arguments = parser.parse_args()
    signals = read_signals(arguments.folder / "ecg_beats.npz")
    learned_records, unseen_records = records_of(signals, arguments.part)
    known = thinned(recalibrated(of_records(signals, learned_records)), seed=0)
    unseen = of_records(signals, unseen_records)
    name = "ecg" if arguments.part == "test" else "ecg_development"
    found = [
        _kept(f"{name}_waves_{seed}", WAVES_SETTINGS, lambda s=seed: find_waves(known, unseen, s))
        for seed in arguments.seeds
    ]
    losses = [
        _kept(f"{name}_losses_{seed}", LOSSES_SETTINGS, lambda s=seed: compare_losses(known, unseen, s))
        for seed in arguments.seeds
    ]
    results = summary(found, losses, unseen)
    print(table(results["keypoints_ms"], JUDGED, ".1f"))
    print(table(results["retrieval"], list(next(iter(results["retrieval"].values()))), ".3f"))
    print(table(results["strangers"], list(next(iter(results["strangers"].values()))), ".3f"))
    print({key: results[key] for key in ("updates", "onnx_parity")})
    write_json(name, results)
    shown = {point: {way: results["keypoints_ms"][way][point] for way in SHOWN} for point in JUDGED}
    bar_chart(name, "Keypoints of people never seen: mean absolute error, ms", shown)


def _kept(name: str, chosen: tuple[Any, ...], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier run with these settings left, or else what the work gives, which is left for a later one."""
    settings = repr(chosen)
    path = FOLDER / f"{name}.json"
    if path.exists():
        left = json.loads(path.read_text(encoding="utf-8"))
        if left["settings"] == settings:
            return left
    done = {"settings": settings, **work()}
    write_json(name, done)
    return done


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


if __name__ == "__main__":
    main()
