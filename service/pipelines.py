"""The pipelines that the service knows: by their files, or by what their newest version says."""

import json

from deployments.pipeline import PipelineConfig
from deployments.pipeline_files import AnyPipelineConfig, load_pipeline, parse_pipeline
from service.core import Core
from service.problems import Problem


def known_pipeline(core: Core, name: str) -> None:
    """Raise Problem 404 for a pipeline that neither the service nor the ledger knows."""
    if name not in core.pipelines and name not in core.ledger.pipelines():
        known = sorted({*core.pipelines, *core.ledger.pipelines()})
        raise Problem(404, f"there is no pipeline {name[:100]!r}; there are {', '.join(known) or 'none'}")


def rows_config_of(core: Core, name: str) -> PipelineConfig:
    """The configuration of a pipeline over rows; raises Problem 404 where it is not known, 409 for one over signals."""
    config = config_of(core, name)
    if not isinstance(config, PipelineConfig):
        raise Problem(409, f"the pipeline {name} represents signals; what was asked works on rows")
    return config


def config_of(core: Core, name: str) -> AnyPipelineConfig:
    """A pipeline's configuration; raises Problem 404 where it is not known."""
    if name in core.pipelines:
        return load_pipeline(core.pipelines[name])
    known_pipeline(core, name)
    versions = core.ledger.versions(name)
    if not versions:
        raise Problem(409, f"the pipeline {name} has no version yet, and the service was started without its file")
    card = core.settings.home / name / "versions" / str(versions[-1].version) / "card.json"
    return parse_pipeline(json.loads(card.read_text(encoding="utf-8"))["config"], str(card))
