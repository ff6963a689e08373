"""How well a model does on rows without labels, expected from its confidence or from a model of its errors.

Classes: calibrated probabilities say how often each prediction is right (confidence-based performance estimation, CBPE,
Białek et al. 2024). Values: boosted trees predict the error from inputs and prediction (direct loss estimation, DLE).
Both follow a change of the inputs. Neither can see a change of what the target means: labels alone tell that.

Shapes: B samples, C features, K classes, T trees, N nodes, S stretches of held-out rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from monitoring.loss_trees import LossTrees, fit_loss_trees
from monitoring.performance import CLASS_METRICS, Metric, Predictions, row_values, score

LEAST_ROWS = 40
STRETCHES = 10
CONFIDENCE = 0.9
PRIOR = 4.0
"""The held-out stretches count as much as so many batches whose labels have come."""
MOST_BATCHES = 10
LEAST_COUNT = 1.0
"""A class of which fewer rows are expected does not count in means over classes."""
SHARES = ("accuracy", "balanced_accuracy", "macro_f1")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """What a score is expected to be, and the range in which nine of ten such scores lie.

    expected: by the estimator alone; `score` is corrected by how far it was off where the labels have come.
    """

    score: float
    low: float
    high: float
    expected: float
    rows: int


@dataclass(frozen=True)
class Estimator:
    """What a version's held-out rows say about its errors, by one metric.

    temperature: the logits' divisor that calibrates the probabilities (Guo et al. 2017); 1 for values. trees: the model
    of the errors; None for classes. spread: typical error of the expected score of a stretch of `stretch_rows` rows:
    a difference, or for errors and losses of their logarithm.
    """

    metric: Metric
    temperature: float
    trees: LossTrees | None
    spread: float
    stretch_rows: int

    def expected(self, predictions: Predictions, inputs_BC: NDArray[np.float32]) -> float:
        """The score to be expected on these rows; raises ValueError for none, and for predictions not finite."""
        if len(predictions) == 0 or not np.isfinite(predictions).all():
            raise ValueError(
                f"{self.metric} of {len(predictions)} rows cannot be estimated: it needs finite predictions"
            )
        if self.trees is None:
            return expected_class_score(self.metric, predictions, self.temperature)
        values_B = self.trees.losses(_with_prediction(inputs_BC, predictions))
        return float(np.sqrt(values_B.mean()) if self.metric == "rmse" else values_B.mean())

    def to_arrays(self) -> dict[str, Any]:
        """As arrays without objects."""
        numbers = np.array([self.temperature, self.spread, self.stretch_rows], dtype=np.float64)
        trees = {} if self.trees is None else self.trees.to_arrays()
        return {"metric": np.array(self.metric), "numbers": numbers, **trees}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "Estimator":
        """What `to_arrays` gave."""
        temperature, spread, stretch_rows = arrays["numbers"]
        trees = LossTrees.from_arrays(arrays) if "values" in arrays else None
        metric: Any = str(arrays["metric"])
        return cls(metric, float(temperature), trees, float(spread), int(stretch_rows))


def fit_estimator(
    metric: Metric, predictions: Predictions, inputs_BC: NDArray[np.float32], targets_B: NDArray[Any], seed: int
) -> Estimator | None:
    """Learn from held-out rows, in order of time, how far predictions are off.

    None for fewer than forty rows, and where a prediction is not finite.

    targets_B: class numbers (−1: a class that the model does not know) or values.
    """
    if len(predictions) < LEAST_ROWS or not np.isfinite(predictions).all():
        return None
    stretches = np.array_split(np.arange(len(predictions)), STRETCHES)
    realised_S = np.array([score(metric, predictions[s], targets_B[s]) for s in stretches])
    if predictions.ndim == 2:
        temperature = _temperature(predictions, targets_B)
        found = Estimator(metric, temperature, None, 0.0, len(stretches[0]))
        expected_S = np.array([expected_class_score(metric, predictions[s], temperature) for s in stretches])
    else:
        losses_B = row_values(metric, predictions, targets_B)
        trees, unseen_B = fit_loss_trees(_with_prediction(inputs_BC, predictions), losses_B, seed)
        found = Estimator(metric, 1.0, trees, 0.0, len(stretches[0]))
        means_S = np.array([unseen_B[s].mean() for s in stretches])
        expected_S = np.sqrt(means_S) if metric == "rmse" else means_S
    errors_S = _errors(metric, expected_S, realised_S)
    spread = float(np.sqrt(np.square(errors_S).mean()))
    return Estimator(metric, found.temperature, found.trees, spread, found.stretch_rows)


def estimate(
    estimator: Estimator,
    predictions: Predictions,
    inputs_BC: NDArray[np.float32],
    told: Sequence[tuple[float, float]],
) -> Estimate:
    """The score of rows without labels, with its range.

    told: expected and realised scores of the line's earlier batches whose labels have come, the newest last. They
    correct the estimate and widen its range; a batch longer than the held-out stretches is not trusted to vary less.
    """
    metric, rows = estimator.metric, len(predictions)
    expected = estimator.expected(predictions, inputs_BC)
    pairs = np.array(told[-MOST_BATCHES:], dtype=np.float64).reshape(-1, 2)
    errors_T = _errors(metric, pairs[:, 0], pairs[:, 1])
    weight = PRIOR + len(errors_T)
    bias = float(errors_T.sum()) / weight
    prior = PRIOR * estimator.spread**2 * max(1.0, estimator.stretch_rows / rows)
    variance = (prior + float(np.square(errors_T - bias).sum()) + PRIOR * bias**2) / weight
    reach = float(student.ppf((1 + CONFIDENCE) / 2, weight - 1)) * np.sqrt(variance * (1 + 1 / weight))
    low, middle, high = sorted(_moved(metric, expected, bias + step) for step in (-reach, 0.0, reach))
    return Estimate(middle, low, high, expected, rows)


def expected_class_score(metric: Metric, probabilities_BK: Predictions, temperature: float) -> float:
    """The score that the calibrated probabilities promise, from the confusion matrix that they expect."""
    calibrated_BK = _calibrated(probabilities_BK, temperature)
    if metric == "log_loss":
        served_BK = np.clip(probabilities_BK.astype(np.float64), 1e-9, 1.0)
        return float(-(calibrated_BK * np.log(served_BK)).sum(1).mean())
    guesses_B, classes = probabilities_BK.argmax(1), probabilities_BK.shape[1]
    confusion_KK = np.zeros((classes, classes))
    np.add.at(confusion_KK, guesses_B, calibrated_BK)  # guessed × true
    hits_K, present_K, guessed_K = np.diag(confusion_KK), confusion_KK.sum(0), confusion_KK.sum(1)
    if metric not in CLASS_METRICS:
        return float(hits_K.sum() / len(guesses_B))
    counted_K = present_K >= min(LEAST_COUNT, present_K.max())
    divisor_K = present_K if metric == "balanced_accuracy" else (present_K + guessed_K) / 2
    return float((hits_K[counted_K] / divisor_K[counted_K]).mean())


def _calibrated(probabilities_BK: Predictions, temperature: float) -> Floats:
    logits_BK = np.log(np.clip(probabilities_BK.astype(np.float64), 1e-9, 1.0)) / temperature
    powers_BK = np.exp(logits_BK - logits_BK.max(1, keepdims=True))
    return powers_BK / powers_BK.sum(1, keepdims=True)


def _temperature(probabilities_BK: Predictions, targets_B: NDArray[Any]) -> float:
    """The temperature under which the known classes are likeliest."""
    known_B = np.flatnonzero(targets_B >= 0)
    if not len(known_B):
        return 1.0
    chosen_B = targets_B[known_B].astype(np.int64)

    def unlikelihood(log_temperature: float) -> float:
        calibrated_BK = _calibrated(probabilities_BK[known_B], float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(calibrated_BK[np.arange(len(chosen_B)), chosen_B], 1e-12)).mean())

    found: Any = minimize_scalar(unlikelihood, bounds=(np.log(0.2), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def _with_prediction(inputs_BC: NDArray[np.float32], predictions: Predictions) -> NDArray[np.float32]:
    return np.concatenate([inputs_BC, predictions[:, None]], axis=1).astype(np.float32)


def _errors(metric: Metric, expected: Floats, realised: Floats) -> Floats:
    """How far the realised scores lie above the expected: differences, for errors and losses of logarithms."""
    if metric in SHARES:
        return realised - expected
    return np.log(np.maximum(realised, 1e-12)) - np.log(np.maximum(expected, 1e-12))


def _moved(metric: Metric, expected: float, error: float) -> float:
    return min(1.0, max(0.0, expected + error)) if metric in SHARES else float(expected * np.exp(error))
