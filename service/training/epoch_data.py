"""From what a client asked for to a training's data, and back to where its model goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.config import Task
from data.guess import task_of_target
from data.sources import Arrival
from deployments.pipeline import PipelineConfig
from deployments.ranges import Range
from deployments.settings import Settings
from deployments.training import StoredData, read_given, read_stored
from service.training.epoch_config import (
    BatchesSource,
    EpochTraining,
    FeatureStoreSource,
    FileSource,
    config_for_file,
    output_file,
)
from service.training.sent_files import read


def read_data(settings: Settings, config: Mapping[str, Any]) -> StoredData:
    """The data of a run with this configuration; raises ValueError where there is nothing to learn from."""
    asked = EpochTraining.model_validate(config["request"])
    match asked.data_source:
        case FileSource(file_id=file_id):
            arrival = read(settings.home, file_id)
            return read_given(config_for_file(asked, _task(asked, arrival)), arrival)
        case BatchesSource(batch_ids=batch_ids):
            chosen = Range(batch_ids=batch_ids)
        case FeatureStoreSource(days=days, since=since, until=until):
            chosen = Range(days, since, until)
    return read_stored(PipelineConfig.parse(config["pipeline"], "the run's configuration"), settings, chosen)


def output_of(settings: Settings, run_id: str, config: Mapping[str, Any]) -> Path | None:
    """Where the model is to be put besides; raises ValueError for a path that leaves the exports' folder."""
    return output_file(settings.home / "exports", config["request"]["output_path"], run_id)


def _task(asked: EpochTraining, arrival: Arrival) -> Task:
    return asked.task or task_of_target(arrival, asked.target_column)
