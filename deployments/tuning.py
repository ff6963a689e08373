"""A pipeline's hyper-parameters: searched on its rows, shown in MLflow, and put into its configuration."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import yaml

from data.samples import Samples
from data.sources import iter_arrivals
from data.windows import classes_of, make_samples
from deployments.history import read_history
from deployments.line import Line, Overrides
from deployments.measuring import measure_exported
from deployments.outcomes import Batch
from deployments.pipeline import PipelineConfig
from deployments.registry import Registry
from deployments.setting_aside import sound_rows
from deployments.settings import Settings
from learning.search.defaults import DEFAULT_SPACES
from learning.search.earlier import earlier_points
from learning.search.finding import find
from learning.search.halving import Halving
from learning.search.parsing import parse_space
from learning.search.results import Tuned
from learning.search.running import Workers
from learning.search.space import Point
from learning.search.study import Search
from learning.search.trainings import Template, Trainings, check_space, hold_out, objectives_of
from monitoring.performance import LOWER_IS_BETTER, score
from monitoring.tuning_page import write_tuning_page


@dataclass(frozen=True)
class Budget:
    """trials: None as the pipeline file says. storage: a journal's path or a database's URL; None: under home."""

    trials: int | None = None
    minutes: float | None = None
    workers: Workers = 1
    storage: str | None = None


@dataclass(frozen=True)
class Rows:
    """What is searched on, and how many outputs the network has: training rows only, never what is held out."""

    samples: Samples
    outputs: int


def rows_of_line(line: Line, batch: Batch) -> Rows:
    """All that a pipeline may learn from up to a batch."""
    frame = sound_rows(line, range(1, batch.number + 1), split="train")
    classes = classes_of(frame, line.schema)
    return _checked(make_samples(frame, line.schema, line.window_length, classes), classes)


def rows_of_source(pipeline: Path, config: PipelineConfig, sources: Sequence[Path], batch_rows: int | None) -> Rows:
    """The training rows of the batches of a source, validated and split as the loop would."""
    history = read_history(pipeline, config, iter_arrivals(sources, batch_rows))
    everything = range(len(history))
    classes = history.classes(everything)
    return _checked(history.training_samples(everything, classes), classes)


def tune(config: PipelineConfig, rows: Rows, settings: Settings, budget: Budget) -> dict[str, Any]:
    """Search on the rows as the pipeline's `tuning` says; returns plain JSON, which `monitoring.tuning_page` shows.

    The study lies under home/<pipeline>/tuning and begins with what the pipeline has and earlier studies of it found;
    the same again is answered from it. Raises ValueError for mistakes in the space and the budget.
    """
    began = perf_counter()
    template = _template(config)
    search, trainings = _search(config, rows, template, settings, budget)
    own, finalists = template.part_of(search.space), config.tuning.finalists
    tuned = find(search, trainings, rows.samples, own, finalists, budget.workers, budget.minutes)
    seconds = perf_counter() - began
    model, training = template.configs(dict(tuned.best.point))
    return {
        "pipeline": config.name,
        "metric": config.metric,
        "rows": len(rows.samples),
        "seconds": seconds,
        **tuned.to_dict(),
        "changed": tuned.baseline is None or tuned.baseline.key != tuned.best.key,
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "snippet": snippet(config, tuned),
        "record": None,
    }


def overrides_of(found: Mapping[str, Any]) -> Overrides:
    """What makes the pipeline's configuration the one that was found."""
    return Overrides(model=found["model"], training=found["training"])


def snippet(config: PipelineConfig, tuned: Tuned) -> str:
    """What to put into the pipeline file, so that later retrains learn so too."""
    model, training = _template(config).configs(dict(tuned.best.point))
    bare = {name.rpartition(".")[2] for name in tuned.best.point}
    parts = {
        "model": {k: v for k, v in model.model_dump(mode="json").items() if k == "architecture" or k in bare},
        "training": {k: v for k, v in training.model_dump(mode="json").items() if k in bare},
    }
    return yaml.safe_dump({k: v for k, v in parts.items() if v}, sort_keys=False, default_flow_style=None)


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


def _search(
    config: PipelineConfig, rows: Rows, template: Template, settings: Settings, budget: Budget
) -> tuple[Search, Trainings]:
    tuning = config.tuning
    space = parse_space(DEFAULT_SPACES[config.model.architecture] if tuning.space is None else tuning.space)
    check_space(space, template)
    objectives = objectives_of(tuning.objectives, score_is_loss=config.metric in LOWER_IS_BETTER)
    name = f"{config.name}-{_digest(config, template, rows)}"
    folder = settings.home.resolve() / config.name / "tuning"
    place = folder / "studies.journal" if budget.storage is None else budget.storage
    own: Point | None = template.part_of(space)
    earlier = earlier_points(place, config.name, name, space, objectives)
    search = Search(
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
    train, held_out = hold_out(rows.samples, config.training.seed)
    trainings = Trainings(
        train,
        held_out,
        config.task,
        rows.outputs,
        template,
        tuple(tuning.objectives),
        partial(score, config.metric),
        measure_exported,
        search.folder,
        search.epochs,
    )
    return search, trainings


def _template(config: PipelineConfig) -> Template:
    return Template(config.model.model_dump(mode="json"), config.training.model_dump(mode="json"))


def _digest(config: PipelineConfig, template: Template, rows: Rows) -> str:
    """Another study for other rows, another configuration or another space."""
    tuning = config.tuning.model_dump(mode="json", exclude={"trials", "sampler", "finalists"})
    hasher = hashlib.sha256(json.dumps([tuning, template.model, template.training, config.metric]).encode())
    for tensor in (rows.samples.rows_NC, rows.samples.starts_B, rows.samples.targets_B):
        hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()[:12]


def _checked(samples: Samples, classes: Sequence[str] | None) -> Rows:
    if classes is not None and len(classes) < 2:
        raise ValueError("there is nothing to tune on: the training rows hold one class only")
    return Rows(samples, 1 if classes is None else len(classes))
