"""Heart beats of people whom the network has never seen: the times of their waves, and who they are.

`python -m benchmarks.ecg DATA/ecg_beats [--seeds 3] [--part test]`. Records (people) are elements, three-minute
stretches sessions. 20 of the 69 records, drawn once, are the test; all that was chosen was chosen on the other 49, by
`--part development`, which learns from two thirds of them and looks at the rest. Truth are the manual annotations.
Writes benchmarks/out/ecg.json and ecg.png (ecg_development.json).

Beside it: the mean of each record's first five beats, which sees five labelled beats of the very record; the same
network untrained, and trained with plain triplets and with supervised contrastive loss; and an update of a network that
knows four fifths of the records with the last fifth, beside the full training.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import bar_chart, write_json
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

MODEL = HierarchicalConfig(channels=[24, 32, 48], kernel_size=7, hidden_units=48, decoder="unet", decoding="median")
TRAINING = RepresentationConfig(
    epochs=15,
    batches=60,
    p_elements=16,
    k_samples=4,
    held_out=0.0,
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
LENGTHS = (7, 50, 133, 300, 777)
"""At which the exported file is compared with the network."""

MAIN = "nested contrastive"
LOSSES: Mapping[str, HierarchicalLossConfig] = {
    "nested contrastive": HierarchicalLossConfig(metric="nested_contrastive"),
    "supervised contrastive": HierarchicalLossConfig(metric="contrastive"),
    "triplets": HierarchicalLossConfig(metric="triplets"),
}


def records_of(signals: Signals, part: Literal["test", "development"]) -> tuple[list[str], list[str]]:
    """The records to learn from and those to look at."""
    drawn = np.random.default_rng(0).permutation(np.unique(signals.element_ids_N)).tolist()
    test, development = drawn[:TEST_RECORDS], drawn[TEST_RECORDS:]
    return (
        (development, test)
        if part == "test"
        else ([r for r in development if r not in development[::3]], development[::3])
    )


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


def keypoint_ms(networks: Sequence[HierarchicalSignalNet], signals: Signals) -> dict[str, float]:
    """The mean absolute error of each keypoint over the manually annotated beats, in milliseconds.

    Of several networks the mean of what they say.
    """
    manual = signals.take(signals.annotators_N == "manual")
    found = [represent(network, manual).positions for network in networks]
    predicted_NK = np.mean([[each[name] for name in manual.keypoints] for each in found], axis=0).T
    errors_K = MS_PER_SAMPLE * np.nanmean(keypoint_errors(predicted_NK, manual.keypoints), axis=0)
    return {name: float(error) for name, error in zip(manual.keypoints, errors_K, strict=True)}


def five_beats_ms(signals: Signals) -> dict[str, float]:
    """The error of the mean distance to R over each record's first five manual beats, on its other beats."""
    manual = signals.take(signals.annotators_N == "manual")
    errors: dict[str, list[NDArray[Any]]] = {name: [] for name in JUDGED}
    for record in np.unique(manual.element_ids_N):
        beats = of_records(manual, [record])
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


def learn(signals: Signals, loss: HierarchicalLossConfig, seed: int) -> Learned:
    """A network trained on people who do not exist, then on some records."""
    config = TRAINING.model_copy(update={"loss": loss, "seed": seed})
    first = config.model_copy(update={"epochs": SYNTHETIC_EPOCHS})
    start = fit_representation(synthetic_beats(SYNTHETIC_PEOPLE, SYNTHETIC_BEATS, seed), MODEL, first)
    fit_normaliser(start.network, signals)
    return fit_representation(signals, config=config, start=start.network)


def untrained(signals: Signals) -> HierarchicalSignalNet:
    """The network before its first step, its normaliser fitted."""
    network = HierarchicalSignalNet(signals.channels, tuple(signals.keypoints), MODEL)
    fit_normaliser(network, signals)
    return network.eval()


def judge(network: HierarchicalSignalNet, unseen: Signals) -> dict[str, Any]:
    return {"keypoints_ms": keypoint_ms([network], unseen), "retrieval": retrieval(network, unseen)}


