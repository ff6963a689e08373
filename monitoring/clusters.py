"""Whether elements' clusters of embeddings have moved since a champion learned: sessions against the reference's own.

A session's distance to its element's centre is held against those of sessions that no training saw, and of all that
came since: by its rank among them, which as long as nothing moves is as likely as any other and independent of those
before (Vovk, Gammerman & Shafer 2005), and by how far its logarithm lies beyond theirs, which finds a large move in few
sessions. Bets on both grow as in `monitoring.detector` (Shin, Ramdas & Rinaldo's e-detectors), and their mean is drift
once it reaches checks a year over false alarms allowed in it.

Shapes: N signals, M elements, S sessions, E numbers of an embedding.
"""

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from data.signals import Signals
from monitoring.config import ClusterDriftConfig
from monitoring.drift import BATCHES_PER_YEAR, Distance, DriftReport
from monitoring.evidence import Carrier, DriftEvidence

Floats = NDArray[np.float64]

FEWEST_SESSIONS = 10
"""With fewer sessions held out beside the centres nothing can be told."""
BETS = (0.05, 0.2, 0.5, 0.8)
"""A bet κ pays κ·p^(κ−1) for a probability p: the smaller, the more it expects of few sessions."""
HEAVIEST = 10
"""Degrees of freedom at most: logarithms of distances are not quite normal, and one outlier shall not be drift."""
MOST_SCORES = 1000
"""Scores of later sessions that are kept beside the reference's."""
_TINY = 1e-12


@dataclass(frozen=True)
class ClusterReference:
    """Each element's centre, the variances around it, and how far sessions lie that no training saw.

    centres_ME: means of sessions' means. sessions_M: how many those are. between, within: variance of a session's mean
    around its element's, and of a signal around its session's, over all elements. scores_S: of the sessions held out.
    """

    elements: tuple[str, ...]
    centres_ME: NDArray[np.float32]
    sessions_M: NDArray[np.int64]
    between: float
    within: float
    scores_S: Floats

    def save(self) -> bytes:
        """As bytes that `load` reads."""
        buffer = io.BytesIO()
        names = np.array(self.elements, np.str_)
        variances = np.array([self.between, self.within])
        arrays = {"centres": self.centres_ME, "sessions": self.sessions_M, "scores": self.scores_S}
        np.savez(buffer, allow_pickle=False, elements=names, variances=variances, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, content: bytes) -> "ClusterReference":
        """The reference that `save` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            between, within = found["variances"].tolist()
            elements = tuple(found["elements"].tolist())
            return cls(elements, found["centres"], found["sessions"], between, within, found["scores"])


@dataclass(frozen=True)
class _Session:
    """One session's mean embedding and how many signals it is the mean of."""

    element: str
    mean_E: Floats
    signals: int


def make_clusters(
    embeddings_NE: NDArray[np.float32], learned: Signals, held_NE: NDArray[np.float32], held_out: Signals
) -> ClusterReference:
    """The reference of the signals that were learned from and of those held out.

    An element that was learned from has its centre from there, and its held-out sessions are ranked around it; a
    held-out element has it from its own sessions, each ranked around the others.
    """
    of_learned, of_held = _by_element(_sessions(embeddings_NE, learned)), _by_element(_sessions(held_NE, held_out))
    centred = {**of_held, **of_learned}
    between, within = _variances(embeddings_NE, learned, of_learned)
    reference = ClusterReference(
        tuple(centred),
        np.stack([_centre(sessions) for sessions in centred.values()]).astype(np.float32),
        np.array([len(sessions) for sessions in centred.values()], np.int64),
        between,
        within,
        np.empty(0),
    )
    scores: list[float] = []
    for element, sessions in of_held.items():
        for i, session in enumerate(sessions):
            others = of_learned.get(element) or [*sessions[:i], *sessions[i + 1 :]]
            if others:
                scores.append(_score(reference, session, _centre(others), len(others)))
    return replace(reference, scores_S=np.sort(np.array(scores)))


