"""Heart beats of people whom the network has never seen: the times of their waves, and who they are.

`python -m benchmarks.ecg DATA/ecg_beats [--seeds 0 1 2] [--part test]`. Records (people) are elements, three-minute
stretches sessions. 20 of the 69 records, drawn once, are the test; all that was chosen was chosen on the other 49, by
`--part development`, which learns from two thirds of them and looks at the rest. Truth are the manual annotations.
Writes benchmarks/out/ecg.json and ecg.png (ecg_development.json).

Beside it: the mean of each record's first five beats, which sees five labelled beats of the very record. A smaller
network, without the decoder, shows what losses do: untrained, and trained for as long with plain triplets, supervised
contrastive and nested contrastive loss; and an update of one that knows four fifths of the records with the last fifth,
beside the full training. What a finished seed left in benchmarks/out is not run again.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.results import FOLDER, bar_chart, write_json
from benchmarks.synthetic_beats import synthetic_beats
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
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet
from monitoring.keypoint_errors import keypoint_errors
from monitoring.retrieval import retrieve

MS_PER_SAMPLE = 4.0
TEST_RECORDS = 20
JUDGED = ("p_peak", "qrs_on", "qrs_off", "t_peak", "t_off")
FIVE_BEATS_MS = {"p_peak": 8.0, "qrs_on": 8.2, "qrs_off": 9.0, "t_peak": 11.9, "t_off": 17.1}
"""What the mean of five labelled beats of the very record reaches over all 69 records."""

AUTOMATIC_WEIGHT = 0.3
"""What an automatic annotation counts beside a manual one, once its record's bias was taken off."""

AUTOMATIC_SESSIONS = 2

MODEL = HierarchicalConfig(channels=[24, 32, 48], kernel_size=7, hidden_units=48, decoder="unet", decoding="median")
TRAINING = RepresentationConfig(
    epochs=18,
    batches=60,
    p_elements=16,
    k_samples=4,
    held_out=0.0,
    loss=HierarchicalLossConfig(metric="nested_contrastive", lambda_metric=0.2),
    augmentation=SignalAugmentation(
        stretch=0.15,
        warp=0.25,
        shift=12,
        mixing=0.5,
        modulation=0.5,
        scale=0.3,
        flip=0.3,
        swap=0.3,
        silence=0.15,
        wander=0.3,
        noise=0.15,
    ),
)
SYNTHETIC_PEOPLE, SYNTHETIC_BEATS, SYNTHETIC_EPOCHS = 400, 8, 8
SMALLER = MODEL.model_copy(update={"decoder": "none", "decoding": "argmax"})
COMPARED_EPOCHS = 10
SHOWN = ("network", "mean of five beats")
LENGTHS = (7, 50, 133, 300, 777)
"""At which the exported file is compared with the network."""

MAIN = "nested contrastive"
LOSSES: Mapping[str, HierarchicalLossConfig] = {
    "nested contrastive": HierarchicalLossConfig(metric="nested_contrastive", lambda_metric=0.2),
    "supervised contrastive": HierarchicalLossConfig(metric="contrastive", lambda_metric=0.2),
    "triplets": HierarchicalLossConfig(metric="triplets", lambda_metric=0.2),
}


def records_of(signals: Signals, part: Literal["test", "development"]) -> tuple[list[str], list[str]]:
    """The records to learn from and those to look at."""
    drawn = np.random.default_rng(0).permutation(np.unique(signals.element_ids_N)).tolist()
    test, development = drawn[:TEST_RECORDS], drawn[TEST_RECORDS:]
    if part == "test":
        return development, test
    return [record for record in development if record not in development[::3]], development[::3]


def of_records(signals: Signals, records: Sequence[str]) -> Signals:
    """The signals of some records."""
    return signals.take(np.isin(signals.element_ids_N, records))


def recalibrated(signals: Signals) -> Signals:
    """Automatic annotations moved so that their median distance to the R peak is that of the record's manual ones.

    Where a record has no manual annotation of a keypoint there is nothing to move by: the automatic ones are left out.
    """
    keypoints = {name: positions_N.copy() for name, positions_N in signals.keypoints.items()}
    manual_N, r_N = signals.annotators_N == "manual", signals.keypoints["r_peak"]
    for record in np.unique(signals.element_ids_N):
        of_record_N = signals.element_ids_N == record
        for name in JUDGED:
            behind_N = signals.keypoints[name] - r_N
            manual, automatic = of_record_N & manual_N, of_record_N & ~manual_N
            keypoints[name][automatic] += _median(behind_N[manual]) - _median(behind_N[automatic])
    for positions_N in keypoints.values():
        positions_N[~((positions_N >= 0) & (positions_N <= signals.lengths_N - 1))] = np.nan
    return replace(signals, keypoints=keypoints).weighed({"auto": AUTOMATIC_WEIGHT})


