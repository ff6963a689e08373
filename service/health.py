"""Is it there, and what does it offer?"""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from service.core import CoreOf
from service.problems import Problem, documented
from service.security.access import needs
from service.security.tokens import ROLES, Role

router = APIRouter(tags=["service"], dependencies=[needs(*ROLES)], responses=documented())


class Live(BaseModel):
    """The process answers."""

    live: Literal[True] = True


@router.get("/v2/health/live")
async def is_live() -> Live:
    """Whether the service answers."""
    return Live()


class Ready(BaseModel):
    """All that works beside the requests works."""

    ready: Literal[True] = True


@router.get("/v2/health/ready", responses=documented(503))
def is_ready(core: CoreOf) -> Ready:
    """Whether the ledger answers, and trainings, their followers, versions and receipts are looked after."""
    if not core.is_well:
        raise Problem(503, "a part of the service has ended; its log says why")
    core.ledger.pipelines()
    return Ready()


class Known(BaseModel):
    """Whose token the request brought, and what it may do."""

    name: str = Field(examples=["mes"])
    roles: list[Role] = Field(examples=[["promote"]])
    expires: datetime | None = Field(description="null: never")


@router.get("/api/v1/token")
async def whose_token(request: Request) -> Known:
    """What the service knows of the token that the request brings."""
    token = request.scope["lehr.token"]
    return Known(name=token.name, roles=token.roles, expires=token.expires)


@router.get("/openapi.json", response_model=dict[str, Any])
async def describe(request: Request) -> dict[str, Any]:
    """Every route, what it takes and what it answers, as OpenAPI."""
    return request.app.openapi()
