"""Rows that a pipeline's hyper-parameters are searched on: training rows only, never what the gate holds out."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data.samples import Samples
from data.sources import iter_arrivals
from data.windows import classes_of, make_samples
from deployments.drafts import Classes
from deployments.history import read_history
from deployments.line import Line
from deployments.measuring import measure_exported
from deployments.outcomes import Batch
from deployments.pipeline import PipelineConfig
from deployments.setting_aside import sound_rows
from deployments.tuning import Tunable
from learning.search.defaults import DEFAULT_SPACES
from learning.search.row_material import ROW_KEYS, RowMaterial
from monitoring.performance import score


def tunable_rows(line: Line, batch: Batch) -> Tunable:
    """All that a pipeline may learn from up to a batch."""
    frame = sound_rows(line, range(1, batch.number + 1), split="train")
    classes = classes_of(frame, line.schema)
    return _tunable(line.config, make_samples(frame, line.schema, line.window_length, classes), classes)


def tunable_rows_of_source(
    pipeline: Path, config: PipelineConfig, sources: Sequence[Path], batch_rows: int | None
) -> Tunable:
    """The training rows of the batches of a source, validated and split as the loop would."""
    history = read_history(pipeline, config, iter_arrivals(sources, batch_rows))
    everything = range(len(history))
    classes = history.classes(everything)
    return _tunable(config, history.training_samples(everything, classes), classes)


def _tunable(config: PipelineConfig, samples: Samples, classes: Classes) -> Tunable:
    if classes is not None and len(classes) < 2:
        raise ValueError("there is nothing to tune on: the training rows hold one class only")
    outputs = 1 if classes is None else len(classes)
    material = RowMaterial(samples, config.task, outputs, partial(score, config.metric), measure_exported)
    return Tunable(config, material, ROW_KEYS, DEFAULT_SPACES[config.model.architecture])
