"""Every error as Problem Details (RFC 9457): what is wrong, where, and what is allowed."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
LONGEST_TEXT = 500

_log = logging.getLogger("lehr.service")


class FieldError(BaseModel):
    """One mistake in a request."""

    field: str = Field(examples=["body.epochs"])
    message: str = Field(examples=["input should be greater than or equal to 1"])


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(default="about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no training run epoch_training_20260101_120000"])
    instance: str = Field(examples=["/api/v1/epoch-training/progress/epoch_training_20260101_120000"])
    request_id: str = Field(examples=["5c1f0e9a0d3b4f5e"], description="by which the service's logs know the request")
    errors: list[FieldError] | None = Field(default=None, description="each mistake, where there are several")


class Problem(HTTPException):
    """What a client is told instead of an answer."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers or {}))


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that may end in one of these, besides those that every route shares."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    shared = (400, 401, 403, 408, 413, 429, 500)
    return {status: {"description": _phrase(status), "content": content} for status in (*shared, *statuses)}


def problem_response(
    scope: Scope, status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Any = None
) -> Response:
    """The answer that tells of a problem."""
    details = ProblemDetails(
        title=_phrase(status),
        status=status,
        detail=detail[:LONGEST_TEXT],
        instance=str(scope.get("path", ""))[:LONGEST_TEXT],
        request_id=scope.get("lehr.request_id", ""),
        errors=errors,
    )
    content = details.model_dump_json(exclude_none=True)
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def failure_response(scope: Scope, error: Exception) -> Response:
    """The answer to a request at which the service failed: the reason is for its log alone."""
    _log.error("failed", extra={"request_id": scope.get("lehr.request_id")}, exc_info=error)
    return problem_response(scope, 500, "the service failed at this request; its log says why")


def handle_problems(app: FastAPI) -> None:
    """Let every error of the app leave it as Problem Details."""
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_failure)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_response(request.scope, error.status_code, str(error.detail), error.headers)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_field_error(mistake) for mistake in error.errors()[:MOST_ERRORS]]
    said = "; ".join(f"{e.field}: {e.message}" for e in found[:3])
    return problem_response(request.scope, 422, said, errors=found)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """Nobody hears it; the log has it as what the client did."""
    return problem_response(request.scope, 400, "the client left before its request was whole")


async def _on_failure(request: Request, error: Exception) -> Response:
    return failure_response(request.scope, error)


def _field_error(mistake: Mapping[str, Any]) -> FieldError:
    """Without the input: it may be a secret, or a number that JSON does not have."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake["loc"]).lstrip(".")
    message = str(mistake["msg"]).removeprefix("Value error, ")
    return FieldError(field=_plain(path), message=_plain(message))


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:LONGEST_TEXT]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
