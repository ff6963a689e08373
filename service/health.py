"""Is it there, and what does it offer?"""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from service.access import needs
from service.problems import documented
from service.tokens import ROLES

router = APIRouter(tags=["service"], dependencies=[needs(*ROLES)], responses=documented())


class Live(BaseModel):
    """The process answers."""

    live: Literal[True] = True


@router.get("/v2/health/live")
async def is_live() -> Live:
    """Whether the service answers."""
    return Live()


@router.get("/openapi.json", response_model=dict[str, Any])
async def describe(request: Request) -> dict[str, Any]:
    """Every route, what it takes and what it answers, as OpenAPI."""
    return request.app.openapi()
