"""Receipts of predictions that are served: many answers make one record, written soon after they were given.

Shapes: B samples of one answer, N samples of a record, L window length, C features.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, overload

import numpy as np
import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from data.ledger import Ledger
from data.row_hashes import hash_readings, hash_whole_windows
from data.served_inputs import Answered, keep_inputs
from deployments.predicting import Asked, hash_of, keep_record, record_of
from deployments.signal_predicting import record_of_signals
from service.inference.batching import Array
from service.inference.served import AnyServed, Served
from service.inference.signals import AnsweredSignals, ServedSignals

_log = logging.getLogger("lehr.service")


@dataclass(frozen=True)
class AnsweredRows:
    """A request's samples, and what was answered."""

    inputs: Array
    outputs: Array

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass
class _Record:
    """What one version has answered since the last record was written; parts: of its kind alone."""

    served: AnyServed
    request: str
    at: datetime
    written: asyncio.Future[None]
    parts: list[Any] = field(default_factory=list[Any])
    samples: int = 0


class Recorder:
    """Writes a record for each version every so many seconds; used from one event loop.

    home, now: where lehr keeps its state, and the clock. inputs_share: of the samples whose readings are kept too.
    """

    def __init__(
        self, ledger: Ledger, home: Path, now: Callable[[], datetime], seconds: float, inputs_share: float = 1.0
    ) -> None:
        self._ledger, self._home, self._now, self._seconds = ledger, home, now, seconds
        self._inputs_share = inputs_share
        self._open: dict[tuple[str, int], _Record] = {}

    @overload
    def note(self, served: Served, part: AnsweredRows) -> tuple[str, asyncio.Future[None]]: ...
    @overload
    def note(self, served: ServedSignals, part: AnsweredSignals) -> tuple[str, asyncio.Future[None]]: ...
    def note(self, served: AnyServed, part: AnsweredRows | AnsweredSignals) -> tuple[str, asyncio.Future[None]]:
        """The id of the first sample's receipt, and what is done once it is on disk."""
        key = served.name, served.version
        record = self._open.get(key)
        if record is None:
            written = asyncio.get_running_loop().create_future()
            record = self._open[key] = _Record(served, secrets.token_hex(10), self._now(), written)
        first = record.samples + 1
        record.parts.append(part)
        record.samples += len(part)
        return f"{record.request}-{first}", record.written

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        try:
            while True:
                await asyncio.sleep(self._seconds)
                await self._write()
        finally:
            await self._write()

    async def _write(self) -> None:
        records, self._open = list(self._open.values()), {}
        for record in records:
            try:
                await asyncio.to_thread(self._keep, record)
                record.written.set_result(None)
            except (SQLAlchemyError, OSError, ValueError) as error:
                _log.exception("a record of predictions was lost", extra={"request": record.request})
                record.written.set_exception(error)
                record.written.exception()  # who asked for it hears of it; nobody else has to

    def _keep(self, record: _Record) -> None:
        served, folder = record.served, self._home / record.served.name
        if isinstance(served, Served):
            inputs = _joined([part.inputs for part in record.parts])
            sha256_N = [digest for part in inputs for digest in _hashes(part)]
            outputs = np.concatenate([part.outputs for part in record.parts])
            kept = record_of(np.arange(1, record.samples + 1), sha256_N, outputs, served.classes)
            answered = Answered(record.request, record.at, served.version, served.features, inputs)
            keep_inputs(folder, answered, self._inputs_share)
        else:
            sha256_N, kept = _of_signals(served, record.parts)
        name = f"/v2/models/{served.name}/infer"
        asked = Asked(served.name, record.at, served.version, served.sha256, name, hash_of(sha256_N))
        keep_record(self._ledger, folder, record.request, asked, kept)


def _of_signals(served: ServedSignals, parts: Sequence[AnsweredSignals]) -> tuple[list[bytes], pl.DataFrame]:
    """The hashes and the record of signals that were represented."""
    sha256_N = [digest for part in parts for digest in part.hashes()]
    embeddings_NE = np.concatenate([part.embeddings_BE for part in parts])
    positions_NK = np.concatenate([part.positions_BK for part in parts])
    return sha256_N, record_of_signals(sha256_N, embeddings_NE, positions_NK, served.model.keypoints)


def _joined(parts: Sequence[Array]) -> list[Array]:
    """Parts of one shape that follow one another as one: what each costs by itself is more than what is in it."""
    runs = groupby(parts, key=lambda part: part.shape[1:])
    return [np.concatenate(list(run)) for _, run in runs]


def _hashes(inputs: Array) -> list[bytes]:
    """Of each sample: of its row, or of its whole window, as windows that are sent one by one share no rows."""
    return hash_readings(inputs) if inputs.ndim == 2 else hash_whole_windows(inputs)
