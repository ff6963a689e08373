"""Distances between a reference and a batch, from a sketch of the reference alone; each as Evidently defines it.

Shapes: N rows of the batch, sorted; K points of the sketch; P places; H bins; L classes.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance
from scipy.stats import ks_2samp, kstwo

from monitoring.config import Statistic

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_POINTS = 5_000
FEWEST_POINTS = 257
ALL_POINTS = 2**18
"""Of all features together: a megabyte."""
LEAST_DEVIATION = 0.001
MOST_CATEGORIES = 20
"""Numbers of so few distinct values are compared value by value, others by bins."""
MOST_EXACT = 10_000
"""Larger samples have their p-value from the limiting distribution, as SciPy does."""


@dataclass(frozen=True)
class Sketch:
    """How many of a feature's readings lie below and up to some of its values, in rising order.

    Of no more distinct values than points it is exact; of more it holds the outer ones more densely, and readings
    between two points count as evenly spread. deviation: of all readings.
    """

    values_K: Floats
    below_K: Counts
    upto_K: Counts
    deviation: float

    @property
    def rows(self) -> int:
        """How many readings were sketched."""
        return int(self.upto_K[-1]) if len(self.upto_K) else 0

    @property
    def exact(self) -> bool:
        """Whether nothing was left out."""
        return bool((self.below_K[1:] == self.upto_K[:-1]).all())

    def below(self, places_P: Floats) -> Floats:
        """How many readings are less than each place."""
        sides_K2 = np.stack([self.below_K, self.upto_K], 1).astype(np.float64)
        between_P = np.interp(places_P, np.repeat(self.values_K, 2), sides_K2.ravel(), left=0, right=self.rows)
        at_P = np.minimum(np.searchsorted(self.values_K, places_P), len(self.values_K) - 1)
        return np.where(self.values_K[at_P] == places_P, self.below_K[at_P], between_P)


def sketch_of(values_N: Floats, points: int = MOST_POINTS) -> Sketch:
    """Sketch a feature's readings, which must be finite."""
    if not len(values_N):
        nothing = np.empty(0, np.int64)
        return Sketch(np.empty(0), nothing, nothing, 0.0)
    sorted_N = np.sort(values_N)
    values_K, first_K, counts_K = np.unique(sorted_N, return_index=True, return_counts=True)
    if len(values_K) > points:
        shares = (1 - np.cos(np.pi * np.linspace(0, 1, points))) / 2
        ranks = np.round(shares * (len(sorted_N) - 1)).astype(np.int64)
        kept = np.unique(np.searchsorted(values_K, sorted_N[ranks]))
        values_K, first_K, counts_K = values_K[kept], first_K[kept], counts_K[kept]
    return Sketch(values_K, first_K, first_K + counts_K, float(values_N.std()))


def measure(statistic: Statistic, sketch: Sketch, sorted_N: Floats) -> float:
    """The distance of a batch's sorted readings to the reference."""
    match statistic:
        case "wasserstein":
            return wasserstein(sketch, sorted_N)
        case "kolmogorov_smirnov":
            return kolmogorov_smirnov(sketch, sorted_N)
        case "jensen_shannon" | "psi":
            return _by_shares(statistic, *_histograms(sketch, sorted_N))


def measure_classes(statistic: Statistic, reference_L: Counts, batch_L: Counts) -> float:
    """The distance between two counts of classes: Jensen–Shannon's, PSI, else the total variation of their shares."""
    shares_L, now_L = reference_L / max(1, reference_L.sum()), batch_L / max(1, batch_L.sum())
    present_L = (reference_L > 0) | (batch_L > 0)
    if statistic in ("jensen_shannon", "psi"):
        return _by_shares(statistic, shares_L[present_L], now_L[present_L])
    return float(np.abs(shares_L - now_L).sum() / 2)


