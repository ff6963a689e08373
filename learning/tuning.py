"""`AutoMLTuner`: hyper-parameters found by trying, as the earlier training module called it.

    best_params = AutoMLTuner().optimize_lstm_hyperparameters(
        training_data=lstm_data, search_space={"layers": [2, 3, 4], "units": [64, 128, 256], "dropout": [0.1, 0.2, 0.3]}
    )

Shapes: B samples, L window length, C features.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from data.config import Task
from data.samples import Samples
from data.signals import Signals
from deployments.measuring import measure_exported, measure_exported_signals
from deployments.settings import Settings
from learning.config import TrainingConfig
from learning.representation_config import RepresentationConfig
from learning.search.defaults import DEFAULT_SPACES, signal_space, space_of
from learning.search.finding import find
from learning.search.halving import Halving
from learning.search.results import Tuned
from learning.search.row_material import ROW_KEYS, RowMaterial
from learning.search.samplers import SAMPLERS, Sampler
from learning.search.signal_material import SIGNAL_KEYS, SignalMaterial
from learning.search.space import Point, SearchSpace
from learning.search.study import Search
from learning.search.template import Template, check_space
from learning.search.trainings import Material, objectives_of
from models.config import HierarchicalConfig, ModelConfig
from monitoring.performance import LOWER_IS_BETTER, METRICS, SIGNAL_METRICS, AnyMetric, score
from monitoring.representation import SignalScore

Architecture = Literal["mlp", "cnn", "lstm", "gru", "cnn_lstm"]
AnyTraining = TypeVar("AnyTraining", TrainingConfig, RepresentationConfig)
MetricT = TypeVar("MetricT", bound=AnyMetric)


class AutoMLTuner:
    """Finds the hyper-parameters of a network on training data, of which it holds out a fifth to score by.

    trials, minutes: the budget, whichever is spent first. dask: a scheduler's address, on whose workers trials are
    trained instead of in `processes` of this machine. sampler: auto lists a small space and else asks TPE; tpe, gp,
    nsga2, nsga3, random, grid. objectives: `score` first, then any of latency_ms, size_mb (of the exported network) and
    cost (of its training). metric: of the score; None: accuracy, for values rmse, for signals element_recall_at_1.
    halving: stop poor trials early. finalists: so many, the parameters as they were among them, are trained again on
    other splits before the pick. training: what the search leaves as it is; of signals a `RepresentationConfig`.
    storage: a journal's path or a database's URL; None: under LEHR_HOME.
    The same call again answers from what is stored, and one that was killed goes on. Raises ValueError for a choice
    that is none, and where Optuna is not installed.
    """

    def __init__(
        self,
        *,
        trials: int = 30,
        minutes: float | None = None,
        processes: int = 1,
        dask: str | None = None,
        sampler: Sampler = "auto",
        objectives: Sequence[str] = ("score",),
        metric: AnyMetric | None = None,
        halving: bool = True,
        finalists: int = 3,
        training: TrainingConfig | RepresentationConfig | None = None,
        storage: Path | str | None = None,
        seed: int = 0,
    ) -> None:
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler: {sampler!r} is none of {', '.join(SAMPLERS)}")
        for name, given in {"trials": trials, "processes": processes, "finalists": finalists}.items():
            if given < 1:
                raise ValueError(f"{name}: {given} is less than 1")
        if minutes is not None and not 0 < minutes < math.inf:
            raise ValueError(f"minutes: {minutes!r} is no time above 0")
        if isinstance(storage, Path) and storage.is_dir():
            raise ValueError(f"storage: {storage} is a folder; give the path of a journal in it, or a database's URL")
        self._trials, self._minutes, self._workers = trials, minutes, dask or processes
        self._sampler: Sampler = sampler
        self._objectives, self._metric, self._seed = tuple(objectives), metric, seed
        self._halving, self._finalists = Halving() if halving else None, finalists
        self._training = training
        self._storage = storage.resolve() if isinstance(storage, Path) else storage
        self._tuned = None

    @property
    def result(self) -> Tuned:
        """All that the latest search found; raises ValueError before any."""
        if self._tuned is None:
            raise ValueError("nothing was tuned yet: call one of the optimize methods first")
        return self._tuned

    def configs(self) -> tuple[ModelConfig, TrainingConfig]:
        """The network's and the training's configuration with the latest search's best parameters in them.

        Raises ValueError where that was over signals: those are of another kind, `hierarchical_configs`.
        """
        model, training = self._found()
        if not isinstance(training, TrainingConfig):
            raise ValueError("the latest search was over signals: ask hierarchical_configs")
        return model, training

    def hierarchical_configs(self) -> tuple[HierarchicalConfig, RepresentationConfig]:
        """The same after a search over signals; raises ValueError where the latest was over rows."""
        model, training = self._found()
        if not isinstance(training, RepresentationConfig):
            raise ValueError("the latest search was over rows: ask configs")
        return model, training

    def _found(self) -> tuple[Any, Any]:
        point = dict(self.result.best.point)
        return self._template.configs(point)

    def optimize_mlp_hyperparameters(self, training_data: Any, search_space: Mapping[str, Any] | None = None) -> Point:
        """`optimize_hyperparameters` of a multi-layer perceptron."""
        return self.optimize_hyperparameters("mlp", training_data, search_space)

    def optimize_cnn_hyperparameters(self, training_data: Any, search_space: Mapping[str, Any] | None = None) -> Point:
        """`optimize_hyperparameters` of a convolutional network."""
        return self.optimize_hyperparameters("cnn", training_data, search_space)

    def optimize_lstm_hyperparameters(self, training_data: Any, search_space: Mapping[str, Any] | None = None) -> Point:
        """`optimize_hyperparameters` of an LSTM."""
        return self.optimize_hyperparameters("lstm", training_data, search_space)

    def optimize_gru_hyperparameters(self, training_data: Any, search_space: Mapping[str, Any] | None = None) -> Point:
        """`optimize_hyperparameters` of a GRU."""
        return self.optimize_hyperparameters("gru", training_data, search_space)

    def optimize_cnn_lstm_hyperparameters(
        self, training_data: Any, search_space: Mapping[str, Any] | None = None
    ) -> Point:
        """`optimize_hyperparameters` of the hybrid network."""
        return self.optimize_hyperparameters("cnn_lstm", training_data, search_space)

    def optimize_hyperparameters(
        self, architecture: Architecture, training_data: Any, search_space: Mapping[str, Any] | None = None
    ) -> Point:
        """The best parameters, by name; `result` has the rest.

        training_data: `Samples`, or a pair of arrays: readings (B, C) or (B, L, C), and a class or a value for each.
        search_space: by name what may be tried, as `learning.search.parsing.parse_space` reads it; None: what usually
        matters for the network. Raises ValueError for mistakes in either.
        """
        if architecture not in DEFAULT_SPACES:
            raise ValueError(f"architecture: {architecture!r} is none of {', '.join(DEFAULT_SPACES)}")
        training = self._training_of(TrainingConfig)
        samples, task, outputs = _samples_of(training_data)
        metric = self._metric_of(METRICS[task], task)
        material = RowMaterial(samples, task, outputs, partial(score, metric), measure_exported)
        template = Template(ROW_KEYS, {"architecture": architecture}, training.model_dump(mode="json"))
        return self._find(material, template, space_of(search_space, DEFAULT_SPACES[architecture], template), metric)

    def optimize_hierarchical_hyperparameters(
        self,
        signals: Signals,
        search_space: Mapping[str, Any] | None = None,
        *,
        by: Literal["session", "element"] = "session",
        within: float = 5.0,
    ) -> Point:
        """The best parameters of a network that represents signals, by name; `result` has the rest.

        by: what is held out whole to score by, a fifth; element: elements that no training has seen. within: samples by
        which a keypoint may be off for keypoint_within. Raises ValueError as `optimize_hyperparameters`, and for too
        few elements or sessions.
        """
        training = self._training_of(RepresentationConfig)
        metric = self._metric_of(SIGNAL_METRICS, "representation")
        material = SignalMaterial(signals, by, SignalScore(metric, within), measure_exported_signals)
        template = Template(SIGNAL_KEYS, {"architecture": "hierarchical"}, training.model_dump(mode="json"))
        usual = signal_space(bool(signals.keypoints))
        return self._find(material, template, space_of(search_space, usual, template), metric)

    def _training_of(self, kind: type[AnyTraining]) -> AnyTraining:
        training = kind() if self._training is None else self._training
        if not isinstance(training, kind):
            raise ValueError(f"training: give a {kind.__name__}, not a {type(training).__name__}")
        return training

    def _metric_of(self, allowed: Sequence[MetricT], task: str) -> MetricT:
        """The metric that was asked for, or the first of those that are allowed."""
        metric = next((m for m in allowed if self._metric in (None, m)), None)
        if metric is None:
            raise ValueError(f"metric: {self._metric} does not fit {task}; allowed are {', '.join(allowed)}")
        return metric

    def _find(
        self, material: Material[Any], template: Template[Any, Any], space: SearchSpace, metric: AnyMetric
    ) -> Point:
        check_space(space, template)
        search = self._search(material, template, space, metric)
        self._tuned = find(search, material, template, self._finalists, self._workers, self._minutes)
        self._template = template
        return dict(self._tuned.best.point)

    def _search(
        self, material: Material[Any], template: Template[Any, Any], space: SearchSpace, metric: AnyMetric
    ) -> Search:
        same = [space.describe(), template.training, metric, self._objectives, self._halving is None, self._seed]
        hasher = hashlib.sha256(json.dumps(same, sort_keys=True).encode())
        for part in material.contents():
            hasher.update(part)
        architecture, own = template.model["architecture"], template.part_of(space)
        folder = Settings().home.resolve() / "tuning"
        name = f"{architecture}-{hasher.hexdigest()[:12]}"
        return Search(
            name,
            space,
            objectives_of(self._objectives, score_is_loss=metric in LOWER_IS_BETTER),
            template.training["epochs"],
            folder / f"{architecture}.journal" if self._storage is None else self._storage,
            folder / name if not isinstance(self._storage, Path) else self._storage.parent / name,
            self._trials,
            self._sampler,
            self._halving,
            () if own is None else (own,),
            self._seed,
        )


def _samples_of(training_data: Any) -> tuple[Samples, Task, int]:
    """Samples, whether they have classes or values, and how many outputs that takes."""
    match training_data:
        case Samples():
            samples = training_data
        case (inputs, targets):
            samples = _from_arrays(_array("readings", inputs, np.float32), _array("targets", targets))
        case _:
            raise ValueError(
                f"training_data: a {type(training_data).__name__} is neither Samples nor a pair of readings and targets"
            )
    if samples.targets_B.is_floating_point():
        return samples, "regression", 1 if samples.targets_B.dim() == 1 else samples.targets_B.shape[1]
    classes = int(samples.targets_B.max()) + 1 if len(samples) else 0
    if classes < 2:
        raise ValueError("training_data: there is one class only")
    return samples, "classification", classes


def _array(what: str, given: Any, dtype: type[Any] | None = None) -> np.ndarray:
    try:
        array = np.asarray(given, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise ValueError(f"training_data: {what} are no array of numbers: {error}") from None
    if array.dtype == object:
        raise ValueError(f"training_data: {what} are objects of several types; give numbers, or names of classes")
    return array


def _from_arrays(inputs: np.ndarray, targets: np.ndarray) -> Samples:
    values = np.issubdtype(targets.dtype, np.floating)
    if inputs.ndim not in (2, 3) or len(inputs) != len(targets) or targets.ndim not in ((1, 2) if values else (1,)):
        raise ValueError(
            f"training_data: readings {inputs.shape} and targets {targets.shape} do not fit; give (B, C) or (B, L, C), "
            f"and one target each"
        )
    if np.isinf(inputs).any() or np.isnan(inputs).all():
        raise ValueError("training_data: readings are infinite, or all are missing (NaN)")
    if values and not np.isfinite(targets).all():
        raise ValueError("training_data: targets have to be finite")
    length = inputs.shape[1] if inputs.ndim == 3 else 1
    if not values:
        targets = np.unique(targets, return_inverse=True)[1].astype(np.int64)
    return Samples(
        torch.from_numpy(inputs.reshape(-1, inputs.shape[-1]).copy()),
        torch.arange(len(inputs)) * length,
        length,
        torch.from_numpy(targets.astype(np.float32 if values else np.int64)),
        torch.ones(len(inputs), dtype=torch.int64),
    )
