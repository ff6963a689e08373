"""Signals that a pipeline's hyper-parameters are searched on: those it learns from, never what the gate holds out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from data.bad_batch import BadBatch
from data.landing import sound_rows
from data.signal_checks import signals_of
from data.signal_files import read_signal_batch
from data.signal_splits import mark_signals
from data.signal_suite import validate_signals
from data.signals import Signals
from data.sources import Arrival, iter_arrivals
from deployments.line import suite_path_of
from deployments.measuring import measure_exported_signals
from deployments.outcomes import Batch
from deployments.representation_pipeline import RepresentationPipeline
from deployments.signal_learning import stored_signals
from deployments.signal_line import SignalLine, first_signal_schema
from deployments.tuning import Tunable
from learning.search.defaults import signal_space
from learning.search.signal_material import SIGNAL_KEYS, SignalMaterial
from monitoring.representation import SignalScore


def tunable_signals(line: SignalLine, batch: Batch) -> Tunable:
    """All that a pipeline may learn from up to a batch."""
    signals = stored_signals(line, range(1, batch.number + 1), "train")
    if signals is None:
        raise ValueError("there is nothing to tune on: no signal is stored that may be learned from")
    return _tunable(line.config, signals)


def tunable_signals_of_source(
    pipeline: Path, config: RepresentationPipeline, sources: Sequence[Path], batch_rows: int | None
) -> Tunable:
    """The training signals of the batches of a source, validated and split as the loop would; no suite is saved.

    Raises ValueError where nothing in it is sound.
    """
    arrivals = {arrival.id: arrival for arrival in iter_arrivals(sources, batch_rows)}.values()
    schema, suite = first_signal_schema(config, arrivals), suite_path_of(config.validation, pipeline)
    with TemporaryDirectory() as folder:
        frame = _sound(config, arrivals, suite if suite.exists() else Path(folder) / suite.name)
    learned = frame.filter(pl.col("lehr_split") == "train")
    if learned.is_empty():
        raise ValueError(f"there is nothing to tune on: of {frame.height} sound signals all are held out")
    return _tunable(config, signals_of(learned, schema).weighed(config.data.weights))


def _sound(config: RepresentationPipeline, arrivals: Iterable[Arrival], suite: Path) -> pl.DataFrame:
    """The signals of all batches that are not refused, with the part that each plays."""
    schema, share = first_signal_schema(config, arrivals), config.validation.max_quarantined_share
    kept: list[pl.DataFrame] = []
    for number, arrival in enumerate(arrivals, start=1):
        try:
            frame, found = read_signal_batch(arrival, config.data)
        except BadBatch:
            continue
        if found.channels != schema.channels:
            continue
        report = validate_signals(frame, schema, config.data, suite, share)
        if report.refusal is None:
            rows = sound_rows(frame, None, report.reasons)
            kept.append(mark_signals(rows, schema, config.data.holdout, number))
    if not kept:
        raise ValueError("there is nothing to tune on: every batch of the source was refused")
    return pl.concat(kept)


def _tunable(config: RepresentationPipeline, signals: Signals) -> Tunable:
    gate = config.gate
    score = SignalScore(config.metric, gate.within, None if gate.judges is None else tuple(gate.judges))
    material = SignalMaterial(signals, config.data.holdout.by, score, measure_exported_signals)
    return Tunable(config, material, SIGNAL_KEYS, signal_space(bool(config.data.keypoints)))