def thinned(signals: Signals, seed: int) -> Signals:
    """Each record's manual beats, and the automatic ones of two sessions that have none: manual ones count for more."""
    generator = np.random.default_rng(seed)
    kept_N = signals.annotators_N == "manual"
    for record in np.unique(signals.element_ids_N):
        of_record_N = signals.element_ids_N == record
        known = np.unique(signals.sessions_N[of_record_N & kept_N])
        others = np.setdiff1d(signals.sessions_N[of_record_N], known)
        drawn = generator.permutation(others)[:AUTOMATIC_SESSIONS]
        kept_N = kept_N | (of_record_N & np.isin(signals.sessions_N, drawn))
    return signals.take(kept_N)


def positions(network: HierarchicalSignalNet, signals: Signals) -> NDArray[np.float32]:
    """Where the network finds each keypoint, in samples: (N, K)."""
    found = represent(network, signals).positions
    return np.stack([found[name] for name in signals.keypoints], axis=1)


def error_ms(predicted_NK: NDArray[Any], signals: Signals) -> dict[str, float]:
    """The mean absolute error of each keypoint, in milliseconds."""
    errors_K = MS_PER_SAMPLE * np.nanmean(keypoint_errors(predicted_NK, signals.keypoints), axis=0)
    return {name: float(error) for name, error in zip(signals.keypoints, errors_K, strict=True)}


def manual(signals: Signals) -> Signals:
    """The beats that a cardiologist annotated."""
    return signals.take(signals.annotators_N == "manual")


def five_beats_ms(signals: Signals) -> dict[str, float]:
    """The error of the mean distance to R over each record's first five manual beats, on its other beats."""
    truth = manual(signals)
    errors: dict[str, list[NDArray[Any]]] = {name: [] for name in JUDGED}
    for record in np.unique(truth.element_ids_N):
        beats = of_records(truth, [record])
        for name in JUDGED:
            behind_N = beats.keypoints[name] - beats.keypoints["r_peak"]
            errors[name].append(np.abs(behind_N[5:] - _mean(behind_N[:5])))
    return {name: MS_PER_SAMPLE * _mean(np.concatenate(found)) for name, found in errors.items()}


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


def learn(signals: Signals, seed: int) -> Learned:
    """A network trained on people who do not exist, then on some records."""
    config = TRAINING.model_copy(update={"seed": seed})
    first = config.model_copy(update={"epochs": SYNTHETIC_EPOCHS})
    start = fit_representation(synthetic_beats(SYNTHETIC_PEOPLE, SYNTHETIC_BEATS, seed), MODEL, first)
    fit_normaliser(start.network, signals)
    return fit_representation(signals, config=config, start=start.network)


def compared(way: str, seed: int) -> RepresentationConfig:
    """How the smaller network is trained with a loss."""
    return TRAINING.model_copy(update={"loss": LOSSES[way], "epochs": COMPARED_EPOCHS, "seed": seed})


def untrained(signals: Signals, seed: int) -> HierarchicalSignalNet:
    """The network before its first step, its normaliser fitted."""
    torch.manual_seed(seed)
    network = HierarchicalSignalNet(signals.channels, tuple(signals.keypoints), SMALLER)
    fit_normaliser(network, signals)
    return network.eval()


def judge(network: HierarchicalSignalNet, unseen: Signals) -> dict[str, Any]:
    """Errors on the manually annotated beats, retrieval among all."""
    truth = manual(unseen)
    return {"keypoints_ms": error_ms(positions(network, truth), truth), "retrieval": retrieval(network, unseen)}


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
    network = learn(known, seed).network
    return {
        **judge(network, unseen),
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
            "network": _means([r["keypoints_ms"] for r in found]),
            "together": together,
            "mean of five beats": five_beats_ms(unseen),
            "the same, all records": FIVE_BEATS_MS,
        },
        "retrieval": {"network": _means([r["retrieval"] for r in found]), **retrieved},
        "updates": [r["update"] for r in losses],
        "onnx_parity": max(r["onnx_parity"] for r in found),
        "seeds": [r["keypoints_ms"] for r in found],
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
    found = [_kept(f"{name}_waves_{seed}", lambda s=seed: find_waves(known, unseen, s)) for seed in arguments.seeds]
    losses = [
        _kept(f"{name}_losses_{seed}", lambda s=seed: compare_losses(known, unseen, s)) for seed in arguments.seeds
    ]
    results = summary(found, losses, unseen)
    print(table(results["keypoints_ms"], JUDGED, ".1f"))
    print(table(results["retrieval"], list(next(iter(results["retrieval"].values()))), ".3f"))
    print({key: results[key] for key in ("updates", "onnx_parity")})
    write_json(name, results)
    shown = {point: {way: results["keypoints_ms"][way][point] for way in SHOWN} for point in JUDGED}
    bar_chart(name, "Keypoints of people never seen: mean absolute error, ms", shown)


def _kept(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier run with these settings left, or else what the work gives, which is left for a later one."""
    settings = repr(
        (MODEL, SMALLER, TRAINING, COMPARED_EPOCHS, LOSSES, AUTOMATIC_WEIGHT, AUTOMATIC_SESSIONS, SYNTHETIC_EPOCHS)
    )
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


def _median(values_N: NDArray[Any]) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(np.median(known_N)) if len(known_N) else float("nan")


def _mean(values_N: NDArray[Any]) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(known_N.mean()) if len(known_N) else float("nan")


if __name__ == "__main__":
    main()
