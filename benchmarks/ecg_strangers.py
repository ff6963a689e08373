"""People whom nobody knows, among people who are known by some of their sessions: who is accepted as known.

Shapes: N beats, E numbers of an embedding.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals
from monitoring.recognition import Method, fit_recogniser, separation

DRAWS = 10
KNOWN, SHOWN = 8, 6
"""People who are known, and strangers to calibrate on; all others are strangers whom nobody has seen."""
ACCEPTED, ADMITTED = 0.95, 0.05
METHODS: tuple[Method, ...] = ("neighbours", "linear")

Floats = NDArray[np.float32]


def strangers(embeddings_NE: Floats, signals: Signals, seed: int) -> dict[str, dict[str, float]]:
    """Means over draws of people, for a threshold from known people alone and for one from strangers too.

    known, strangers: the share of fresh beats that are accepted. named: of the fresh beats of known people, the share
    that is accepted under the right name. separation: the area under the ROC curve.
    """
    draws = [_draw(embeddings_NE, signals, np.random.default_rng([seed, draw])) for draw in range(DRAWS)]
    return {way: {what: float(np.mean([d[way][what] for d in draws])) for what in draws[0][way]} for way in draws[0]}


def _draw(embeddings_NE: Floats, signals: Signals, generator: np.random.Generator) -> Mapping[str, Mapping[str, float]]:
    people = generator.permutation(np.unique(signals.element_ids_N))
    known_N = np.isin(signals.element_ids_N, people[:KNOWN])
    shown_N = np.isin(signals.element_ids_N, people[KNOWN : KNOWN + SHOWN])
    part_N = _session_parts(signals, generator)
    learned_N, calibration_N, asked_N = (known_N & (part_N == part) for part in range(3))
    known = embeddings_NE[learned_N], signals.element_ids_N[learned_N]
    found: dict[str, dict[str, float]] = {}
    for method in METHODS:
        for way, shown_SE in (("known people alone", None), ("strangers too", embeddings_NE[shown_N])):
            recogniser = fit_recogniser(
                known, embeddings_NE[calibration_N], method, ACCEPTED, strangers_SE=shown_SE, admitted=ADMITTED
            )
            asked = recogniser.recognise(embeddings_NE[asked_N])
            strange = recogniser.recognise(embeddings_NE[~known_N & ~shown_N])
            right_N = asked.elements_N == signals.element_ids_N[asked_N]
            found[f"{method}, {way}"] = {
                "known": float(asked.known_N.mean()),
                "named": float((asked.known_N & right_N).mean()),
                "strangers": float(strange.known_N.mean()),
                "separation": separation(asked.strangeness_N, strange.strangeness_N),
            }
    return found


def _session_parts(signals: Signals, generator: np.random.Generator) -> NDArray[Any]:
    """For each beat 0, 1 or 2: of its person's sessions half are learned, a quarter calibrates, a quarter asks."""
    part_N = np.zeros(len(signals), np.int64)
    for person in np.unique(signals.elements_N):
        sessions = generator.permutation(np.unique(signals.sessions_N[signals.elements_N == person]))
        quarter = max(1, len(sessions) // 4)
        part_N[np.isin(signals.sessions_N, sessions[:quarter])] = 1
        part_N[np.isin(signals.sessions_N, sessions[quarter : 2 * quarter])] = 2
    return part_N
