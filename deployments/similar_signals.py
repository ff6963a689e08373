"""Signals of files, represented by a model file and looked up in an index of embeddings.

The index's folder holds the model file too, and what the pipeline's file says about columns, so that who searches later
needs to name neither.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from data.signal_config import SignalDataConfig
from data.signal_sources import read_signals
from data.signals import Signals
from deployments.line import open_ledger
from deployments.pipeline_files import load_pipeline
from deployments.representation_pipeline import REPRESENTATION, RepresentationPipeline
from deployments.settings import Settings
from deployments.signal_export import SignalModel
from deployments.signal_versions import represent_with
from deployments.versions import load_version
from monitoring.anomaly import fit_healthy
from monitoring.similarity import Floats, Neighbours, Search, SimilarityIndex, check_model, extend_index, open_index
from monitoring.similarity_files import MANIFEST, Embedded

MODEL, DATA = "model.onnx", "data.json"


@dataclass(frozen=True)
class RepresentedFile:
    """The signals of a file, each with its id, embedding and predicted keypoints; source: their SHA-256."""

    signals: Signals
    ids: tuple[str, ...]
    embeddings_NE: Floats
    positions: dict[str, Floats]
    source: str


@dataclass(frozen=True)
class Embedder:
    """A model file that represents signals; config: which columns of a file are what, where a pipeline says so."""

    onnx: bytes
    config: SignalDataConfig | None = None

    @property
    def sha256(self) -> str:
        """Of the model file."""
        return hashlib.sha256(self.onnx).hexdigest()

    def represent(self, file: Path, *, labelled: bool = True) -> RepresentedFile:
        """Embeddings and keypoints of a file's signals. Raises ValueError as `read_signals` and the model do."""
        signals, model = read_signals(file, self.config, labelled=labelled), SignalModel(self.onnx)
        found = represent_with(model, signals)
        return RepresentedFile(
            signals,
            tuple(f"{file}:{row}" for row in range(1, len(signals) + 1)),
            found.embeddings_NE,
            found.positions,
            _digest(signals),
        )


def open_embedder(model: Path, settings: Settings) -> Embedder:
    """The model of an ONNX file, or the champion of a pipeline file.

    Raises ValueError where the file is not there, or the pipeline has no champion.
    """
    if model.suffix in (".yaml", ".yml"):
        return _champion(model, settings)
    try:
        return Embedder(model.read_bytes())
    except OSError as error:
        raise ValueError(f"{model}: {error.strerror}; give a model.onnx, or a pipeline file for its champion") from None


def open_embedder_of(index: SimilarityIndex) -> Embedder:
    """The model that the index was made with; raises ValueError where its file was changed or taken away."""
    try:
        onnx, told = (index.folder / MODEL).read_bytes(), index.folder / DATA
        config = SignalDataConfig.model_validate_json(told.read_bytes()) if told.exists() else None
    except OSError as error:
        raise ValueError(f"{index.folder / MODEL}: {error.strerror}; name the model with --model") from None
    embedder = Embedder(onnx, config)
    check_model(index.manifest, embedder.sha256)
    return embedder


def index_files(files: Sequence[Path], folder: Path, embedder: Embedder) -> list[tuple[Path, int]]:
    """Add the signals of files to the index in a folder; how many of each were new.

    Raises ValueError as reading does, and where the index was made with another model.
    """
    added: list[tuple[Path, int]] = []
    config = embedder.config
    told = None if config is None else config.model_dump_json(exclude_unset=True).encode()
    for file in files:
        found = embedder.represent(file)
        signals = found.signals
        embedded = Embedded(
            found.embeddings_NE, found.ids, signals.element_ids_N, signals.session_ids_N, found.source
        )  # fmt: skip
        had = (folder / MANIFEST).exists() and open_index(folder).place_of(found.source) is not None
        extend_index(folder, embedder.sha256, embedded, {MODEL: embedder.onnx, DATA: told})
        added.append((file, 0 if had else len(signals)))
    return added


def nearest_named(search: Search, index: SimilarityIndex, found: RepresentedFile, k: int) -> pl.DataFrame:
    """The k nearest of each signal, itself left out where the index holds it, as a row each, nearest first.

    Columns: signal (from 1), element, session, id, distance.
    """
    near = _others(search, index, found, k)
    there_QK = near.places_QK >= 0  # an approximate search may find fewer
    asked_Q1 = np.arange(1, len(found.signals) + 1)[:, None]
    named = index.names(near.places_QK[there_QK]).select("element", "session", "id")
    asked = pl.Series("signal", np.broadcast_to(asked_Q1, there_QK.shape)[there_QK])
    return named.insert_column(0, asked).with_columns(distance=near.distances_QK[there_QK])


def with_anomalies(
    table: pl.DataFrame, search: Search, index: SimilarityIndex, healthy: RepresentedFile, k: int, false_alarms: float
) -> pl.DataFrame:
    """The table of `nearest_named` with how far each signal lies from an index of healthy ones, and whether too far.

    healthy: other healthy signals, exchangeable with those to come, that the threshold is calibrated on. Columns:
    anomaly, the distance to the k-th nearest (infinite where fewer were found), and alarm. Raises ValueError for
    healthy signals that the index holds, and as `fit_healthy` does.
    """
    if index.place_of(healthy.source) is not None:
        raise ValueError("the healthy signals to calibrate on are in the index, and so too near; name others")
    reference = fit_healthy(search, healthy.embeddings_NE, false_alarms, k)
    furthest, found = pl.col("distance").max().over("signal"), pl.len().over("signal")
    scored = table.with_columns(anomaly=pl.when(found == k).then(furthest).otherwise(float("inf")))
    return scored.with_columns(alarm=pl.col("anomaly") > reference.threshold)


def _others(search: Search, index: SimilarityIndex, found: RepresentedFile, k: int) -> Neighbours:
    own = index.place_of(found.source)
    if own is None:
        return search.nearest(found.embeddings_NE, k)
    near = search.nearest(found.embeddings_NE, k + 1)
    itself_QK = near.places_QK == own + np.arange(len(found.signals))[:, None]
    return near.take(np.argsort(itself_QK, axis=1, kind="stable")[:, : min(k, len(index) - 1)])


def _champion(pipeline: Path, settings: Settings) -> Embedder:
    config, ledger = load_pipeline(pipeline), open_ledger(settings)
    if not isinstance(config, RepresentationPipeline):
        raise ValueError(f"{pipeline}: task: {config.task} has no embeddings; allowed is task: {REPRESENTATION}")
    promotion = ledger.champion(config.name)
    if promotion is None:
        raise ValueError(f"the pipeline {config.name} has no version in production yet: lehr run {pipeline} --source …")
    folder = settings.home / config.name / "versions" / str(promotion.version)
    onnx = load_version(folder, ledger.version_hash(config.name, promotion.version)).onnx
    return Embedder(onnx, config.data)


def _digest(signals: Signals) -> str:
    digest = hashlib.sha256(str(signals.values_NCT.shape).encode())
    for array in (signals.values_NCT, signals.lengths_N, signals.element_ids_N, signals.session_ids_N):
        digest.update(array.tobytes())
    return digest.hexdigest()
