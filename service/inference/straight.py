"""Predictions past the framework: finding a route and its dependencies takes longer than most networks do.

What is asked for by the documented routes of `service.inference.open_inference` is answered here, by the same function.
"""

import re
from types import SimpleNamespace

from starlette.types import ASGIApp, Receive, Scope, Send

from service.core import Core
from service.inference.open_inference import ROLE, Asking, answer
from service.inference.tensors import BINARY, HEAD_LENGTH
from service.problems import Problem, failure_response, problem_response
from service.security.access import check_roles
from service.security.fields import fields_of

_PATH = re.compile(r"/v2/models/(?P<name>[^/]{1,100})(/versions/(?P<version>[1-9][0-9]{0,8}))?/infer")
_ROUTE = SimpleNamespace(path="/v2/models/{name}/infer")
_VERSION_ROUTE = SimpleNamespace(path="/v2/models/{name}/versions/{version}/infer")
"""By which requests are counted."""


class Straight:
    """An ASGI app, behind the guard; what is not an ordinary request for predictions goes on to the other app."""

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
            answered = await answer(self._core, asked["name"], version, await _asking(scope, receive))
        except Problem as problem:
            response = problem_response(scope, problem.status_code, problem.detail, problem.headers)
        except Exception as error:  # noqa: BLE001  # as the framework does for its routes
            response = failure_response(scope, error)
        else:
            await _send(send, answered.content, answered.head_bytes)
            return
        await response(scope, receive, send)


async def _asking(scope: Scope, receive: Receive) -> Asking:
    """The request, once all of it has come."""
    fields, body, more = fields_of(scope), b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the client left before its request was whole")
        piece, more = message.get("body", b""), message.get("more_body", False)
        body = body + piece if body else piece
    return Asking(body, fields.get("content-encoding", "identity"), fields.get(HEAD_LENGTH.lower()))


async def _send(send: Send, content: bytes, head_bytes: int) -> None:
    kind = BINARY if head_bytes else "application/json"
    headers = [(b"content-length", str(len(content)).encode()), (b"content-type", kind.encode())]
    if head_bytes:
        headers.append((HEAD_LENGTH.lower().encode(), str(head_bytes).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
