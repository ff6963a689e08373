"""The deployments of a pipeline: one definition for `lehr up`, which serves them, and for `prefect.yaml`.

A definition is plain data and knows no Prefect. `lehr deploy` renders prefect.yaml from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from data.config import DataConfig
from deployments.announcements import ACCEPTED, DRIFT, DROPPED, LEARNING
from deployments.pipeline_files import AnyPipelineConfig, load_pipeline

POOL = "lehr"
TAG, LINE_TAG, REQUEST_TAG = "lehr", "lehr-line", "lehr-request"
"""On every deployment; on those that take what waits; on those that go on by their run key."""
REQUESTS = ("retrain", "promote-model", "tune-model")
LINES = ("learn-continuously", "watch-drift")
FLOWS: Mapping[str, str] = {
    "learn-continuously": "Takes what waits in the inbox through the whole loop.",
    "watch-drift": "Takes what waits as far as the watching; what is due starts a retrain.",
    "retrain": "Learns from what is stored, by hand or because something drifted.",
    "train-model": "Trains a network from nothing on what is stored; nothing goes live.",
    "tune-model": "Searches for better hyper-parameters on what is stored; its pick goes through the gate.",
    "promote-model": "Puts a registered version into production, through the gate.",
    "roll-back": "Puts an earlier version back into production.",
    "backtest-policy": "Says which trigger policy would have served best on what has come; nothing else changes.",
}
"""The flows that every pipeline is deployed with, each with what people are told about it."""
FLEET, JOB, FEDERATION = "learn-fleet", "train-job", "run-federation"
"""Those that are deployed once."""

Trigger = dict[str, Any]


@dataclass(frozen=True)
class Definition:
    """One deployment: a flow with a pipeline's parameters, and what starts it.

    cron, interval_seconds: its schedule; None: none. triggers: as prefect.yaml writes them.
    """

    flow: str
    name: str
    description: str
    parameters: dict[str, Any]
    cron: str | None = None
    interval_seconds: float | None = None
    triggers: tuple[Trigger, ...] = ()
    tags: tuple[str, ...] = field(default=())

    @property
    def entrypoint(self) -> str:
        """The flow's module and function."""
        return f"{module_of(self.flow)}.{self.flow.replace('-', '_')}"


def module_of(flow: str) -> str:
    """Where a flow lies."""
    return f"flows.{flow.replace('-', '_')}"


def pipeline_resource(name: str) -> str:
    """The id of a pipeline among Prefect's resources."""
    return f"lehr.pipeline.{name}"


def definitions(pipelines: Sequence[Path]) -> list[Definition]:
    """The deployments of all pipelines.

    Raises ValueError for a mistake in a pipeline file, and for two files with one pipeline's name.
    """
    configs = [(path, load_pipeline(path)) for path in pipelines]
    names = [config.name for _, config in configs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two pipeline files are named {', '.join(twice)}; a name stands for one pipeline")
    found = [_define(flow, path, config) for path, config in configs for flow in FLOWS]
    return [*found, _fleet(pipelines), _job(), _federation()]


def render(found: Sequence[Definition]) -> str:
    """The definitions as prefect.yaml, for a process work pool."""
    document = {
        "name": "lehr",
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $LEHR_ROOT }}"}}],
        "deployments": [_as_yaml(definition) for definition in found],
    }
    head = "# Written by `lehr deploy` from deployments/definitions.py and the pipeline files; do not edit.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)


def _define(flow: str, path: Path, config: AnyPipelineConfig) -> Definition:
    minutes = config.schedule.watch_minutes
    return Definition(
        flow=flow,
        name=config.name,
        description=f"{FLOWS[flow]}\n\nPipeline `{path}`: {config.task} of {_what(config)}.",
        parameters={"pipeline": str(path)},
        cron=config.schedule.learn if flow == "learn-continuously" else None,
        interval_seconds=60 * minutes if flow == "watch-drift" and minutes is not None else None,
        triggers=(_due_trigger(config.name),) if flow == "retrain" else (),
        tags=(TAG, *_recovered_by(flow), config.name),
    )


def _what(config: AnyPipelineConfig) -> str:
    data = config.data
    return f"`{data.target}`" if isinstance(data, DataConfig) else ", ".join(f"`{name}`" for name in data.signals)


def _fleet(pipelines: Sequence[Path]) -> Definition:
    return Definition(
        flow=FLEET,
        name="fleet",
        description="Takes what waits in the inboxes of all pipelines through the loop; one that fails stops no other.",
        parameters={"pipelines": [str(path) for path in pipelines]},
        tags=(TAG, LINE_TAG),
    )


def _job() -> Definition:
    said = "Trains for a retraining job of the service, where LEHR_SERVE_JOB_DEPLOYMENT names this deployment."
    return Definition(flow=JOB, name="job", description=said, parameters={}, tags=(TAG,))


def _federation() -> Definition:
    said = "Lets the nodes of a federation learn together; give the federation's file."
    return Definition(flow=FEDERATION, name="federation", description=said, parameters={}, tags=(TAG,))


def _recovered_by(flow: str) -> tuple[str, ...]:
    """The tag that says how a crashed run of this flow is followed up; none: a person decides."""
    return (LINE_TAG,) if flow in LINES else (REQUEST_TAG,) if flow in REQUESTS else ()


def _due_trigger(name: str) -> Trigger:
    """Starts from the one event of a batch that says that learning from it is due."""
    return {
        "type": "event",
        "name": f"lehr: retrain {name} when learning is due",
        "expect": [DRIFT, DROPPED, ACCEPTED],
        "match": {"prefect.resource.id": pipeline_resource(name), LEARNING: "due"},
        "for_each": ["prefect.resource.id"],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
        "parameters": {
            "reason": "{{ event.payload.reason }}",
            "run_key": "{{ event.payload.run_key | string }}",
        },
    }


def _as_yaml(definition: Definition) -> dict[str, Any]:
    schedules: list[dict[str, Any]] = []
    if definition.cron is not None:
        schedules.append({"cron": definition.cron})
    if definition.interval_seconds is not None:
        schedules.append({"interval": definition.interval_seconds})
    return {
        "name": definition.name,
        "entrypoint": definition.entrypoint,
        "description": definition.description,
        "tags": list(definition.tags),
        "parameters": definition.parameters,
        "schedules": schedules,
        "triggers": list(definition.triggers),
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "work_pool": {"name": POOL},
    }
