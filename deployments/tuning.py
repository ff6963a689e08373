"""A pipeline's hyper-parameters: searched on what it learns from, shown in MLflow, put into its configuration."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import yaml
from pydantic import BaseModel

from deployments.line import Overrides
from deployments.pipeline_files import AnyPipelineConfig
from deployments.registry import Registry
from deployments.settings import Settings
from learning.search.defaults import space_of
from learning.search.earlier import earlier_points
from learning.search.finding import find
from learning.search.halving import Halving
from learning.search.results import Tuned
from learning.search.running import Workers
from learning.search.space import SearchSpace
from learning.search.study import Search
from learning.search.template import Keys, Template, check_space, put
from learning.search.trainings import Material, objectives_of
from monitoring.performance import LOWER_IS_BETTER
from monitoring.tuning_page import write_tuning_page


@dataclass(frozen=True)
class Budget:
    """trials: None as the pipeline file says. storage: a journal's path or a database's URL; None: under home."""

    trials: int | None = None
    minutes: float | None = None
    workers: Workers = 1
    storage: str | None = None


@dataclass(frozen=True)
class Tunable:
    """What is searched: what a pipeline may learn from, never what the gate holds out, and what its kind knows of it.

    usual: the space where the pipeline file names none.
    """

    config: AnyPipelineConfig
    material: Material[Any]
    keys: Keys[Any, Any]
    usual: Mapping[str, Any]

    @property
    def template(self) -> Template[Any, Any]:
        """The pipeline's own configuration."""
        config = self.config
        return Template(self.keys, config.model.model_dump(mode="json"), config.training.model_dump(mode="json"))


def tune(tunable: Tunable, settings: Settings, budget: Budget) -> dict[str, Any]:
    """Search as the pipeline's `tuning` says; returns plain JSON, which `monitoring.tuning_page` shows.

    The study lies under home/<pipeline>/tuning and begins with what the pipeline has and earlier studies of it found;
    the same again is answered from it. Raises ValueError for mistakes in the space and the budget, and for too little
    to search on.
    """
    began = perf_counter()
    config, template = tunable.config, tunable.template
    search = _search(tunable, template, settings, budget)
    tuned = find(search, tunable.material, template, config.tuning.finalists, budget.workers, budget.minutes)
    seconds = perf_counter() - began
    model, training = template.configs(dict(tuned.best.point))
    return {
        "pipeline": config.name,
        "task": config.task,
        "metric": config.metric,
        "rows": len(tunable.material),
        "seconds": seconds,
        **tuned.to_dict(),
        "changed": tuned.baseline is None or tuned.baseline.key != tuned.best.key,
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "snippet": snippet(template, tuned),
        "record": None,
    }


def overrides_of(found: Mapping[str, Any]) -> Overrides:
    """What makes the pipeline's configuration the one that was found."""
    return Overrides(model=found["model"], training=found["training"])


def snippet(template: Template[Any, Any], tuned: Tuned) -> str:
    """What to put into the pipeline file, so that later retrains learn so too."""
    point = dict(tuned.best.point)
    model, _ = template.configs(point)
    document: dict[str, Any] = {"model": {"architecture": model.architecture}}
    for name, value in point.items():
        put(document, template.keys.place(name), value)
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None)


def log_search(registry: Registry, found: Mapping[str, Any]) -> None:
    """The study as a run in MLflow, and below it one for each trial; a second time changes nothing."""
    best, tags = found["best"], {"lehr_study": found["study"]}
    parent = registry.log_candidate(_run_name(found), best["point"], best["values"], tags)
    for part, trials in (("", found["trials"]), ("finals-", found["finals"])):
        for trial in trials:
            values = {**(trial["values"] or {}), "epochs": float(trial["epochs"])}
            child = {**tags, "mlflow.parentRunId": parent, **({"error": trial["error"]} if trial["error"] else {})}
            registry.log_candidate(f"{found['study']}-{part}{trial['number']}", trial["point"], values, child)


def attach_page(registry: Registry, found: Mapping[str, Any]) -> str:
    """Keep the page with its plots with the study's run in MLflow, which was logged before; returns the run's id."""
    with TemporaryDirectory() as folder:
        page = Path(folder) / "tuning.html"
        write_tuning_page(found, page)
        return registry.attach(_run_name(found), page)


def _run_name(found: Mapping[str, Any]) -> str:
    return f"tune-{found['study']}"


def _search(tunable: Tunable, template: Template[Any, Any], settings: Settings, budget: Budget) -> Search:
    config, tuning = tunable.config, tunable.config.tuning
    space = space_of(tuning.space, tunable.usual, template)

    def fits(model: BaseModel, training: BaseModel) -> None:
        Overrides(model=model.model_dump(mode="json"), training=training.model_dump(mode="json")).apply(config)

    check_space(space, template, fits)
    objectives = objectives_of(tuning.objectives, score_is_loss=config.metric in LOWER_IS_BETTER)
    name = f"{config.name}-{_digest(tunable, template, space)}"
    folder = settings.home.resolve() / config.name / "tuning"
    place = folder / "studies.journal" if budget.storage is None else budget.storage
    own = template.part_of(space)
    earlier = earlier_points(place, config.name, name, space, objectives)
    return Search(
        name,
        space,
        objectives,
        config.training.epochs,
        place,
        folder / name,
        tuning.trials if budget.trials is None else budget.trials,
        tuning.sampler,
        Halving() if tuning.halving else None,
        tuple(([] if own is None else [own]) + earlier),
        config.training.seed,
        {"subject": config.name},
    )


def _digest(tunable: Tunable, template: Template[Any, Any], space: SearchSpace) -> str:
    """Another study for other material, another configuration or another space."""
    config = tunable.config
    tuning = config.tuning.model_dump(mode="json", exclude={"trials", "sampler", "finalists", "space"})
    same = [tuning, space.describe(), template.model, template.training, config.metric]
    hasher = hashlib.sha256(json.dumps(same).encode())
    for part in tunable.material.contents():
        hasher.update(part)
    return hasher.hexdigest()[:12]
