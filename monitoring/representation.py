"""What a representation of signals is worth: retrieval per level and keypoint errors.

A score is a mean over signals that have one (for keypoints the mean over keypoints of such means, or of quantiles of
their errors), so that two networks can be compared on the same signals, drawn again by whole sessions or elements.

Shapes: N signals, S parts of a metric, U units that are drawn again, R resamples, K keypoints, E numbers of an
embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals
from monitoring.keypoint_errors import drawn_quantiles, keypoint_errors
from monitoring.performance import LOWER_IS_BETTER, SignalMetric, gain
from monitoring.retrieval import retrieve

Floats = NDArray[np.float64]

FEWEST_UNITS = 5
"""With fewer units a comparison has no confidence."""
QUANTILES: Mapping[SignalMetric, float] = {"keypoint_median": 0.5, "keypoint_p90": 0.9}


@dataclass(frozen=True)
class SignalScores:
    """values: of each metric (N, S), NaN where a signal has none."""

    values: Mapping[SignalMetric, Floats]

    def score(self, metric: SignalMetric, chosen_N: NDArray[np.bool_] | None = None) -> float | None:
        """The metric over the chosen signals (all: None); None where none of them has a value."""
        if metric not in self.values:
            return None
        values_NS = self.values[metric] if chosen_N is None else self.values[metric][chosen_N]
        found = _drawn_scores(metric, values_NS, np.zeros(len(values_NS), np.int64), np.ones((1, 1), np.int64))
        return None if np.isnan(found[0]) else float(found[0])

    def scores(self, chosen_N: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Every metric that has a value on the chosen signals."""
        found = {metric: self.score(metric, chosen_N) for metric in self.values}
        return {metric: value for metric, value in found.items() if value is not None}


def score_signals(
    embeddings_NE: NDArray[np.float32],
    positions: Mapping[str, NDArray[np.float32]],
    signals: Signals,
    within: float,
    asked_N: NDArray[np.bool_] | None = None,
    found_N: NDArray[np.bool_] | None = None,
    judges: list[str] | None = None,
) -> SignalScores:
    """All metrics of embeddings and predicted positions of signals.

    At element level neighbours of the same session are left out. asked_N: the signals that are scored (all: None).
    found_N: those that may be found as neighbours. within: samples for keypoint_within. judges: the annotators whose
    keypoints count (all: None). Raises ValueError for what is not finite.
    """
    elements_N, sessions_N = signals.elements_N, signals.sessions_N
    element = retrieve(embeddings_NE, elements_N, sessions_N, asked_N, found_N)
    session = retrieve(embeddings_NE, sessions_N, None, asked_N, found_N)
    values: dict[SignalMetric, Floats] = {
        "element_recall_at_1": element.hits_N[:, None],
        "element_map_at_r": element.precisions_N[:, None],
        "session_recall_at_1": session.hits_N[:, None],
        "session_map_at_r": session.precisions_N[:, None],
    }
    if signals.keypoints:
        predicted_NK = np.stack([positions[name] for name in signals.keypoints], 1)
        errors_NK = keypoint_errors(predicted_NK, signals.keypoints)
        if judges is not None:
            errors_NK[~np.isin(signals.annotators_N, judges)] = np.nan
        if asked_N is not None:
            errors_NK[~asked_N] = np.nan
        values |= {"keypoint_mae": errors_NK, "keypoint_median": errors_NK, "keypoint_p90": errors_NK}
        values["keypoint_within"] = np.where(np.isnan(errors_NK), np.nan, errors_NK <= within)
    return SignalScores(values)


@dataclass(frozen=True)
class SignalScore:
    """How representations are scored by one metric; within, judges: as `score_signals` has them."""

    metric: SignalMetric
    within: float = 5.0
    judges: tuple[str, ...] | None = None

    def __call__(
        self, embeddings_NE: NDArray[np.float32], positions: Mapping[str, NDArray[np.float32]], signals: Signals
    ) -> float | None:
        """The score of all signals; None where none of them has one. Raises ValueError for what is not finite."""
        judges = None if self.judges is None else list(self.judges)
        return score_signals(embeddings_NE, positions, signals, self.within, judges=judges).score(self.metric)


