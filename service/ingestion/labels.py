"""Routes: labels that come later than what they are of, by the key of their rows or by the receipts of predictions."""

import csv
import io
from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError
from starlette.concurrency import run_in_threadpool

from data.bad_batch import BadBatch
from data.served_inputs import ID as RECEIPT
from data.sources import Arrival
from deployments.line import inbox_of, read_line, stored_schema
from deployments.pipeline import PipelineConfig
from deployments.served_labels import tell_labels
from service.core import Core, CoreOf
from service.ingestion.deliveries import Delivery, Name, open_inbox, put_into_inbox
from service.ingestion.receiving import FILE_CONTENT, Received, body_of, columns_of, receive_file, receive_text
from service.problems import Problem, documented
from service.security.access import needs
from service.security.idempotency import IdempotencyKey, once

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"], dependencies=[needs("ingest")])
EXAMPLE = "9f1c0a5e2b7d4c3f8a61-1"
JSON = "application/json"


class VersionScore(BaseModel):
    """How the answers of one version did, by the labels that were new."""

    version: int = Field(examples=[7])
    predictions: int = Field(examples=[120], description="whose label came and is of a class that the version knows")
    metrics: dict[str, float] = Field(examples=[{"accuracy": 0.97}])


class LabelsTold(BaseModel):
    """What labels by receipt have said."""

    pipeline: str = Field(examples=["glass-line"])
    scores: list[VersionScore]
    known: int = Field(examples=[0], description="labels that came before")
    contradicted: list[str] = Field(examples=[[EXAMPLE]], description="receipts with two labels, which are left out")
    not_kept: int = Field(examples=[0], description="labels of predictions whose readings were not kept")
    unknown_classes: list[str] = Field(examples=[[]], description="that a version which answered does not know")
    batch_id: str | None = Field(examples=["9f" * 32], description="of the rows that wait to be learned from")
    not_learned: str | None = Field(examples=[None], description="why no rows wait, where that is for good")


class LabelRows(BaseModel):
    """Labels as JSON; of each the receipt, as prediction_id, or the key's columns, and the target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: list[dict[str, StrictStr | StrictInt | StrictFloat]] = Field(
        min_length=1, examples=[[{"prediction_id": EXAMPLE, "quality": "good"}]]
    )


BODY = body_of(**FILE_CONTENT, **{JSON: {"schema": {"$ref": "#/components/schemas/LabelRows"}}})
REQUEST_MODELS = (LabelRows,)
"""Schemas that the routes refer to by name, as they read their bodies themselves."""
NewClasses = Annotated[bool, Query(description="labels by receipt may be of classes that no version knows yet")]


@router.post("/{name}/labels", status_code=202, responses=documented(404, 409, 422, 507), openapi_extra=BODY)
async def deliver_labels(
    name: Name,
    request: Request,
    core: CoreOf,
    filename: str | None = None,
    new_classes: NewClasses = False,
    idempotency_key: IdempotencyKey = None,
) -> Delivery | LabelsTold:
    """Deliver labels that come later than what they are of: a file, as a batch is, or some rows as JSON.

    With the key's columns and the target they wait in the inbox for the rows of their batches. With the receipts of
    predictions, as `prediction_id`, and the target they say at once how the versions did that answered; where a row is
    all that a batch has, the labelled rows wait in the inbox to be learned from.
    """
    inbox = open_inbox(core, name)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON:
        received = await receive_text(await _rows(request, core.service.max_body_bytes), inbox, "labels.csv")
    else:
        received = await receive_file(request, inbox, filename)
    return await run_in_threadpool(_deliver, core, request, name, received, idempotency_key, new_classes)


def _deliver(
    core: Core, request: Request, name: str, received: Received, key: str | None, new_classes: bool
) -> Delivery | LabelsTold:
    try:
        columns = columns_of(received, core.service.max_unpacked_bytes)
        if RECEIPT not in columns:
            _check_columns(core, name, columns)
            return put_into_inbox(core, request, name, received, key)
        _check_size(received, core.service.max_tensor_bytes)
        tell = partial(_tell, core, name, received, new_classes)
        return once(core.settings.home, request, key, f"{received.sha256} {new_classes}", tell, LabelsTold)
    finally:
        received.path.unlink(missing_ok=True)


def _tell(core: Core, name: str, received: Received, new_classes: bool) -> LabelsTold:
    path = core.pipelines[name]
    arrival = Arrival(received.name, received.path.read_bytes(), received.format)
    try:
        told = tell_labels(read_line(path, core.settings), inbox_of(path, core.settings), arrival, new_classes)
    except BadBatch as bad:
        raise Problem(422, f"{received.name}: {bad.reason}") from None
    except ValueError as error:
        raise Problem(422, str(error)) from None
    return LabelsTold(pipeline=name, **told.as_json())


def _check_size(received: Received, most_bytes: int) -> None:
    """Labels by receipt are read whole here; raises Problem 413 for more than that allows."""
    if received.bytes > most_bytes:
        raise Problem(413, f"labels by receipt have at most {most_bytes:,} bytes; send them in parts")
    columns_of(received, most_bytes)


def _check_columns(core: Core, name: str, columns: list[str]) -> None:
    try:
        schema = stored_schema(PipelineConfig.load(core.pipelines[name]), core.ledger)
    except ValueError as error:
        raise Problem(409, str(error)) from None
    if not schema.key:
        said = f"{name} has no key by which labels find their rows: name one under data.key, or bring receipts"
        raise Problem(409, f"{said} as the column {RECEIPT}")
    wrong = [column for column in columns if column in schema.features]
    if wrong or not {*schema.key, schema.target} <= {*columns}:
        needed = ", ".join([*schema.key, schema.target])
        has = f"it has {', '.join(columns)}"
        raise Problem(422, f"a file of labels needs the columns {needed}, and no feature; {has}")


async def _rows(request: Request, most_bytes: int) -> bytes:
    """The rows of a JSON document as CSV; raises Problem where it is none, or too much of it."""
    text = b""
    async for piece in request.stream():
        text += piece
        if len(text) > most_bytes:
            raise Problem(413, f"labels as JSON have at most {most_bytes:,} bytes; send a file instead")
    try:
        rows = LabelRows.model_validate(orjson.loads(text)).labels
    except orjson.JSONDecodeError as error:
        raise Problem(422, f"the labels are not JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"][:3])) or "the document"
        raise Problem(422, f"{where}: {first['msg'].lower()}") from None
    columns = list(rows[0])
    odd = next((number for number, row in enumerate(rows) if set(row) != set(columns)), None)
    if odd is not None:
        raise Problem(422, f"labels.{odd}: expected the fields {', '.join(columns)[:200]} as in the first")
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns)
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().encode()
