"""Validate: what is structurally or physically wrong goes to quarantine, with its reason."""

from data.landing import landed, stage
from data.quarantine import quarantine_batch, quarantine_rows
from data.readers import BadBatch, read_batch
from data.sources import Arrival
from data.suite import suite_for
from data.validation import suspect_sensors, validate
from deployments.labels import rows_beyond_labels
from deployments.line import Line
from deployments.outcomes import Batch, Validated
from tasks.show import show_validation
from tasks.step import step


@step("validate", Validated)
def validate_batch(line: Line, batch: Batch) -> Validated:
    """Read the batch against the declared schema and the suite; stage the rows that are sound."""
    validated = _validate(line, batch)
    show_validation(line, batch, validated)
    return validated


def _validate(line: Line, batch: Batch) -> Validated:
    arrival = landed(line.landing, batch.id, batch.name)
    try:
        frame = read_batch(arrival, line.schema)
    except BadBatch as bad:
        return _refused(line, arrival, bad.reason)
    suite = suite_for(line.suite_path, frame, line.schema)
    report = validate(frame, line.schema, suite, line.config.validation.max_quarantined_share, line.window_length)
    if report.refusal is not None:
        return _refused(line, arrival, report.refusal, frame.height)
    repeated = rows_beyond_labels(line, batch, frame)
    if len(repeated) > line.config.validation.max_quarantined_share * frame.height:
        reason = f"{len(repeated)} of {frame.height} rows: {next(iter(repeated.values()))}"
        return _refused(line, arrival, reason, frame.height)
    reasons = {**repeated, **report.reasons}
    if reasons:
        quarantine_rows(line.quarantine, batch.id, frame, reasons)
    sound = stage(line.landing, batch.id, frame, line.schema.group, reasons)
    warnings = tuple(finding.text for finding in report.findings)
    sensors = suspect_sensors(report, line.schema.features)
    return Validated(sound, len(reasons), None, warnings, sensors)


def _refused(line: Line, arrival: Arrival, reason: str, rows: int = 0) -> Validated:
    """The whole delivery goes to quarantine; rows: how many it had, where they could be read."""
    quarantine_batch(line.quarantine, arrival, reason)
    return Validated(0, rows, reason, ())