def signal_losses(metric: SignalMetric, scores: SignalScores) -> Floats:
    """What each signal costs under the metric (N,), NaN where it has no value: their mean falls as it improves.

    Under a quantile of errors that is its errors' mean.
    """
    values_NS = scores.values[metric]
    counts_N = (~np.isnan(values_NS)).sum(1)
    means_N = np.where(counts_N > 0, np.nansum(values_NS, 1) / np.maximum(counts_N, 1), np.nan)
    return means_N if metric in LOWER_IS_BETTER else 1 - means_N


def gain_bounds(
    metric: SignalMetric,
    new: SignalScores,
    old: SignalScores,
    units_N: NDArray[np.int64],
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """The gains of the new scores over the old that are exceeded, and not exceeded, with this confidence.

    A paired cluster bootstrap (Field & Welsh 2007): whole units are drawn again, as the signals of a session or an
    element err together. Raises ValueError for fewer than five units with a value.
    """
    units, places_N = np.unique(units_N, return_inverse=True)
    known = len(np.unique(places_N[~np.isnan(new.values[metric]).all(1)]))
    if known < FEWEST_UNITS:
        raise ValueError(f"{known} sessions or elements are too few to compare: {FEWEST_UNITS} are needed")
    draws_RU = np.random.default_rng(seed).multinomial(len(units), np.full(len(units), 1 / len(units)), size=resamples)
    pairs = [_drawn_scores(metric, scores.values[metric], places_N, draws_RU) for scores in (new, old)]
    gains_R = np.array([gain(metric, a, b) for a, b in zip(*pairs, strict=True) if not np.isnan(a + b)])
    low, high = np.quantile(gains_R, [1 - confidence, confidence])
    return float(low), float(high)


def chance(metric: SignalMetric, signals: Signals, asked_N: NDArray[np.bool_], within: float) -> float | None:
    """What needs no network: a neighbour drawn at random, a keypoint always at its median; None without a value."""
    count = len(signals)
    if metric.startswith("keypoint"):
        middles = {name: _middle(p_N[asked_N], count) for name, p_N in signals.keypoints.items()}
        flat = np.zeros((count, 1), np.float32)
        return score_signals(flat, middles, signals, within, asked_N).score(metric)
    elements_N, sessions_N = signals.elements_N, signals.sessions_N
    same_session_N = np.bincount(sessions_N)[sessions_N]
    if metric.startswith("session"):
        ours_N, others_N = same_session_N - 1, count - same_session_N
    else:
        same_element_N = np.bincount(elements_N)[elements_N]
        ours_N, others_N = same_element_N - same_session_N, count - same_element_N
    chosen_N = asked_N & (ours_N > 0)
    return float((ours_N / np.maximum(ours_N + others_N, 1))[chosen_N].mean()) if chosen_N.any() else None


def _middle(positions: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    known = positions[~np.isnan(positions)]
    return np.full(count, np.median(known) if len(known) else 0.0, np.float32)


def _drawn_scores(
    metric: SignalMetric, values_NS: Floats, units_N: NDArray[np.integer], draws_RU: NDArray[np.int64]
) -> Floats:
    """The score of each draw (R,), whose row says how often it has each unit."""
    share = QUANTILES.get(metric)
    if share is None:
        sums_US, counts_US = _sums(values_NS, units_N, draws_RU.shape[1])
        return _scores(draws_RU @ sums_US, draws_RU @ counts_US)
    found_RS = np.stack([drawn_quantiles(errors_N, draws_RU, units_N, share) for errors_N in values_NS.T], 1)
    return _scores(np.nan_to_num(found_RS), (~np.isnan(found_RS)).astype(np.float64))


def _sums(values_NS: Floats, places_N: NDArray[np.integer], units: int) -> tuple[Floats, Floats]:
    """(U, S) sums of values, and how many there are."""
    sums_US, counts_US = (np.zeros((units, values_NS.shape[1])) for _ in range(2))
    np.add.at(sums_US, places_N, np.nan_to_num(values_NS))
    np.add.at(counts_US, places_N, (~np.isnan(values_NS)).astype(np.float64))
    return sums_US, counts_US


def _scores(sums: Floats, counts: Floats) -> Floats:
    """(…, S) sums and counts → (…) means over the parts that have a value; NaN where none has."""
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    parts = (counts > 0).sum(-1)
    return np.divide(means.sum(-1), parts, out=np.full(parts.shape, np.nan), where=parts > 0)
