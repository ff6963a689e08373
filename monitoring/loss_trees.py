"""Boosted regression trees that predict a model's loss, as plain arrays.

Shapes: B samples, C columns (inputs and the prediction), T trees, N nodes of the largest tree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TREES, DEPTH, LEAF_SHARE, SHRINKAGE = 40, 3, 0.05, 0.08
FOLDS = 5
LEAF = -1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossTrees:
    """Trees that predict the root of the loss, and how that becomes a mean loss.

    columns_TN: the column that a node asks about, −1 for a leaf. at most thresholds_TN goes to left_TN, else right_TN.
    values_TN: of the leaves, shrunk. base: before any tree. factor: mean loss over mean squared prediction.
    filled_C: what stands for a missing reading.
    """

    columns_TN: NDArray[np.int64]
    thresholds_TN: Floats
    left_TN: NDArray[np.int64]
    right_TN: NDArray[np.int64]
    values_TN: Floats
    base: float
    factor: float
    filled_C: Floats

    def losses(self, inputs_BC: NDArray[np.float32]) -> Floats:
        """The expected loss of each row."""
        return self.factor * np.square(self._roots(inputs_BC))

    def _roots(self, inputs_BC: NDArray[np.float32]) -> Floats:
        inputs_BC = _filled(inputs_BC, self.filled_C)
        rows_B, roots_B = np.arange(len(inputs_BC)), np.full(len(inputs_BC), self.base)
        for columns_N, thresholds_N, left_N, right_N, values_N in zip(
            self.columns_TN, self.thresholds_TN, self.left_TN, self.right_TN, self.values_TN, strict=True
        ):
            nodes_B = np.zeros(len(inputs_BC), np.int64)
            for _ in range(DEPTH):
                asked_B = columns_N[nodes_B]
                below_B = inputs_BC[rows_B, np.maximum(asked_B, 0)] <= thresholds_N[nodes_B]
                nodes_B = np.where(asked_B == LEAF, nodes_B, np.where(below_B, left_N[nodes_B], right_N[nodes_B]))
            roots_B += values_N[nodes_B]
        return np.maximum(roots_B, 0.0)

    def to_arrays(self) -> dict[str, Any]:
        """As arrays without objects."""
        trees = {"columns": self.columns_TN, "thresholds": self.thresholds_TN, "left": self.left_TN}
        trees |= {"right": self.right_TN, "values": self.values_TN, "filled": self.filled_C}
        return {**trees, "scale": np.array([self.base, self.factor])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "LossTrees":
        """What `to_arrays` gave."""
        base, factor = arrays["scale"]
        columns_TN, thresholds_TN, values_TN = (arrays[name] for name in ("columns", "thresholds", "values"))
        left_TN, right_TN = arrays["left"], arrays["right"]
        filled_C = arrays["filled"]
        return cls(columns_TN, thresholds_TN, left_TN, right_TN, values_TN, float(base), float(factor), filled_C)


def fit_loss_trees(inputs_BC: NDArray[np.float32], losses_B: Floats, seed: int) -> tuple[LossTrees, Floats]:
    """Trees of all rows, in order of time, and each row's loss as trees predict it that have not seen its fifth."""
    known_BC = np.isfinite(inputs_BC)
    counts_C = np.maximum(known_BC.sum(0), 1)
    filled_C = np.where(known_BC, inputs_BC, 0).astype(np.float64).sum(0) / counts_C
    roots_B = np.sqrt(losses_B)
    unseen_B = np.empty(len(losses_B))
    for fold in np.array_split(np.arange(len(losses_B)), FOLDS):
        seen_B = np.setdiff1d(np.arange(len(losses_B)), fold)
        unseen_B[fold] = _fit(inputs_BC[seen_B], roots_B[seen_B], filled_C, seed).losses(inputs_BC[fold])
    factor = float(losses_B.mean() / max(unseen_B.mean(), 1e-300))
    trees = _fit(inputs_BC, roots_B, filled_C, seed)
    arrays = {**trees.to_arrays(), "scale": np.array([trees.base, factor])}
    return LossTrees.from_arrays(arrays), factor * unseen_B


def _fit(inputs_BC: NDArray[np.float32], roots_B: Floats, filled_C: Floats, seed: int) -> LossTrees:
    # Importing it takes a second, which only who makes a version pays.
    from sklearn.ensemble import GradientBoostingRegressor

    leaf = max(1, round(LEAF_SHARE * len(roots_B)))
    model: Any = GradientBoostingRegressor(
        n_estimators=TREES, max_depth=DEPTH, learning_rate=SHRINKAGE, min_samples_leaf=leaf, random_state=seed
    )
    model.fit(_filled(inputs_BC, filled_C), roots_B)
    trees = [estimator.tree_ for estimator in model.estimators_[:, 0]]
    most = max(tree.node_count for tree in trees)
    shape = (len(trees), most)
    columns_TN, left_TN, right_TN = (np.full(shape, LEAF, np.int64) for _ in range(3))
    thresholds_TN, values_TN = np.zeros(shape), np.zeros(shape)
    for t, tree in enumerate(trees):
        nodes = slice(0, tree.node_count)
        columns_TN[t, nodes] = np.where(tree.children_left < 0, LEAF, tree.feature)
        thresholds_TN[t, nodes], values_TN[t, nodes] = tree.threshold, SHRINKAGE * tree.value[:, 0, 0]
        left_TN[t, nodes], right_TN[t, nodes] = tree.children_left, tree.children_right
    return LossTrees(columns_TN, thresholds_TN, left_TN, right_TN, values_TN, float(roots_B.mean()), 1.0, filled_C)


def _filled(inputs_BC: NDArray[np.float32], filled_C: Floats) -> NDArray[np.float32]:
    return np.where(np.isfinite(inputs_BC), inputs_BC, filled_C).astype(np.float32)