def update_beside_retrain(known: Signals, full: Learned, unseen: Signals, seed: int) -> dict[str, Any]:
    """A network of four fifths of the records learns the last fifth: what it holds of the others, and what it costs.

    Recall is asked of the beats that were learned from, as stored signals are what old elements are found among.
    """
    drawn = np.random.default_rng([seed, 1]).permutation(np.unique(known.element_ids_N)).tolist()
    fifth = len(drawn) // 5
    old, new = of_records(known, drawn[fifth:]), of_records(known, drawn[:fifth])
    config = TRAINING.model_copy(update={"loss": LOSSES[MAIN], "seed": seed})
    before = learn(old, config.loss, seed)
    updated = update_representation(before.network, choose_memory(old, config.memory_signals, seed), new, config)
    networks = {"before": before.network, "updated": updated.network, "retrained": full.network}
    return {
        "old": {name: retrieval(network, old)["element Recall@1"] for name, network in networks.items()},
        "new": {name: retrieval(network, new)["element Recall@1"] for name, network in networks.items()},
        "unseen": {name: judge(network, unseen) for name, network in networks.items()},
        "cost": updated.training.cost.samples / full.training.cost.samples,
    }


def means(runs: Sequence[Mapping[str, Any]], keypoint: str) -> float:
    """A keypoint's error over all seeds."""
    return float(np.mean([run["keypoints_ms"][keypoint] for run in runs]))


def table(results: Mapping[str, Any]) -> str:
    """Means over seeds, a line for each way to learn."""
    lines = [f"{'':<24}" + "".join(f"{name:>9}" for name in JUDGED)]
    lines.append(f"{'mean of five beats':<24}" + "".join(f"{results['five_beats_ms'][n]:>9.1f}" for n in JUDGED))
    ways = {way: runs for way, runs in results["ways"].items() if runs}
    for way, runs in ways.items():
        lines.append(f"{way:<24}" + "".join(f"{means(runs, name):>9.1f}" for name in JUDGED))
    for way, runs in ways.items():
        figures = {name: np.mean([run["retrieval"][name] for run in runs]) for name in runs[0]["retrieval"]}
        lines.append(f"{way:<24}" + "   ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", choices=["test", "development"], default="test")
    arguments = parser.parse_args()
    signals = read_signals(arguments.folder / "ecg_beats.npz")
    learned_records, unseen_records = records_of(signals, arguments.part)
    known, unseen = recalibrated(of_records(signals, learned_records)), of_records(signals, unseen_records)
    ways: dict[str, list[Any]] = {"untrained": [], **{way: [] for way in LOSSES}}
    results: dict[str, Any] = {"five_beats_ms": five_beats_ms(unseen), "ways": ways, "updates": []}
    mains: list[HierarchicalSignalNet] = []
    name = "ecg" if arguments.part == "test" else "ecg_development"
    for seed in range(arguments.seeds):
        ways["untrained"].append(judge(untrained(known), unseen))
        trained: dict[str, Learned] = {}
        for way, loss in LOSSES.items():
            trained[way] = learn(known, loss, seed)
            ways[way].append(judge(trained[way].network, unseen))
            print(f"seed {seed}\n{table(results)}", flush=True)
        mains.append(trained[MAIN].network)
        results["together_ms"] = keypoint_ms(mains, unseen)
        results["onnx_parity"] = check_signal_parity(mains[-1], export_signals(mains[-1]), LENGTHS, seed)
        results["updates"].append(update_beside_retrain(known, trained[MAIN], unseen, seed))
        print({key: results[key] for key in ("together_ms", "onnx_parity", "updates")}, flush=True)
        write_json(name, results)
    groups = {
        point: {"network": means(ways[MAIN], point), "mean of five beats": results["five_beats_ms"][point]}
        for point in JUDGED
    }
    bar_chart(name, "Keypoints of people never seen: mean absolute error, ms", groups)


def _median(values_N: NDArray[Any]) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(np.median(known_N)) if len(known_N) else float("nan")


def _mean(values_N: NDArray[Any]) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(known_N.mean()) if len(known_N) else float("nan")


if __name__ == "__main__":
    main()
