"""Predictions past the framework: finding a route and its dependencies takes longer than most networks do.

What is asked for by the documented routes of `service.inference` is answered here, by the same function.
"""

import re
from types import SimpleNamespace

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import check_roles
from service.core import Core
from service.inference import ROLE, answer
from service.problems import Problem, problem_response

_PATH = re.compile(r"/v2/models/(?P<name>[^/]{1,100})(/versions/(?P<version>[1-9][0-9]{0,8}))?/infer")
_ROUTE = SimpleNamespace(path="/v2/models/{name}/infer")
_VERSION_ROUTE = SimpleNamespace(path="/v2/models/{name}/versions/{version}/infer")
"""By which requests are counted."""


class Straight:
    """ASGI middleware, behind the guard; what is not an ordinary request for predictions goes on to the app."""

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app, self._core = app, core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        version = None if asked["version"] is None else int(asked["version"])
        scope["route"] = _ROUTE if version is None else _VERSION_ROUTE
        try:
            check_roles(scope, (ROLE,))
            response = await answer(self._core, asked["name"], version, Request(scope, receive))
        except Problem as problem:
            response = problem_response(scope, problem.status_code, problem.detail, problem.headers)
        await response(scope, receive, send)
