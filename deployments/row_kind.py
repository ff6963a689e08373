"""Rows: classification and regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from data.inputs import read_inputs
from data.landing import landed, stage, staged
from data.quarantine import quarantine_batch, quarantine_rows
from data.readers import BadBatch, read_batch
from data.seals import seal_batch
from data.sources import Arrival
from data.splits import mark_rows
from data.suite import suite_for
from data.validation import suspect_sensors, validate
from deployments.candidates import make_candidate
from deployments.drafts import load_draft, save_draft
from deployments.exporting import export_after, export_again
from deployments.judging import judge_version
from deployments.labels import holds_labels, join_waiting, rows_beyond_labels
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch, Exported, Judged, Learned, Stored, Validated, Watched
from deployments.predicting import Predicted, predict
from deployments.promotion import smoke_test
from deployments.row_tuning import tunable_rows
from deployments.triaging import triage_stored
from deployments.tuning import Tunable
from deployments.watching import watch
from learning.callbacks import Followed, Listener
from monitoring.causes import Triage


@dataclass(frozen=True)
class RowKind:
    """What `deployments.kinds.Kind` says, of rows."""

    line: Line

    def brings_labels(self, arrival: Arrival) -> bool:
        return holds_labels(arrival, self.line.schema)

    def validate(self, batch: Batch) -> Validated:
        line, arrival = self.line, landed(self.line.landing, batch.id, batch.name)
        try:
            frame = read_batch(arrival, line.schema)
        except BadBatch as bad:
            return self._refused(arrival, bad.reason)
        suite = suite_for(line.suite_path, frame, line.schema)
        report = validate(frame, line.schema, suite, line.config.validation.max_quarantined_share, line.window_length)
        if report.refusal is not None:
            return self._refused(arrival, report.refusal, frame.height)
        repeated = rows_beyond_labels(line, batch, frame)
        if len(repeated) > line.config.validation.max_quarantined_share * frame.height:
            reason = f"{len(repeated)} of {frame.height} rows: {next(iter(repeated.values()))}"
            return self._refused(arrival, reason, frame.height)
        reasons = {**repeated, **report.reasons}
        if reasons:
            quarantine_rows(line.quarantine, batch.id, frame, reasons)
        sound = stage(line.landing, batch.id, frame, line.schema.group, reasons)
        warnings = tuple(finding.text for finding in report.findings)
        sensors = suspect_sensors(report, line.schema.features)
        return Validated(sound, len(reasons), None, warnings, sensors)

    def _refused(self, arrival: Arrival, reason: str, rows: int = 0) -> Validated:
        """The whole delivery goes to quarantine; rows: how many it had, where they could be read."""
        quarantine_batch(self.line.quarantine, arrival, reason)
        return Validated(0, rows, reason, ())

    def store(self, batch: Batch) -> Stored:
        line = self.line
        staged_rows, contradicted = join_waiting(line, batch, staged(line.landing, batch.id))
        rows = mark_rows(staged_rows, line.config.data, batch.number)
        version, split = line.store.append(batch.id, rows), rows["lehr_split"]
        seal = seal_batch(line.store.folder, version, rows)
        labelled = rows.height - rows[line.schema.target].null_count()
        rows_train, rows_holdout = int((split == "train").sum()), int((split == "holdout").sum())
        return Stored(version, rows_train, rows_holdout, seal, labelled, contradicted)

    def watch(self, batch: Batch) -> Watched:
        return watch(self.line, batch)

    def triage(self, batch: Batch, validated: Validated, watched: Watched) -> Triage:
        return triage_stored(self.line, batch, validated)

    def learn(self, batch: Batch, rung: Rung, callbacks: Sequence[Listener[Followed]]) -> Learned | None:
        made = make_candidate(self.line, batch, rung, callbacks)
        if made is None:
            return None
        candidate, classes = made
        save_draft(self.line.draft_folder(batch.number, rung), candidate, classes)
        return Learned(candidate.cost.samples, candidate.cost.seconds, candidate.notes)

    def export(self, batch: Batch, rung: Rung, parent: int | None) -> Exported:
        candidate, classes = load_draft(self.line.draft_folder(batch.number, rung))
        return export_after(self.line, batch, rung, candidate, classes, parent)

    def export_again(self, version: int) -> Exported:
        return export_again(self.line, version)

    def tunable(self, batch: Batch) -> Tunable:
        return tunable_rows(self.line, batch)

    def judge(self, batch: Batch, exported: Exported, wealth: float) -> Judged:
        return judge_version(self.line, batch, exported, wealth)

    def predict(self, arrival: Arrival, at: datetime) -> Predicted:
        inputs = read_inputs(arrival, self.line.schema, self.line.window_length)
        return predict(self.line, inputs, at, arrival.name, arrival.id)

    def smoke_test(self, version: int) -> None:
        smoke_test(self.line, version)
