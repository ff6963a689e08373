"""The service as an ASGI app."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service import health
from service.access import check_every_route_is_guarded
from service.core import Core
from service.guard import Guard
from service.problems import ProblemDetails, handle_problems

VERSION = "1"


def create_app(core: Core) -> FastAPI:
    """The app; it starts and stops what it needs beside the requests with its lifespan."""
    app = FastAPI(title="lehr", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.core, app.state.end_streams = core, lambda: None
    for router in (health.router,):
        app.include_router(router)
    check_every_route_is_guarded(app)
    handle_problems(app)
    app.add_middleware(Guard, settings=core.service, tokens=core.tokens, limit_of=_limits(core))
    app.openapi = _with_problems(app)
    return app


def _limits(core: Core) -> Callable[[str], int]:
    return lambda path: core.service.max_body_bytes


def _with_problems(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document, in which invalid requests are answered as they are: with Problem Details."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**problem.pop("$defs"), "ProblemDetails": problem}
            app.openapi_schema = document
        return app.openapi_schema

    return openapi
