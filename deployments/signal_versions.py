"""Versions of a network that represents signals, opened for scoring and for learning on.

Shapes: N signals, E numbers of an embedding.
"""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.signal_checks import signals_of
from data.signal_config import SignalSchema
from data.signals import Signals
from deployments.champions import lineage_number
from deployments.signal_export import SignalModel
from deployments.signal_line import SignalLine
from deployments.versions import load_version
from learning.representation import Represented
from monitoring.clusters import ClusterReference

_AT_ONCE = 256


@dataclass(frozen=True)
class SignalVersion:
    """A version's exported network, its card, the reference for drift, and the signals it remembers.

    reference: None where nothing could be made one.
    """

    number: int
    card: dict[str, Any]
    onnx: bytes
    model: SignalModel
    reference: ClusterReference
    memory: Signals

    @property
    def trained_through(self) -> int:
        """The number of the last batch that it learned from."""
        return self.card["trained_through"]


def signal_champion_of(line: SignalLine) -> SignalVersion | None:
    """The version in production; None before the first."""
    promotion = line.ledger.champion(line.name)
    return None if promotion is None else signal_version_of(line, promotion.version)


def signal_lineage_of(line: SignalLine) -> SignalVersion | None:
    """The version that learning goes on from; None before the first champion."""
    number = lineage_number(line)
    return None if number is None else signal_version_of(line, number)


def signal_version_of(line: SignalLine, number: int) -> SignalVersion:
    """A registered version; raises ValueError where one of its files is not what was registered."""
    return _open(line.version_folder(number), number, line.ledger.version_hash(line.name, number), line.schema)


def represent_with(model: SignalModel, signals: Signals) -> Represented:
    """Embeddings and positions of all signals by an exported file, signals of about one length together."""
    order_N = np.argsort(signals.lengths_N, kind="stable")
    embeddings: list[NDArray[np.float32]] = []
    positions: list[NDArray[np.float32]] = []
    for start in range(0, len(signals), _AT_ONCE):
        part = signals.take(order_N[start : start + _AT_ONCE])
        longest = int(part.lengths_N.max())
        found = model.represent(np.ascontiguousarray(part.values_NCT[:, :, :longest]), part.lengths_N)
        embeddings.append(found.embeddings_BE)
        positions.append(found.positions_BK)
    back_N = np.argsort(order_N, kind="stable")
    embeddings_NE, positions_NK = np.concatenate(embeddings)[back_N], np.concatenate(positions)[back_N]
    return Represented(embeddings_NE, dict(zip(model.keypoints, positions_NK.T, strict=True)))


@lru_cache(maxsize=4)
def _open(folder: Path, number: int, sha256: str, schema: SignalSchema) -> SignalVersion:
    files = load_version(folder, sha256)
    reference = ClusterReference.load(files.reference)
    memory = signals_of(files.memory, schema)
    return SignalVersion(number, files.card, files.onnx, SignalModel(files.onnx), reference, memory)


def parquet_of(frame: pl.DataFrame) -> bytes:
    """A frame as the bytes of a Parquet file."""
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
