"""The service as an ASGI app."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service import (
    acting,
    decisions,
    deliveries,
    epoch_training,
    federations,
    files,
    health,
    inference,
    live_page,
    metrics,
    retraining,
)
from service.access import check_every_route_is_guarded, open_paths
from service.core import Core
from service.guard import Guard
from service.limits import limits
from service.problems import ProblemDetails, handle_problems
from service.straight import Straight

VERSION = "1"
PARTS = (
    health,
    inference,
    files,
    deliveries,
    decisions,
    acting,
    epoch_training,
    retraining,
    federations,
    metrics,
    live_page,
)


def create_app(core: Core) -> FastAPI:
    """The app; it starts and stops what it needs beside the requests with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        loop = asyncio.get_running_loop()
        app.state.end_streams = lambda: loop.call_soon_threadsafe(core.feed.close)
        async with core.at_work():
            yield

    app = FastAPI(title="lehr", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.core, app.state.end_streams = core, lambda: None
    for part in PARTS:
        app.include_router(part.router)
    check_every_route_is_guarded(app)
    handle_problems(app)
    app.add_middleware(Straight, core=core)
    app.add_middleware(
        Guard,
        settings=core.service,
        tokens=core.tokens,
        counters=core.counters,
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
            for model in (ProblemDetails, *inference.REQUEST_MODELS):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
            app.openapi_schema = document
        return app.openapi_schema

    return openapi
