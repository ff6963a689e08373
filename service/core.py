"""What all routes of one service work with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from deployments.settings import Settings
from service.settings import ServiceSettings
from service.tokens import Tokens, parse_tokens, tokens_path


@dataclass(frozen=True)
class Core:
    """lehr's settings, the service's own, and the pipeline files that it was started with."""

    settings: Settings
    service: ServiceSettings
    pipelines: tuple[Path, ...]
    tokens: Tokens


def make_core(settings: Settings, service: ServiceSettings, pipelines: Sequence[Path] = ()) -> Core:
    """Put the parts together; raises ValueError where the tokens cannot be read."""
    given = service.tokens
    source = tokens_path(settings.home) if given is None else parse_tokens(given, "LEHR_SERVE_TOKENS")
    return Core(settings, service, tuple(pipelines), Tokens(source, now))


def now() -> datetime:
    """The service's clock."""
    return datetime.now(UTC)


def _core(request: Request) -> Core:
    return request.app.state.core


CoreOf = Annotated[Core, Depends(_core)]
"""A route's parameter of this type is the service's core."""
