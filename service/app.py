"""The service as an ASGI app."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Receive, Scope, Send

from service import health, metrics
from service.core import Core
from service.federation import federations
from service.inference import open_inference
from service.inference.straight import Straight
from service.ingestion import deliveries, labels
from service.operating import acting, decisions, experiments, live_page
from service.problems import ProblemDetails, handle_problems
from service.retraining import job_routes
from service.security.access import check_every_route_is_guarded, open_paths
from service.security.guard import Guard
from service.security.limits import limits
from service.training import epoch_training, files

VERSION = "1"
PARTS = (
    health,
    open_inference,
    files,
    deliveries,
    labels,
    decisions,
    acting,
    experiments,
    epoch_training,
    job_routes,
    federations,
    metrics,
    live_page,
)


class _App(FastAPI):
    """The routes, with what stands before them: nothing reaches the framework that the guard does not let through."""

    front: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        await self.front(scope, receive, send)


def create_app(core: Core) -> FastAPI:
    """The app; it starts and stops what it needs beside the requests with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        loop = asyncio.get_running_loop()
        app.state.end_streams = lambda: loop.call_soon_threadsafe(core.feed.close)
        async with core.at_work():
            yield

    app = _App(title="lehr", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.core, app.state.end_streams = core, lambda: None
    for part in PARTS:
        app.include_router(part.router)
    check_every_route_is_guarded(app)
    handle_problems(app)
    app.front = Guard(
        Straight(super(_App, app).__call__, core),
        settings=core.service,
        tokens=core.tokens,
        counters=core.counters,
        answered=core.answered,
        limit_of=limits(core.service),
        open_paths=open_paths(app),
    )
    app.openapi = _with_problems(app)
    return app


def _with_problems(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document, in which invalid requests are answered as they are: with Problem Details."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for model in (ProblemDetails, *open_inference.REQUEST_MODELS, *labels.REQUEST_MODELS):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
            app.openapi_schema = document
        return app.openapi_schema

    return openapi
