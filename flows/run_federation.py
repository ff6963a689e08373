"""Nodes that learn together, in one process: a task for each node and round."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from deployments.federation import federate
from deployments.settings import Settings
from tasks.federation import ask_by_tasks


def _run_name() -> str:
    return f"federate {Path(flow_run.parameters['federation']).stem}"


@flow(name="run-federation", flow_run_name=_run_name)
def run_federation(federation: str, home: str | None = None) -> dict[str, Any]:
    """Let the nodes of a federation learn together: all of them the first time, later those whose process has moved.

    Args:
        federation: the federation's file, which names its nodes and their sources.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    return federate(Path(federation), settings, ask_by_tasks)
