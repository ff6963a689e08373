"""Validate: what is structurally or physically wrong goes to quarantine, with its reason."""

from data.landing import landed, stage
from data.quarantine import quarantine_batch, quarantine_rows
from data.readers import BadBatch, read_batch
from data.suite import suite_for
from data.validation import validate
from deployments.line import Line
from deployments.outcomes import Batch, Validated
from tasks.step import step


@step("validate", Validated)
def validate_batch(line: Line, batch: Batch) -> Validated:
    """Read the batch against the declared schema and the suite; stage the rows that are sound."""
    arrival = landed(line.landing, batch.id, batch.name)
    try:
        frame = read_batch(arrival, line.schema)
        suite = suite_for(line.suite_path, frame, line.schema)
        report = validate(frame, line.schema, suite, line.config.validation.max_quarantined_share, line.window_length)
        refusal = report.refusal
    except BadBatch as bad:
        report, refusal = None, str(bad)
    if report is None or refusal is not None:
        quarantine_batch(line.quarantine, arrival, refusal)
        return Validated(0, 0, refusal, ())
    quarantine_rows(line.quarantine, batch.id, frame, report.reasons)
    sound = stage(line.landing, batch.id, frame, report.reasons)
    warnings = tuple(finding.text for finding in report.findings if finding.severity == "warning" and finding.failing)
    return Validated(sound, len(report.reasons), None, warnings)
