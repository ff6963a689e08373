"""Whether the nearest neighbours of an embedding are of its own kind: Recall@1 and MAP@R.

Shapes: N embeddings, Q queries of one chunk, E numbers of an embedding, R neighbours of the query's kind.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_AT_ONCE = 2**24
_DECIMALS = 9


@dataclass(frozen=True)
class Retrieved:
    """What each query finds; NaN for what was not asked, or has no neighbour of its kind to find.

    hits_N: 1 where the nearest neighbour is of the query's kind, else 0. precisions_N: the average precision at R, the
    number of its kind (Musgrave, Belongie & Lim 2020): 1 where all R nearest are of its kind, in [0, 1].
    """

    hits_N: Floats
    precisions_N: Floats

    @property
    def recall_at_1(self) -> float | None:
        """The share of queries whose nearest neighbour is of their kind; None without a query."""
        return _mean(self.hits_N)

    @property
    def map_at_r(self) -> float | None:
        """The mean average precision at R; None without a query."""
        return _mean(self.precisions_N)


def retrieve(
    embeddings_NE: NDArray[np.floating],
    kinds_N: NDArray[np.integer],
    left_out_N: NDArray[np.integer] | None = None,
    asked_N: NDArray[np.bool_] | None = None,
    found_N: NDArray[np.bool_] | None = None,
) -> Retrieved:
    """Look for each query among all others by Euclidean distance.

    kinds_N: elements, or sessions. left_out_N: what shares this number with a query is no neighbour of it: at element
    level the sessions, as a signal of the same session says little about the element. asked_N: which are queries;
    found_N: which may be found (None: all).
    Of neighbours that are equally far those of another kind come first, so that embeddings which are all alike find
    nothing. Raises ValueError for an embedding that is not finite, and for columns of different lengths.
    """
    count = len(embeddings_NE)
    asked_N = np.ones(count, np.bool_) if asked_N is None else asked_N
    columns = [column for column in (kinds_N, asked_N, left_out_N, found_N) if column is not None]
    if any(column.shape != (count,) for column in columns):
        raise ValueError(f"{count} embeddings need as many kinds, got {[column.shape for column in columns]}")
    if not np.isfinite(embeddings_NE).all():
        raise ValueError(f"{int((~np.isfinite(embeddings_NE)).any(1).sum())} embeddings are not finite")
    hits_N, precisions_N = np.full(count, np.nan), np.full(count, np.nan)
    for places_Q, squares_QN in _chunks(embeddings_NE.astype(np.float64), np.flatnonzero(asked_N)):
        kind_QN = kinds_N[places_Q, None] == kinds_N
        there_QN = np.broadcast_to(True if found_N is None else found_N, kind_QN.shape)
        ours_QN, others_QN = kind_QN & there_QN, ~kind_QN & there_QN
        ours_QN[np.arange(len(places_Q)), places_Q] = False
        if left_out_N is not None:
            near_QN = left_out_N[places_Q, None] == left_out_N
            ours_QN, others_QN = ours_QN & ~near_QN, others_QN & ~near_QN
        sizes_Q = ours_QN.sum(1)
        ours_QR = np.sort(np.where(ours_QN, squares_QN, np.inf), 1)[:, : int(sizes_Q.max(initial=0))]
        others_QN = np.sort(np.where(others_QN, squares_QN, np.inf), 1)
        for place, size, ours_R, others_N in zip(places_Q, sizes_Q, ours_QR, others_QN, strict=True):
            if size:
                hits_N[place], precisions_N[place] = _one(ours_R[:size], others_N)
    return Retrieved(hits_N, precisions_N)


def _one(ours_R: Floats, others_N: Floats) -> tuple[float, float]:
    """Recall@1 and AP@R of a query by the distances of its kind and of others, in rising order."""
    found_R = np.arange(1, len(ours_R) + 1)
    ranks_R = found_R + np.searchsorted(others_N, ours_R, side="right")
    within_R = ranks_R <= len(ours_R)
    return float(ranks_R[0] == 1), float((found_R[within_R] / ranks_R[within_R]).sum()) / len(ours_R)


def _chunks(embeddings_NE: Floats, places: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Squared distances of some queries to all, a few million at a time; closer than 1e-9 is equally far."""
    norms_N = np.square(embeddings_NE).sum(1)
    step = max(1, _AT_ONCE // max(len(embeddings_NE), 1))
    for start in range(0, len(places), step):
        places_Q = places[start : start + step]
        squares_QN = norms_N[places_Q, None] + norms_N - 2 * embeddings_NE[places_Q] @ embeddings_NE.T
        yield places_Q, np.round(np.maximum(squares_QN, 0.0), _DECIMALS)


def _mean(values_N: Floats) -> float | None:
    known_N = values_N[~np.isnan(values_N)]
    return float(known_N.mean()) if len(known_N) else None
