"""What stands before every route: host, origin, token, size and patience; and who asked for what is noted."""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from itertools import count
from time import perf_counter, time
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.counters import Counters
from service.logs import Gathered
from service.problems import Problem, problem_response
from service.security.fields import fields_of
from service.security.limits import PREDICTIONS
from service.security.quotas import Quotas
from service.security.tokens import Token, Tokens
from service.settings import ServiceSettings

_audit = logging.getLogger("lehr.audit")
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[^:\[\]/@\s]+)(:[0-9]{1,5})?", re.IGNORECASE)


class Guard:
    """An ASGI app that lets a request through to another only if nothing speaks against it.

    limit_of: how many bytes a request to a path may bring. open_paths: what anybody gets, without a token.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        tokens: Tokens,
        counters: Counters,
        answered: Gathered,
        limit_of: Callable[[str], int],
        open_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._open_paths = open_paths
        self._hosts = settings.known_hosts
        self._app, self._settings, self._tokens, self._limit_of = app, settings, tokens, limit_of
        self._counters, self._answered, self._quotas = counters, answered, Quotas(settings.requests_per_minute)
        self._numbers = count(secrets.randbits(64))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["lehr.request_id"] = f"{next(self._numbers) % 2**64:016x}"
        noted = _Noted(scope, send, self._counters, self._answered)
        try:
            self._admit(scope)
        except Problem as problem:
            await problem_response(scope, problem.status_code, problem.detail, problem.headers)(
                scope, receive, noted.send
            )
        else:
            body = _Body(receive, self._limit_of(scope["path"]), self._settings.body_seconds)
            await self._app(scope, body.receive, noted.send)
        finally:
            noted.write()

    def _admit(self, scope: Scope) -> None:
        """Raise Problem where the request is not to be looked at."""
        fields = fields_of(scope)
        host = fields.get("host", "")
        named = _HOST.fullmatch(host)
        if named is None or named[1].strip("[]").lower() not in self._hosts:
            raise Problem(400, "the Host header names another service; LEHR_SERVE_HOSTS lists more names of this one")
        if scope["method"] == "GET" and scope["path"] in self._open_paths:
            return
        origin = fields.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Problem(403, "pages of other origins may not call this service")
        if fields.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Problem(403, "pages of other sites may not call this service")
        token = scope["lehr.token"] = self._token(fields)
        seconds = self._quotas.seconds_to_wait(token.name)
        if seconds:
            said = f"{token.name} may make {self._settings.requests_per_minute} requests a minute"
            raise Problem(429, said, {"Retry-After": str(seconds)})
        declared = fields.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self._limit_of(scope["path"]):
            raise Problem(413, _too_large(self._limit_of(scope["path"])))

    def _token(self, fields: Mapping[str, str]) -> Token:
        scheme, _, secret = fields.get("authorization", "").partition(" ")
        token = self._tokens.find(secret.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            said = "the bearer token is unknown, was revoked, or has expired" if secret else "a bearer token is needed"
            raise Problem(401, said, {"WWW-Authenticate": 'Bearer realm="lehr"'})
        return token


class _Body:
    """A request's body as it comes in, as long as it is no larger and no slower than allowed."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive, self._limit, self._seconds = receive, limit, seconds
        self._bytes, self._whole = 0, False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, f"nothing came for {self._seconds:g} seconds", {"Connection": "close"}) from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._limit:
            raise Problem(413, _too_large(self._limit), {"Connection": "close"})
        return message


class _Noted:
    """Passes an answer on, and writes down who asked, for what, and with which end."""

    def __init__(self, scope: Scope, send: Send, counters: Counters, answered: Gathered) -> None:
        self._scope, self._send, self._counters, self._answered = scope, send, counters, answered
        self._status, self._began = 0, perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._audit()
            identity = (b"x-request-id", self._scope["lehr.request_id"].encode())
            safety = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
            present = {name for name, _ in message["headers"]}
            added = [(name, value) for name, value in [identity, *safety] if name not in present]
            message = {**message, "headers": [*message["headers"], *added]}
        await self._send(message)

    def write(self) -> None:
        """Once the answer is whole."""
        if self._status == 0:
            self._audit()
        route = getattr(self._scope.get("route"), "path", None)
        self._counters.answered(self._scope["method"], route, self._status, perf_counter() - self._began)
        self._answered.note({"at": time(), **self._entry()})

    def _audit(self) -> None:
        """Before the answer leaves: what somebody was told of is written down. Predictions have receipts instead."""
        reads = self._scope["method"] in ("GET", "HEAD") or self._scope["path"].endswith(PREDICTIONS)
        if self._status in (401, 403) or not reads:
            _audit.info("refused" if self._status in (401, 403) else "done", extra=self._entry())

    def _entry(self) -> dict[str, Any]:
        scope, token = self._scope, self._scope.get("lehr.token")
        return {
            "request_id": scope["lehr.request_id"],
            "token": None if token is None else token.name,
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"][:500],
            "status": self._status,
            "milliseconds": round(1000 * (perf_counter() - self._began), 1),
        }


def _too_large(limit: int) -> str:
    return f"the request is larger than the {limit:,} bytes allowed here"
