"""Which pipeline a client's retraining job is for: a served one, one of a site's, or one that comes with the job."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile

from data.documents import parse_yaml
from data.schema import resolve_schema
from deployments.line import stored_schema, suite_path_of
from deployments.pipeline import PipelineConfig
from service.core import Core
from service.problems import Problem
from service.retraining.job_config import OWN_FILE

SITE, NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), re.compile(r"[a-z0-9][a-z0-9_-]*")
BETWEEN = "--"
"""Between a pipeline's name and a site's: no site and no pipeline that comes with a job holds it."""
LONGEST_CONFIG, LONGEST_NAME = 16_384, 60
RESERVED = ("epoch-training", "exports", "files", "idempotency", "logs", "mlflow", "prefect", "retraining")
"""What else lies in a home beside the pipelines' folders."""


@dataclass(frozen=True)
class Wanted:
    """The pipeline that a form names; base and document as in `JobConfig`."""

    config: PipelineConfig
    base: str | None
    site: str | None
    document: dict[str, Any] | None


def read_wanted(core: Core, form: FormData) -> Wanted:
    """Which pipeline learns; raises Problem where the form does not say so, or says what cannot be."""
    base, text, site = (_text(form, name) for name in ("pipeline", "config", "site"))
    if (base is None) == (text is None):
        raise Problem(422, "name a pipeline, or send the configuration of one as config: one of the two")
    if site is not None and (len(site) > LONGEST_NAME or SITE.fullmatch(site) is None):
        raise Problem(422, f"site: {site[:100]!r} is no name; it has lower-case letters, digits and single dashes")
    config = _served(core, base) if base is not None else _inline(core, text or "")
    if site is None and base in core.pipelines:
        return Wanted(config=config, base=base, site=None, document=None)
    config = config if site is None else _of_site(core, config, base, site)
    return Wanted(config=config, base=base, site=site, document=_document(config))


def check_columns(core: Core, config: PipelineConfig, columns: list[str]) -> None:
    """Raise Problem where the pipeline cannot read a file with these columns."""
    if core.ledger.champion(config.name) is not None:
        try:
            wanted = stored_schema(config, core.ledger).columns
        except ValueError as error:
            raise Problem(409, str(error)) from None
        if absent := [column for column in wanted if column not in columns]:
            raise Problem(422, f"file: there is no column {absent[0]!r}; {config.name} reads {', '.join(wanted)}")
        return
    try:
        resolve_schema(config.data, config.task, columns)
    except ValueError as error:
        raise Problem(422, f"file: {error}") from None


def _served(core: Core, name: str) -> PipelineConfig:
    path = core.pipelines.get(name, core.settings.home / name / OWN_FILE)
    if NAME.fullmatch(name) is None or not path.is_file():
        raise Problem(404, f"there is no pipeline {name[:100]!r}; there are {', '.join(core.pipelines) or 'none'}")
    try:
        return PipelineConfig.load(path)
    except ValueError as error:
        raise Problem(409, str(error)) from None


def _inline(core: Core, text: str) -> PipelineConfig:
    """A configuration that came with the request: it may name no file of this machine, and no pipeline of others."""
    if len(text) > LONGEST_CONFIG:
        raise Problem(413, f"config: it is longer than the {LONGEST_CONFIG:,} characters allowed here")
    try:
        config = PipelineConfig.parse(parse_yaml(text, "config"), "config")
    except ValueError as error:
        raise Problem(422, str(error)) from None
    if config.validation.suite != "auto" or config.schedule.inbox is not None:
        raise Problem(422, "config: validation.suite and schedule.inbox may not name files of this machine")
    if BETWEEN in config.name or config.name in RESERVED or len(config.name) > LONGEST_NAME:
        raise Problem(422, f"config.name: {config.name[:100]!r} cannot be taken; choose another, without {BETWEEN}")
    folder = core.settings.home / config.name
    if config.name in core.pipelines or (folder.exists() and not (folder / OWN_FILE).is_file()):
        raise Problem(409, f"config.name: there is a pipeline {config.name} already; send pipeline={config.name}")
    return config


def _of_site(core: Core, config: PipelineConfig, base: str | None, site: str) -> PipelineConfig:
    """The same pipeline for one site, under a name of its own: what else it has follows from that."""
    name = f"{config.name}{BETWEEN}{site}"
    if BETWEEN in config.name or name in core.pipelines:
        raise Problem(409, f"{name} is a pipeline of its own, and cannot be a site's")
    validation = config.validation
    if validation.suite != "auto" and base is not None:
        suite = str(suite_path_of(config.validation, core.pipelines[base]).resolve())
        validation = validation.model_copy(update={"suite": suite})
    schedule = config.schedule.model_copy(update={"inbox": None})
    changes = {"name": name, "validation": validation, "schedule": schedule}
    return PipelineConfig.model_validate(config.model_copy(update=changes).model_dump(mode="json"))


def _document(config: PipelineConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def _text(form: FormData, name: str) -> str | None:
    """A field; left empty it is not there."""
    value = form.get(name)
    if isinstance(value, UploadFile):
        raise Problem(422, f"{name}: send it as a field of the form, not as a file")
    return value or None
