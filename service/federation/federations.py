"""Routes: federations between machines. A node is who its token says."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from deployments.federation_job import FederationJob, JobConfig
from learning.federation.messages import RefusedError
from service.core import Core, CoreOf
from service.problems import Problem, documented
from service.security.access import needs

router = APIRouter(prefix="/api/v1/federations", tags=["federations"])
Name = Annotated[str, InPath(max_length=64, examples=["lines"])]
BYTES: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
ANSWER_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
}


class FederationState(BaseModel):
    """Where a federation stands; waiting_for: the nodes that are asked and silent."""

    name: str = Field(examples=["lines"])
    state: Literal["running", "completed", "failed"]
    nodes: list[str]
    round: int | None = Field(examples=[3])
    rounds: int = Field(examples=[10])
    waiting_for: list[str]
    reason: str | None = Field(default=None, description="of a failure")


class FederationReport(FederationState):
    """Where it stands and, at its end, what came of it: rounds, refused answers, privacy, suspects."""

    report: dict[str, Any] | None = None


class AllFederations(BaseModel):
    """Every federation, by name."""

    federations: list[FederationState]


class Taken(BaseModel):
    """An answer that counts."""

    taken: Literal[True] = True


@router.post("", status_code=201, dependencies=[needs("train")], responses=documented(409, 422))
def start_federation(config: JobConfig, core: CoreOf) -> FederationState:
    """Begin a federation; its nodes are told once they ask. One that is over makes room for another of its name."""
    try:
        return FederationState(**core.federations.start(config).status())
    except ValueError as mistake:
        raise Problem(409, str(mistake)) from None


@router.get("", dependencies=[needs("train", "node")], responses=documented())
def federations(core: CoreOf) -> AllFederations:
    """Every federation, and where it stands."""
    return AllFederations(federations=[FederationState(**job.status()) for job in core.federations.all()])


@router.get("/{name}", dependencies=[needs("train", "node")], responses=documented(404, 422))
def federation(name: Name, core: CoreOf) -> FederationReport:
    """Where it stands and, at its end, what came of it."""
    job = _job(core, name)
    return FederationReport(**job.status(), report=job.report())


@router.post("/{name}/cancel", dependencies=[needs("train")], responses=documented(404, 422))
def cancel_federation(name: Name, core: CoreOf) -> FederationState:
    """End a federation without a result; one that is over stays as it is."""
    job = _job(core, name)
    job.fail("it was cancelled")
    return FederationState(**job.status())


@router.get(
    "/{name}/model",
    dependencies=[needs("train", "predict", "node")],
    response_class=Response,
    responses={200: {"description": "the global model as ONNX", "content": BYTES}, **documented(404, 409, 422)},
)
def federation_model(name: Name, core: CoreOf) -> Response:
    """The global model."""
    model = _job(core, name).model
    if model is None:
        raise Problem(409, "there is no model for all: it is not over, has failed, or keeps parts on its nodes")
    return Response(model, media_type="application/octet-stream")


@router.get(
    "/{name}/question",
    dependencies=[needs("node")],
    response_class=Response,
    responses={
        200: {"description": "what the node is asked now", "content": BYTES},
        204: {"description": "nothing now: ask again in a second"},
        **documented(403, 404, 410, 422),
    },
)
def question(name: Name, request: Request, core: CoreOf) -> Response:
    """What the node is asked now; the same again until it has answered."""
    job, node = _job(core, name), _node(core, name, request)
    asked = job.question_for(node)
    if asked is not None:
        return Response(asked, media_type="application/octet-stream")
    if job.over:
        raise Problem(410, f"the federation {name} is over")
    return Response(status_code=204)


@router.post(
    "/{name}/answers",
    status_code=202,
    dependencies=[needs("node")],
    responses=documented(403, 404, 409, 422),
    openapi_extra=ANSWER_BODY,
)
async def answer(name: Name, request: Request, core: CoreOf) -> Taken:
    """A node's answer; it is on disk once this is answered. One that does not count is refused with the reason."""
    content = await request.body()
    job, node = await run_in_threadpool(_job, core, name), await run_in_threadpool(_node, core, name, request)
    try:
        await run_in_threadpool(job.receive, node, content)
    except RefusedError as refused:
        raise Problem(409, f"the answer does not count: {refused}") from None
    return Taken()


def _job(core: Core, name: str) -> FederationJob:
    job = core.federations.find(name)
    if job is None:
        known = ", ".join(found.config.name for found in core.federations.all()) or "none"
        raise Problem(404, f"there is no federation {name!r}; there are {known}")
    return job


def _node(core: Core, name: str, request: Request) -> str:
    """The node that asks; raises Problem 403 for one that is none of the federation's."""
    node: str = request.scope["lehr.token"].name
    if node not in _job(core, name).config.nodes:
        raise Problem(403, f"{node} is no node of {name}: its token must have the name of one")
    return node
