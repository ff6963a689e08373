"""Signals: representation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from data.bad_batch import BadBatch
from data.landing import landed, stage, staged
from data.quarantine import quarantine_batch, quarantine_rows
from data.seals import seal_batch
from data.signal_files import read_signal_batch
from data.signal_splits import mark_signals
from data.signal_suite import validate_signals
from data.sources import Arrival
from deployments.ladder import Rung
from deployments.outcomes import Batch, Exported, Judged, Learned, Stored, Validated, Watched
from deployments.predicting import Predicted
from deployments.promotion import SmokeTestError
from deployments.signal_export import SignalModel
from deployments.signal_judging import judge_signals
from deployments.signal_learning import export_signal_draft, export_signals_again, make_signal_draft
from deployments.signal_line import SignalLine
from deployments.signal_predicting import predict_signals
from deployments.signal_triaging import triage_stored_signals
from deployments.signal_tuning import tunable_signals
from deployments.signal_versions import signal_version_of
from deployments.signal_watching import watch_signals
from deployments.tuning import Tunable
from learning.callbacks import Followed, Listener
from monitoring.causes import Triage


@dataclass(frozen=True)
class SignalKind:
    """What `deployments.kinds.Kind` says, of signals."""

    line: SignalLine

    def brings_labels(self, arrival: Arrival) -> bool:
        return False  # keypoints come with their signal

    def validate(self, batch: Batch) -> Validated:
        line, arrival = self.line, landed(self.line.landing, batch.id, batch.name)
        try:
            frame, schema = read_signal_batch(arrival, line.config.data)
        except BadBatch as bad:
            return self._refused(arrival, bad.reason)
        if len(schema.channels) != len(line.schema.channels):
            reason = f"signals of {len(schema.channels)} channels; those before have {len(line.schema.channels)}"
            return self._refused(arrival, reason, frame.height)
        share = line.config.validation.max_quarantined_share
        report = validate_signals(frame, line.schema, line.config.data, line.suite_path, share)
        if report.refusal is not None:
            return self._refused(arrival, report.refusal, frame.height)
        if report.reasons:
            quarantine_rows(line.quarantine, batch.id, frame, report.reasons)
        sound = stage(line.landing, batch.id, frame, None, report.reasons)
        return Validated(sound, len(report.reasons), None, report.warnings)

    def _refused(self, arrival: Arrival, reason: str, signals: int = 0) -> Validated:
        quarantine_batch(self.line.quarantine, arrival, reason)
        return Validated(0, signals, reason, ())

    def store(self, batch: Batch) -> Stored:
        line = self.line
        rows = mark_signals(staged(line.landing, batch.id), line.schema, line.config.data.holdout, batch.number)
        version, held_out = line.store.append(batch.id, rows), int((rows["lehr_split"] == "holdout").sum())
        seal = seal_batch(line.store.folder, version, rows)
        return Stored(version, rows.height - held_out, held_out, seal, rows.height)

    def watch(self, batch: Batch) -> Watched:
        return watch_signals(self.line, batch)

    def triage(self, batch: Batch, validated: Validated, watched: Watched) -> Triage:
        return triage_stored_signals(self.line, batch, watched)

    def learn(self, batch: Batch, rung: Rung, callbacks: Sequence[Listener[Followed]]) -> Learned | None:
        return make_signal_draft(self.line, batch, rung, callbacks)

    def export(self, batch: Batch, rung: Rung, parent: int | None) -> Exported:
        return export_signal_draft(self.line, batch, rung, parent)

    def export_again(self, version: int) -> Exported:
        return export_signals_again(self.line, version)

    def tunable(self, batch: Batch) -> Tunable:
        return tunable_signals(self.line, batch)

    def judge(self, batch: Batch, exported: Exported, wealth: float) -> Judged:
        return judge_signals(self.line, batch, exported, wealth)

    def predict(self, arrival: Arrival, at: datetime) -> Predicted:
        return predict_signals(self.line, arrival, at)

    def smoke_test(self, version: int) -> None:
        line, own = self.line, signal_version_of(self.line, version)
        signal = np.zeros((1, own.model.channels, line.config.data.samples.min), np.float32)
        try:
            served = SignalModel(line.registry.champion_file()).represent(signal)
        except Exception as error:
            raise SmokeTestError(f"version {version} does not load through the alias: {error}") from error
        expected = own.model.represent(signal)
        answers = [(served.embeddings_BE, expected.embeddings_BE), (served.positions_BK, expected.positions_BK)]
        if not all(
            np.isfinite(a).all() and np.allclose(a, b, atol=line.config.gate.max_parity_error) for a, b in answers
        ):
            raise SmokeTestError(f"version {version} represents a signal otherwise through the alias than by itself")
