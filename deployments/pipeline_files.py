"""Reading a pipeline file of any task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.documents import check_document, read_yaml
from deployments.pipeline import KIND_OF_FILE, PipelineConfig
from deployments.representation_pipeline import REPRESENTATION, RepresentationPipeline

AnyPipelineConfig = PipelineConfig | RepresentationPipeline


def load_pipeline(path: Path) -> AnyPipelineConfig:
    """Read a pipeline file; raises ValueError as `PipelineConfig.load` does."""
    return parse_pipeline(read_yaml(path), str(path))


def parse_pipeline(document: Mapping[str, Any], origin: str) -> AnyPipelineConfig:
    """Check a document that was read from `origin`, by the task that it names."""
    if document.get("task") == REPRESENTATION:
        return check_document(RepresentationPipeline, document, origin, KIND_OF_FILE)
    return PipelineConfig.parse(document, origin)
