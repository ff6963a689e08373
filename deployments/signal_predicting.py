"""Representations with receipts: what the champion makes of signals, recorded so that each can be explained.

Shapes: N signals, K keypoints, E numbers of an embedding.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.inputs import ROW
from data.row_hashes import hash_signal
from data.signal_checks import signals_of
from data.signal_config import SignalDataConfig
from data.signal_files import read_signal_inputs
from data.signals import Signals
from data.sources import Arrival
from deployments.predicting import Asked, Predicted, keep_record
from deployments.signal_line import SignalLine
from deployments.signal_versions import represent_with, signal_champion_of

Floats = NDArray[np.float32]

EMBEDDING, POSITION = "embedding", "position."
"""What is answered of a signal: its embedding, and where each keypoint lies, as `position.NAME`."""


def predict_signals(line: SignalLine, arrival: Arrival, at: datetime) -> Predicted:
    """Represent every signal of a file with the champion of this moment; the request is recorded as one over rows is.

    The frame has `row`, the ids that the file gives, a position of each keypoint, the embedding, and `prediction_id`.
    Raises ValueError where nothing is in production, for what is no signal, and for signals of other channels.
    """
    version = signal_champion_of(line)
    if version is None:
        raise ValueError(f"{line.name} has nothing in production yet: lehr run it first")
    frame, schema = read_signal_inputs(arrival, line.config.data)
    if len(schema.channels) != version.model.channels:
        said = f"signals of {len(schema.channels)} channels; those before have {version.model.channels}"
        raise ValueError(f"{arrival.name}: {said}")
    signals = signals_of(frame, schema)
    found = represent_with(version.model, signals)
    positions_NK = np.stack([*found.positions.values()], 1) if found.positions else np.empty((len(signals), 0))
    record = record_of_signals(
        hash_signals(signals), found.embeddings_NE, positions_NK.astype(np.float32), version.model.keypoints
    )
    version_sha256 = line.ledger.version_hash(line.name, version.number)
    origin = json.dumps([line.name, version_sha256, arrival.name, arrival.id, at.isoformat()])
    request = hashlib.sha256(origin.encode()).hexdigest()[:20]
    asked = Asked(line.name, at, version.number, version_sha256, arrival.name, arrival.id)
    keep_record(line.ledger, line.folder, request, asked, record)
    given = frame.select(name for name in (schema.element, schema.session) if (frame[name] != "").any())
    ids = pl.format("{}-{}", pl.lit(request), ROW).alias("prediction_id")
    answers = pl.concat([record.drop("row_sha256"), given], how="horizontal").with_columns(ids)
    return Predicted(request, version.number, answers.select(ROW, *given.columns, pl.exclude(ROW, *given.columns)))


def record_of_signals(
    sha256_N: Sequence[bytes], embeddings_NE: Floats, positions_NK: Floats, keypoints: Sequence[str]
) -> pl.DataFrame:
    """What is kept of each answer: its row, the hash of the signal that was read, positions in samples, embedding."""
    rows = pl.Series(ROW, np.arange(1, len(sha256_N) + 1), pl.UInt32)
    hashes = pl.Series("row_sha256", list(sha256_N), pl.Binary)
    positions = [
        pl.Series(f"{POSITION}{name}", positions_N, pl.Float32)
        for name, positions_N in zip(keypoints, positions_NK.T, strict=True)
    ]
    embeddings = pl.Series(EMBEDDING, embeddings_NE, pl.Array(pl.Float32, embeddings_NE.shape[1]))
    return pl.DataFrame([rows, hashes, *positions, embeddings.cast(pl.List(pl.Float32))])


def hash_signals(signals: Signals) -> list[bytes]:
    """The hash of each signal, without its padding."""
    return [hash_signal(signals.signal(place)) for place in range(len(signals))]


def hash_given_signals(given: Arrival, config: SignalDataConfig) -> list[bytes]:
    """The hashes of a file's signals; raises ValueError as `predict_signals` does."""
    return hash_signals(signals_of(*read_signal_inputs(given, config)))