def wasserstein(sketch: Sketch, sorted_N: Floats) -> float:
    """Wasserstein-1 in deviations of the reference: the area between the two distribution functions.

    Between two places neither function crosses the other, so that areas under each, from prefix sums, are enough.
    """
    centre, rows = sketch.values_K[len(sketch.values_K) // 2], len(sorted_N)
    known_K, batch_N = sketch.values_K - centre, sorted_N - centre
    crossing_K = batch_N[np.maximum(0, -(-sketch.upto_K * rows // sketch.rows) - 1)]
    places_P = np.sort(np.concatenate([known_K, crossing_K, batch_N[[0, -1]]]))
    upto_P = np.searchsorted(batch_N, places_P, "right")
    sums = np.concatenate([[0.0], np.cumsum(batch_N)])
    area_P = (places_P * upto_P - sums[upto_P]) / rows - _area_below(sketch, known_K, places_P)
    return float(np.abs(np.diff(area_P)).sum()) / max(sketch.deviation, LEAST_DEVIATION)


def kolmogorov_smirnov(sketch: Sketch, sorted_N: Floats) -> float:
    """The largest difference of the distribution functions."""
    before, found = _farthest_apart(sketch, sorted_N)
    return abs(before * len(sorted_N) - found * sketch.rows) / (sketch.rows * len(sorted_N))


def chance_of(sketch: Sketch, sorted_N: Floats) -> float:
    """The p-value of Kolmogorov and Smirnov's test, which knows of no autocorrelation."""
    (before, found), rows, batch = _farthest_apart(sketch, sorted_N), sketch.rows, len(sorted_N)
    if max(rows, batch) > MOST_EXACT:
        largest = abs(before * batch - found * rows) / (rows * batch)
        return float(np.clip(kstwo.sf(largest, np.round(rows * batch / (rows + batch))), 0, 1))
    # Two samples of two values each whose distribution functions differ by just as much.
    ours, theirs = (np.arange(size) >= upto for size, upto in ((rows, before), (batch, found)))
    with warnings.catch_warnings():  # where the exact value overflows, the approximation is what Evidently gives too
        warnings.filterwarnings("ignore", "ks_2samp: Exact calculation unsuccessful", RuntimeWarning)
        _, p_value = ks_2samp(ours.astype(np.float64), theirs.astype(np.float64))
    return float(np.asarray(p_value))


def _farthest_apart(sketch: Sketch, sorted_N: Floats) -> tuple[int, int]:
    """The readings of reference and batch before the place where the distribution functions differ most."""
    before, found = _counts_beside(sketch, sorted_N)
    largest = int(np.abs(before * len(sorted_N) - found * sketch.rows).argmax())
    return int(before[largest]), int(found[largest])


def _counts_beside(sketch: Sketch, sorted_N: Floats) -> tuple[Counts, Counts]:
    """How many readings of reference and batch lie before wherever their distribution functions may differ most."""
    before = [sketch.below_K, sketch.upto_K]
    found = [np.searchsorted(sorted_N, sketch.values_K, side) for side in ("left", "right")]
    if not sketch.exact:
        at_N = np.minimum(np.searchsorted(sketch.values_K, sorted_N), len(sketch.values_K) - 1)
        between_N = np.flatnonzero(sketch.values_K[at_N] != sorted_N)
        before += 2 * [np.round(sketch.below(sorted_N[between_N])).astype(np.int64)]
        found += [between_N, between_N + 1]
    return np.concatenate(before), np.concatenate(found)


def _area_below(sketch: Sketch, known_K: Floats, places_P: Floats) -> Floats:
    """The area under the reference's distribution function up to each place."""
    upto_K, below_K = sketch.upto_K / sketch.rows, sketch.below_K / sketch.rows
    steps_K = np.diff(known_K)
    rise_K = below_K[1:] - upto_K[:-1]
    areas_K = np.concatenate([[0.0], np.cumsum(steps_K * (upto_K[:-1] + rise_K / 2))])
    slope_K = np.append(rise_K / steps_K, 0.0)
    at_P = np.maximum(np.searchsorted(known_K, places_P, "right") - 1, 0)
    beyond_P = np.maximum(places_P - known_K[at_P], 0.0)
    return areas_K[at_P] + beyond_P * (upto_K[at_P] + slope_K[at_P] * beyond_P / 2)


def _histograms(sketch: Sketch, sorted_N: Floats) -> tuple[Floats, Floats]:
    """The shares of reference and batch in Sturges' bins over both, or of each value where there are few."""
    if len(sketch.values_K) <= MOST_CATEGORIES:
        values, counts = np.unique(sorted_N, return_counts=True)
        joint = np.union1d(sketch.values_K, values)
        shares = np.zeros((2, len(joint)))
        shares[0, np.searchsorted(joint, sketch.values_K)] = (sketch.upto_K - sketch.below_K) / sketch.rows
        shares[1, np.searchsorted(joint, values)] = counts / len(sorted_N)
        return shares[0], shares[1]
    least, most = min(sketch.values_K[0], sorted_N[0]), max(sketch.values_K[-1], sorted_N[-1])
    width = (most - least) / (np.log2(sketch.rows + len(sorted_N)) + 1)
    edges_H = np.linspace(least, most, int(np.ceil((most - least) / width)) + 1)[:-1]
    reference_H = np.append(np.round(sketch.below(edges_H)), sketch.rows)
    batch_H = np.append(np.searchsorted(sorted_N, edges_H, "left"), len(sorted_N))
    return np.diff(reference_H) / sketch.rows, np.diff(batch_H) / len(sorted_N)


def _by_shares(statistic: Statistic, reference_H: Floats, batch_H: Floats) -> float:
    if statistic == "jensen_shannon":
        return float(distance.jensenshannon(reference_H, batch_H))
    filled = [np.where(shares_H == 0, _least_share(shares_H), shares_H) for shares_H in (reference_H, batch_H)]
    return float(((filled[0] - filled[1]) * np.log(filled[0] / filled[1])).sum())


def _least_share(shares_H: Floats) -> float:
    """What Evidently puts for a share of zero, whose logarithm there is none of."""
    least = shares_H[shares_H != 0].min()
    return float(least / 10**6 if least <= 0.0001 else 0.0001)
