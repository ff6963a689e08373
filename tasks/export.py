"""Export: a draft becomes a model version with an ONNX file."""

from deployments.drafts import load_draft
from deployments.exporting import export_after, export_version
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch, Exported
from deployments.rivalry import export_again
from tasks.lineage import trace_version
from tasks.step import step


@step("export", Exported)
def export_candidate(line: Line, batch: Batch, rung: Rung) -> Exported:
    """Write the version's folder, whole or not at all, and register it in the ledger."""
    candidate, classes = load_draft(line.draft_folder(batch.number, rung))
    exported = export_version(line, batch, rung, candidate, classes)
    trace_version(line, batch, exported)
    return exported


@step("export", Exported)
def export_from(line: Line, batch: Batch, rung: Rung, parent: int | None) -> Exported:
    """The same for a candidate that goes on from another version than the lineage's, or from none."""
    candidate, classes = load_draft(line.draft_folder(batch.number, rung))
    exported = export_after(line, batch, rung, candidate, classes, parent)
    trace_version(line, batch, exported)
    return exported


@step("export", Exported)
def export_shadow(line: Line, batch: Batch, rung: Rung, version: int) -> Exported:
    """A version of an earlier batch, whose file lies there already."""
    return export_again(line, version)
