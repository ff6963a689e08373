"""Export: a draft becomes a model version with an ONNX file."""

from deployments.champions import lineage_number
from deployments.kinds import kind_of
from deployments.ladder import Rung
from deployments.line import AnyLine
from deployments.outcomes import Batch, Exported
from tasks.lineage import trace_version
from tasks.step import step


@step("export", Exported)
def export_candidate(line: AnyLine, batch: Batch, rung: Rung) -> Exported:
    """Write the version's folder, whole or not at all, and register it in the ledger as one of the lineage."""
    exported = kind_of(line).export(batch, rung, lineage_number(line))
    trace_version(line, batch, exported)
    return exported


@step("export", Exported)
def export_from(line: AnyLine, batch: Batch, rung: Rung, parent: int | None) -> Exported:
    """The same for a candidate that goes on from another version than the lineage's, or from none."""
    exported = kind_of(line).export(batch, rung, parent)
    trace_version(line, batch, exported)
    return exported


@step("export", Exported)
def export_shadow(line: AnyLine, batch: Batch, rung: Rung, version: int) -> Exported:
    """A version of an earlier batch, whose file lies there already."""
    return kind_of(line).export_again(version)
