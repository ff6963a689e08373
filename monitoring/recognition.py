"""Which element a signal is of, by its embedding, or that it is of none that is known.

Shapes: N signals, E numbers of an embedding, S signals of strangers: of elements that are not among the known ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.signals import Texts
from monitoring.conformal import conformal_threshold
from monitoring.similarity import Floats

Method = Literal["neighbours", "linear"]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Recognised:
    """What signals were taken for.

    elements_N: the likeliest of the known elements. strangeness_N: how little a signal is like any. known_N: whether it
    is taken for that element; else it is rejected as one of an element that is not known.
    """

    elements_N: Texts
    strangeness_N: Scores
    known_N: NDArray[np.bool_]


@dataclass(frozen=True)
class Recogniser:
    """Elements learned from embeddings; signals whose strangeness is over the threshold are rejected.

    accepted: the share of the signals to calibrate on that are accepted. admitted: the share of the strangers among
    them that are; NaN where none were shown, and nobody can say.
    """

    threshold: float
    scored: Callable[[Floats], tuple[Texts, Scores]]
    accepted: float
    admitted: float

    def recognise(self, embeddings_NE: Floats) -> Recognised:
        """The element of each signal, and whether it is one of those; raises ValueError for what is not finite."""
        elements_N, strangeness_N = self.scored(embeddings_NE)
        return Recognised(elements_N, strangeness_N, strangeness_N <= self.threshold)


def fit_recogniser(
    known: tuple[Floats, Texts],
    calibration_NE: Floats,
    method: Method = "neighbours",
    accepted: float = 0.95,
    neighbours: int = 5,
    strangers_SE: Floats | None = None,
    admitted: float = 0.05,
) -> Recogniser:
    """Learn elements from embeddings and their element ids.

    calibration_NE: of other signals of the same elements, which are exchangeable with those to come: of sessions that
    are not among the known ones, where new sessions are to be recognised. At least `accepted` of such signals are
    accepted. strangers_SE: of elements that are neither known nor learned from; with them the threshold is the one that
    such signals pass with a probability of `admitted` at most, whatever that costs the known ones. It holds for signals
    that are exchangeable with them, so several elements say more than many signals of one.
    method: what names elements, the votes of the nearest neighbours, which count by 1 / distance, or a linear probe
    (logistic regression). Strangeness is the distance to the furthest of the nearest (Sun et al. 2022) in both: a
    probe's logits say which of the known elements, and hardly whether it is one of them.
    Raises ValueError for another method, fewer than two elements, fewer embeddings than neighbours, too few to
    calibrate on, and embeddings that are not finite or of different sizes.
    """
    if method not in get_args(Method):
        raise ValueError(f"the method is {' or '.join(get_args(Method))}, not {method!r}")
    embeddings_NE, elements_N = known[0], np.asarray(known[1])
    _check_finite(embeddings_NE, embeddings_NE.shape[-1])
    if embeddings_NE.shape[:1] != elements_N.shape or len(np.unique(elements_N)) < 2:
        raise ValueError(f"elements are told apart where there are two or more, got {np.unique(elements_N).tolist()}")
    scored = _nearest(embeddings_NE, elements_N, neighbours)
    if method == "linear":
        scored = _named_by_probe(embeddings_NE, elements_N, scored)
    known_N = scored(calibration_NE)[1]
    if strangers_SE is None:
        threshold, passed = conformal_threshold(known_N, accepted), float("nan")
    else:
        strangers_S = scored(strangers_SE)[1]
        threshold = float(np.nextafter(-conformal_threshold(-strangers_S, 1 - admitted), -np.inf))
        passed = float((strangers_S <= threshold).mean())
    return Recogniser(threshold, scored, float((known_N <= threshold).mean()), passed)


def separation(known_N: Scores, strangers_S: Scores) -> float:
    """The chance that a stranger's strangeness is over a known signal's: the area under the ROC curve."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(strangers_S, known_N).statistic) / (len(known_N) * len(strangers_S))


def _check_finite(embeddings_NE: Floats, dimensions: int) -> None:
    if embeddings_NE.ndim != 2 or embeddings_NE.shape[1] != dimensions:
        raise ValueError(f"embeddings have the shape (N, {dimensions}), got {embeddings_NE.shape}")
    if not (finite_N := np.isfinite(embeddings_NE).all(1)).all():
        raise ValueError(f"embedding {int(np.argmin(finite_N))} holds a value that is not finite")


def _nearest(embeddings_NE: Floats, elements_N: Texts, neighbours: int) -> Callable[[Floats], tuple[Texts, Scores]]:
    from sklearn.neighbors import KNeighborsClassifier  # a second that other commands do without

    if not 1 <= neighbours <= len(elements_N):
        raise ValueError(f"{neighbours} neighbours among {len(elements_N)} embeddings; allowed is 1 to all of them")
    classifier: Any = KNeighborsClassifier(neighbours, weights="distance", algorithm="brute")
    classifier.fit(embeddings_NE.astype(np.float64), elements_N)

    def scored(asked_NE: Floats) -> tuple[Texts, Scores]:
        _check_finite(asked_NE, embeddings_NE.shape[1])
        asked = asked_NE.astype(np.float64)
        return classifier.predict(asked), classifier.kneighbors(asked)[0][:, -1]

    return scored


def _named_by_probe(
    embeddings_NE: Floats, elements_N: Texts, nearest: Callable[[Floats], tuple[Texts, Scores]]
) -> Callable[[Floats], tuple[Texts, Scores]]:
    from sklearn.linear_model import LogisticRegression

    probe: Any = LogisticRegression(C=100.0, max_iter=1000)
    probe.fit(embeddings_NE.astype(np.float64), elements_N)

    def scored(asked_NE: Floats) -> tuple[Texts, Scores]:
        _, far_N = nearest(asked_NE)
        return probe.predict(asked_NE.astype(np.float64)), far_N

    return scored
