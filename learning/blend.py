"""How far each head is trusted: evidence from its predictions on batches it had not learned from.

Shapes: B samples, K heads, O outputs.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.config import Task

HALF_LIVES: tuple[float, ...] = (math.inf, 6.0, 1.5, 0.0)
"""In batches; 0: the newest batch alone."""

DISCOUNT = 0.5
"""What the evidence of all earlier batches still counts when a new one is observed."""

MOST_ROWS = 2_000
EM_STEPS = 30
TRUST = 0.1
"""Spread evenly over all heads, so that none is ever given up."""

GRADIENT_STEPS = 200
RIDGE = 0.03

Floats = NDArray[np.float64]


class Evidence(Protocol):
    """Discounted statistics of each head's prequential predictions, through a batch."""

    @property
    def observed_through(self) -> int: ...

    def weights(self) -> list[float]:
        """The simplex weights with which the heads would have served best of late."""
        ...

    def observe(
        self, outputs_BKO: NDArray[np.float32], targets_B: NDArray[np.generic], batch_number: int
    ) -> "Evidence":
        """The evidence after one more batch: each head's logits or values on it, made before learning from it."""
        ...

    def to_json(self) -> str: ...


@dataclass(frozen=True)
class ClassEvidence:
    """Each head's probability of the true class, and what each row still counts."""

    likelihoods_BK: Floats
    discounts_B: Floats
    observed_through: int = 0

    def weights(self) -> list[float]:
        heads = self.likelihoods_BK.shape[1]
        weights_K = np.full(heads, 1 / heads)
        for _ in range(EM_STEPS if len(self.discounts_B) else 0):
            joint_BK = self.likelihoods_BK * weights_K
            responsibilities_BK = joint_BK / joint_BK.sum(1, keepdims=True)
            weights_K = self.discounts_B @ responsibilities_BK / self.discounts_B.sum()
        return ((weights_K + TRUST / heads) / (1 + TRUST)).tolist()

    def observe(
        self, outputs_BKO: NDArray[np.float32], targets_B: NDArray[np.generic], batch_number: int
    ) -> "ClassEvidence":
        likelihoods_BK = _likelihoods(outputs_BKO.astype(np.float64), targets_B.astype(np.int64))
        rows = slice(-MOST_ROWS, None)
        return ClassEvidence(
            np.concatenate([self.likelihoods_BK, likelihoods_BK])[rows],
            np.concatenate([self.discounts_B * DISCOUNT, np.ones(len(targets_B))])[rows],
            batch_number,
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "task": "classification",
                "likelihoods": self.likelihoods_BK.tolist(),
                "heads": self.likelihoods_BK.shape[1],
                "discounts": self.discounts_B.tolist(),
                "observed_through": self.observed_through,
            }
        )


@dataclass(frozen=True)
class ValueEvidence:
    """The discounted Gram matrix of the heads' errors."""

    gram_KK: Floats
    observed_through: int = 0

    def weights(self) -> list[float]:
        """Exponentiated gradient (Kivinen & Warmuth 1997) on the error of the weighted sum."""
        heads = len(self.gram_KK)
        scale = float(self.gram_KK.trace()) / heads
        weights_K = np.full(heads, 1 / heads)
        if scale <= 0:
            return weights_K.tolist()
        gram_KK = self.gram_KK / scale + RIDGE * np.eye(heads)
        for _ in range(GRADIENT_STEPS):
            weights_K = weights_K * np.exp(-0.5 * gram_KK @ weights_K)
            weights_K /= weights_K.sum()
        return weights_K.tolist()

    def observe(
        self, outputs_BKO: NDArray[np.float32], targets_B: NDArray[np.generic], batch_number: int
    ) -> "ValueEvidence":
        errors_BK = outputs_BKO[:, :, 0].astype(np.float64) - targets_B.astype(np.float64)[:, None]
        return ValueEvidence(DISCOUNT * self.gram_KK + errors_BK.T @ errors_BK, batch_number)

    def to_json(self) -> str:
        return json.dumps(
            {"task": "regression", "gram": self.gram_KK.tolist(), "observed_through": self.observed_through}
        )


def no_evidence(task: Task, heads: int, observed_through: int) -> Evidence:
    """Before any prediction: all heads weigh the same."""
    if task == "classification":
        return ClassEvidence(np.empty((0, heads)), np.empty(0), observed_through)
    return ValueEvidence(np.zeros((heads, heads)), observed_through)


def evidence_from_json(text: str) -> Evidence:
    """What `to_json` wrote. Raises ValueError for anything else."""
    state = json.loads(text)
    match state.get("task"):
        case "classification":
            likelihoods_BK = np.array(state["likelihoods"], dtype=np.float64).reshape(-1, state["heads"])
            return ClassEvidence(
                likelihoods_BK, np.array(state["discounts"], dtype=np.float64), state["observed_through"]
            )
        case "regression":
            return ValueEvidence(np.array(state["gram"], dtype=np.float64), state["observed_through"])
        case other:
            raise ValueError(f"this is no evidence of a blend: its task is {other!r}")


def relevance(ages: NDArray[np.generic], weights: Sequence[float]) -> Floats:
    """How much rows so many batches old still count for a blend with these weights: Σ_k w_k 2^(−age/h_k).

    One weight: a network without half-lives, for which all rows count.
    """
    half_lives = HALF_LIVES if len(weights) == len(HALF_LIVES) else (math.inf,) * len(weights)
    return np.asarray(weights, dtype=np.float64) @ np.stack([decay(ages, h) for h in half_lives])


def decay(ages: NDArray[np.generic], half_life: float) -> Floats:
    """2^(−age/half_life); for half-life 0 one at age 0 and nothing later."""
    ages_64 = np.asarray(ages, dtype=np.float64)
    return (ages_64 <= 0).astype(np.float64) if half_life == 0 else np.exp2(-ages_64 / half_life)


def _likelihoods(logits_BKO: Floats, targets_B: NDArray[np.int64]) -> Floats:
    shifted_BKO = logits_BKO - logits_BKO.max(2, keepdims=True)
    probabilities_BKO = np.exp(shifted_BKO) / np.exp(shifted_BKO).sum(2, keepdims=True)
    chosen_BK = np.take_along_axis(probabilities_BKO, targets_B[:, None, None], 2)[:, :, 0]
    return np.clip(chosen_BK, 1e-6, 1.0)
