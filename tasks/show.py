"""Show: what a person sees of a batch on its run's page."""

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from deployments.line import AnyLine
from deployments.outcomes import Batch, Validated
from deployments.report import drift_markdown
from monitoring.drift import DriftReport


def artifact_key(what: str, name: str) -> str:
    """What an artifact is kept under: Prefect refuses the underscores that a pipeline's name may have."""
    return f"{what}-{name}".replace("_", "-")


def show_validation(line: AnyLine, batch: Batch, validated: Validated) -> None:
    """What validation let through, and why not the rest."""
    rows = [
        {"what": "rows accepted", "found": f"{validated.rows:,}"},
        {"what": "rows quarantined", "found": f"{validated.rows_quarantined:,}"},
        *({"what": "warning", "found": warning} for warning in validated.warnings),
        *([{"what": "refused", "found": validated.refusal}] if validated.refusal is not None else []),
    ]
    create_table_artifact(
        rows, key=artifact_key("validation", line.name), description=f"batch {batch.number}, {batch.name}"
    )


def show_drift(line: AnyLine, batch: Batch, drift: DriftReport) -> None:
    """Whether the batch drifted, by what, and what could not be seen."""
    create_markdown_artifact(drift_markdown(line.name, batch, drift), key=artifact_key("drift", line.name))


def link_run(line: AnyLine, run_id: str, version: int) -> None:
    """A link to the candidate's run in MLflow's pages, where they are up."""
    if line.registry.pages is not None:
        address = line.registry.run_address(run_id)
        create_link_artifact(address, f"version {version} in MLflow", key=artifact_key("mlflow", line.name))
