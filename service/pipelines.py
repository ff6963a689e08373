"""The pipelines that the service knows: by their files, or by what their newest version says."""

import json

from deployments.pipeline import PipelineConfig
from service.core import Core
from service.problems import Problem


def known_pipeline(core: Core, name: str) -> None:
    """Raise Problem 404 for a pipeline that neither the service nor the ledger knows."""
    if name not in core.pipelines and name not in core.ledger.pipelines():
        known = sorted({*core.pipelines, *core.ledger.pipelines()})
        raise Problem(404, f"there is no pipeline {name[:100]!r}; there are {', '.join(known) or 'none'}")


def config_of(core: Core, name: str) -> PipelineConfig:
    """A pipeline's configuration; raises Problem 404 where it is not known."""
    if name in core.pipelines:
        return PipelineConfig.load(core.pipelines[name])
    known_pipeline(core, name)
    versions = core.ledger.versions(name)
    if not versions:
        raise Problem(409, f"the pipeline {name} has no version yet, and the service was started without its file")
    card = core.settings.home / name / "versions" / str(versions[-1].version) / "card.json"
    return PipelineConfig.parse(json.loads(card.read_text(encoding="utf-8"))["config"], str(card))