@dataclass(frozen=True)
class ClusterState:
    """The evidence so far: scores of sessions since the reference, each bet's wealth, and what each element added."""

    scores: tuple[float, ...] = ()
    wealth: tuple[float, ...] = (0.0,) * (2 * len(BETS))
    by_element: tuple[tuple[str, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"scores": list(self.scores), "wealth": list(self.wealth), "by_element": dict(self.by_element)}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "ClusterState":
        """The state that `to_json` wrote."""
        return cls(tuple(found["scores"]), tuple(found["wealth"]), tuple(found["by_element"].items()))


def check_clusters(
    reference: ClusterReference,
    state: ClusterState | None,
    embeddings_NE: NDArray[np.float32],
    signals: Signals,
    config: ClusterDriftConfig,
    seed: int,
) -> tuple[DriftReport, ClusterState]:
    """Hold a batch, and all since the reference, against it; elements that it does not know are named in the note.

    state: None for the first batch. seed: ties are broken by chance. The budget of false alarms a year is one over all
    elements and, at a batch a day, over 365 batches.
    """
    before = state or ClusterState()
    known = {element: place for place, element in enumerate(reference.elements)}
    sessions = _sessions(embeddings_NE, signals)
    new = tuple(dict.fromkeys(s.element for s in sessions if s.element not in known))
    told = [s for s in sessions if s.element in known] if len(reference.scores_S) >= FEWEST_SESSIONS else []
    scored = [(s.element, _score_known(reference, s, known[s.element])) for s in told]
    after = _observe(reference, before, scored, np.random.default_rng(seed))
    return _report(reference, after, scored, new, config), after


def _observe(
    reference: ClusterReference, before: ClusterState, scored: list[tuple[str, float]], rng: np.random.Generator
) -> ClusterState:
    """A batch's bets are one step: within it they multiply, and each batch may be the first of the change."""
    if not scored:
        return before
    seen, shares = [*reference.scores_S, *before.scores], dict(before.by_element)
    factors = np.ones(2 * len(BETS))
    for element, score in scored:
        chances = _rank(score, seen, rng), _tail(score, seen)
        factors *= [bet * chance ** (bet - 1) for chance in chances for bet in BETS]
        shares[element] = shares.get(element, 0.0) + max(0.0, -float(np.log(min(chances))) - 1)
        seen.append(score)
    wealth = (1 + np.array(before.wealth)) * factors
    latest = seen[len(reference.scores_S) :][-MOST_SCORES:]
    return ClusterState(tuple(latest), tuple(wealth.tolist()), tuple(shares.items()))


def _rank(score: float, seen: list[float], rng: np.random.Generator) -> float:
    larger, equal = sum(s > score for s in seen), sum(s == score for s in seen) + 1
    return max((larger + float(rng.uniform()) * equal) / (len(seen) + 1), _TINY)


def _tail(score: float, seen: list[float]) -> float:
    """The chance of a larger logarithm after those seen, as Student's predictive distribution has it."""
    logs, count = np.log(np.maximum(seen, _TINY)), len(seen)
    deviation = max(float(logs.std(ddof=1)), _TINY) * np.sqrt(1 + 1 / count)
    return max(float(stdtr(min(count - 1, HEAVIEST), (logs.mean() - np.log(max(score, _TINY))) / deviation)), _TINY)


def _report(
    reference: ClusterReference,
    after: ClusterState,
    scored: list[tuple[str, float]],
    new: tuple[str, ...],
    config: ClusterDriftConfig,
) -> DriftReport:
    value = float(np.log(max(np.mean(after.wealth), _TINY)))
    limit = float(np.log(BATCHES_PER_YEAR / config.false_alarms_per_year))
    total = sum(share for _, share in after.by_element)
    carriers = sorted((Carrier(e, "centre", s / total) for e, s in after.by_element if s > 0), key=lambda c: -c.share)
    muted = {}
    if len(reference.scores_S) < FEWEST_SESSIONS:
        there = f"{len(reference.scores_S)} sessions are held out beside others of their element"
        why = f"{there}, {FEWEST_SESSIONS} are needed"
        muted = {"all elements": why}
    drifted = value >= limit
    evidence = DriftEvidence(drifted, value, limit, tuple(carriers[:20]), {}, muted, ())
    notes = [f"{name}: {why}" for name, why in muted.items()]
    notes += [f"new elements: {', '.join(new)}"] if new else []
    farthest = float(reference.scores_S.max(initial=0.0))
    of_element: dict[str, list[float]] = {}
    for element, score in scored:
        of_element.setdefault(element, []).append(score)
    distances = {element: Distance(float(np.mean(s)), farthest) for element, s in of_element.items()}
    return DriftReport(drifted, distances, None, None, "; ".join(notes), evidence, "centre")


def _sessions(embeddings_NE: NDArray[np.float32], signals: Signals) -> list[_Session]:
    """Of each session its mean, in the order in which they come first."""
    numbers, first = np.unique(signals.sessions_N, return_index=True)
    found: list[_Session] = []
    for number in numbers[np.argsort(first)]:
        of_session = signals.sessions_N == number
        mean_E = embeddings_NE[of_session].astype(np.float64).mean(0)
        found.append(_Session(str(signals.element_ids_N[of_session][0]), mean_E, int(of_session.sum())))
    return found


def _by_element(sessions: list[_Session]) -> dict[str, list[_Session]]:
    found: dict[str, list[_Session]] = {}
    for session in sessions:
        found.setdefault(session.element, []).append(session)
    return found


def _centre(sessions: list[_Session]) -> Floats:
    return np.mean([session.mean_E for session in sessions], 0)


def _variances(
    embeddings_NE: NDArray[np.float32], signals: Signals, of_element: dict[str, list[_Session]]
) -> tuple[float, float]:
    """By moments: of signals around their session's mean, and of these around their element's, less the former."""
    squares = freedom = 0.0
    for number in np.unique(signals.sessions_N):
        of_session_NE = embeddings_NE[signals.sessions_N == number].astype(np.float64)
        squares += float(np.square(of_session_NE - of_session_NE.mean(0)).sum())
        freedom += len(of_session_NE) - 1
    within = squares / freedom if freedom else 0.0
    found = [
        float(np.square(session.mean_E - _centre(sessions)).sum()) * len(sessions) / (len(sessions) - 1)
        - within / session.signals
        for sessions in of_element.values()
        if len(sessions) > 1
        for session in sessions
    ]
    return max(float(np.mean(found)) if found else 0.0, 0.0), within


def _score_known(reference: ClusterReference, session: _Session, place: int) -> float:
    return _score(reference, session, reference.centres_ME[place].astype(np.float64), int(reference.sessions_M[place]))


def _score(reference: ClusterReference, session: _Session, centre_E: Floats, sessions: int) -> float:
    """The distance to the centre, in what is expected of a session with so many signals."""
    expected = reference.between * (1 + 1 / sessions) + reference.within / session.signals
    return float(np.sqrt(np.square(session.mean_E - centre_E).sum() / max(expected, _TINY)))
