"""Signals to search on: networks that represent them, scored on whole sessions or elements.

Shapes: N signals, C channels, T samples, E numbers of an embedding.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals
from learning.metrics import Training
from learning.representation import fit_representation, represent
from learning.representation_config import RepresentationConfig
from learning.search.template import Keys
from learning.search.trainings import Look, TooLittleError
from learning.threads import threads
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

HELD_OUT = 0.2
"""Share of the sessions, or elements, that is scored."""

LEAST_ELEMENTS = 4
"""Two to learn from, and two that are told apart."""

SIGNAL_KEYS = Keys({"hierarchical": HierarchicalConfig}, RepresentationConfig)

Floats = NDArray[np.float32]

SignalScore = Callable[[Floats, Mapping[str, Floats], Signals], float | None]
"""Embeddings (N, E), positions by keypoint (N,) and the signals, to a score; None where no signal has one, which
follows from the signals alone. Its `repr` tells scores apart."""

SignalExported = Callable[[HierarchicalSignalNet, Floats], Mapping[str, float]]
"""A trained network and a signal (C, T), to `latency_ms` and `size_mb` of its exported file."""


@dataclass(frozen=True)
class SignalMaterial:
    """Signals, what is held out whole, how representations are scored and exported networks measured."""

    signals: Signals
    by: Literal["session", "element"]
    score: SignalScore
    exported: SignalExported

    def __len__(self) -> int:
        return len(self.signals)

    def contents(self) -> Iterator[bytes]:
        """The signals, what they belong to, and what is asked of them."""
        signals = self.signals
        yield repr((self.by, self.score, list(signals.keypoints))).encode()
        texts = (signals.element_ids_N, signals.session_ids_N, signals.annotators_N)
        for column in (signals.values_NCT, signals.lengths_N, signals.weights_N, *signals.keypoints.values()):
            yield column.tobytes()
        for column in texts:
            yield repr(column.tolist()).encode()

    def split(self, seed: int) -> "SignalSplit":
        """What trials learn from, and about a fifth of the sessions or elements, whole, that they are scored on."""
        held_N = _held_elements(self.signals, seed) if self.by == "element" else _held_sessions(self.signals, seed)
        train, held_out = self.signals.take(~held_N), self.signals.take(held_N)
        nowhere = {name: np.zeros(len(held_out), np.float32) for name in held_out.keypoints}
        if self.score(np.zeros((len(held_out), 1), np.float32), nowhere, held_out) is None:
            raise TooLittleError(
                f"of {len(held_out)} signals that were held out by {self.by} none can be scored: an element counts "
                f"where two of its sessions are held out, a keypoint where it is annotated"
            )
        return SignalSplit(train, held_out, self)


@dataclass(frozen=True)
class SignalSplit:
    """What is learned from, and what is held out."""

    train: Signals
    held_out: Signals
    of: SignalMaterial

    def learn(
        self, model: HierarchicalConfig, training: RepresentationConfig, look: Look, checkpoints: Path
    ) -> tuple[HierarchicalSignalNet, Training]:
        """A network from its checkpoint, or from fresh weights."""
        learned = fit_representation(self.train, model, training, checkpoints, callbacks=[look])
        return learned.network, learned.training

    def score(self, network: HierarchicalSignalNet) -> float:
        """Of the representations of what was held out."""
        with threads(1):
            found = represent(network, self.held_out)
        if not all(np.isfinite(numbers).all() for numbers in (found.embeddings_NE, *found.positions.values())):
            raise FloatingPointError("its representations are not finite")
        score = self.of.score(found.embeddings_NE, found.positions, self.held_out)
        assert score is not None, "the split was looked at"
        return score

    def exported(self, network: HierarchicalSignalNet) -> Mapping[str, float]:
        """What its file costs, for the longest signal."""
        return self.of.exported(network, self.held_out.longest())


def _held_elements(signals: Signals, seed: int) -> NDArray[np.bool_]:
    """Signals of about a fifth of the elements, two at least."""
    elements_N = signals.elements_N
    elements = int(elements_N.max(initial=-1)) + 1
    if elements < LEAST_ELEMENTS:
        raise TooLittleError(
            f"{elements} elements are too few to tune on; {LEAST_ELEMENTS} at least, two to learn from and two to score"
        )
    wanted = max(round(HELD_OUT * elements), 2)
    return np.isin(elements_N, np.random.default_rng(seed).permutation(elements)[:wanted])


def _held_sessions(signals: Signals, seed: int) -> NDArray[np.bool_]:
    """Signals of about a fifth of the sessions; of an element two or more, so that its signals can find one another.

    One session of each element stays, as elements are to be known to what is scored. Elements of two sessions come
    last, and one of these is held out.
    """
    rng, sessions_N = np.random.default_rng(seed), signals.sessions_N
    sessions = [rng.permutation(np.unique(sessions_N[signals.elements_N == e])) for e in np.unique(signals.elements_N)]
    most = max(map(len, sessions), default=0)
    if len(sessions) < 2 or most < 2:
        raise TooLittleError(
            f"{len(sessions)} elements of at most {most} sessions are too few to tune on; two elements at least, and "
            f"two sessions of one"
        )
    left, held = HELD_OUT * sum(map(len, sessions)), list[int]()
    for place in sorted(rng.permutation(len(sessions)), key=lambda place: len(sessions[place]) < 3):
        of_element = sessions[place]
        if len(held) >= left:
            break
        held += of_element[: min(max(round(HELD_OUT * len(of_element)), 2), len(of_element) - 1)].tolist()
    return np.isin(sessions_N, held)
