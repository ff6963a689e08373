"""The receipt of a prediction: the model that made it, the run and the data that made the model, and what let it in."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from data.entries import BatchEntry, Prediction, Promotion, VersionEntry
from data.inputs import ROW, read_inputs
from data.ledger import Ledger
from data.schema import resolve_schema
from data.sources import Arrival
from deployments.pipeline import PipelineConfig
from deployments.predicting import hash_samples, record_path, windows_of
from deployments.representation_pipeline import REPRESENTATION, RepresentationPipeline
from deployments.signal_predicting import hash_given_signals
from deployments.versions import load_card

ID = re.compile(r"([0-9a-f]{20})-([1-9][0-9]*)")


@dataclass(frozen=True)
class Place:
    """A prediction's place: its request as the ledger has it, the row of the input, and its pipeline's folder."""

    request: Prediction
    row: int
    folder: Path


def find_prediction(ledger: Ledger, home: Path, prediction_id: str) -> Place:
    """The place of a prediction by its id; raises ValueError where there is no such prediction."""
    match = ID.fullmatch(prediction_id.strip())
    if match is None:
        raise ValueError(f"{prediction_id!r} is no prediction id: those look like 0123456789abcdef0123-17")
    request = ledger.prediction(match[1])
    if request is None:
        raise ValueError(
            f"there is no prediction {prediction_id} in the ledger of {home}: was it made in another home?"
        )
    return Place(request, int(match[2]), home / request.pipeline)


def receipt_of(ledger: Ledger, place: Place, given: Arrival | None = None) -> dict[str, Any]:
    """The receipt, as plain values.

    given: a file that is said to hold the predicted row; the receipt says whether it does.
    Raises ValueError where the record or the version's card is missing or was changed, or the row was not predicted.
    """
    request, name = place.request, place.request.pipeline
    answer = _answer(place)
    version = ledger.version(name, request.version)
    folder = place.folder / "versions" / str(version.version)
    card = load_card(folder, request.version_sha256)
    entry = next((e for e in ledger.batches(name) if e.number == version.batch), None)
    journal = {} if entry is None else ledger.journal(name, entry.batch_id)
    made_in = ledger.journal(name, card["batch"]["id"]) if card["batch"]["id"] else {}
    return {
        "prediction": {**answer, "pipeline": name, "at": request.at.isoformat()},
        "input": {"name": request.input_name, "sha256": request.input_sha256, "rows": request.rows},
        **({} if given is None else {"given": _compare(ledger, place, card, answer, given)}),
        "model": {"version": version.version, "sha256": version.sha256, "folder": str(folder)},
        "run": _run(version, card, entry, ledger, name),
        "decision": made_in.get("decide"),
        "drift": _drift(journal.get("watch")),
        "data": _data(ledger, name, card["trained_through"]),
        **_production(ledger.history(name), request),
    }


def _answer(place: Place) -> dict[str, Any]:
    path = record_path(place.folder, place.request)
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != place.request.record_sha256:
        raise ValueError(f"the record {path} {'was changed' if content else 'is missing'}: lehr verify says what else")
    found = pl.read_parquet(BytesIO(content)).filter(pl.col(ROW) == place.row)
    if found.is_empty():
        raise ValueError(
            f"row {place.row} of the request {place.request.request} was not predicted: no window ends there"
        )
    answer = found.row(0, named=True)
    return {"id": f"{place.request.request}-{place.row}", **answer, "row_sha256": answer["row_sha256"].hex()}


def _compare(
    ledger: Ledger, place: Place, card: Mapping[str, Any], answer: Mapping[str, Any], given: Arrival
) -> dict[str, Any]:
    """Whether a file's row is the one that was predicted, and if not, which of its rows is."""
    digest, hashes = bytes.fromhex(answer["row_sha256"]), _given_hashes(ledger, place, card, given)
    same = [row for row, found in hashes if digest in found]
    matches = place.row in same
    return {
        "name": given.name,
        "same_file": given.id == place.request.input_sha256,
        "matches": matches,
        "same_rows": same,
    }


def _given_hashes(
    ledger: Ledger, place: Place, card: Mapping[str, Any], given: Arrival
) -> list[tuple[int, tuple[bytes, ...]]]:
    """The rows of a file, each with the hashes that a record may hold of it."""
    if card["config"]["task"] == REPRESENTATION:
        config = RepresentationPipeline.model_validate(card["config"])
        return [(row, (found,)) for row, found in enumerate(hash_given_signals(given, config.data), start=1)]
    config, kept = PipelineConfig.parse(card["config"], "the version's card"), ledger.schema(place.request.pipeline)
    assert kept is not None, "who predicts has declared columns"
    schema, length = resolve_schema(config.data, config.task, kept["columns"]), config.data.window.length
    windows = windows_of(read_inputs(given, schema, length), schema, length, card["classes"])
    rows = [int(row) for row in windows.rows_B]
    pairs = zip(windows.sha256_B, hash_samples(windows.samples), strict=True)
    return list(zip(rows, pairs, strict=True))


def _run(
    version: VersionEntry, card: Mapping[str, Any], entry: BatchEntry | None, ledger: Ledger, pipeline: str
) -> dict[str, Any]:
    logged = {result["version"]: result.get("run") for result in ledger.results(pipeline, "promote").values()}
    return {
        "mlflow_run": logged.get(version.version),
        "mlflow_experiment": f"lehr-{pipeline}",
        "batch": version.batch,
        "batch_name": None if entry is None else entry.name,
        "batch_id": None if entry is None else entry.batch_id,
        "rung": version.made_by,
        "strategy": card["strategy"],
        "parent": version.parent,
        "seed": card["config"]["training"]["seed"],
        "samples": card["cost"]["samples"],
        "made_at": version.created_at.isoformat(),
        "adopted": card.get("adopted"),
    }


def _drift(watched: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the drift report of the batch said that the version was made from."""
    if not watched or not watched.get("drift"):
        return None
    drift, evidence = watched["drift"], watched["drift"]["evidence"]
    far = [name for name, found in drift["features"].items() if found["distance"] >= found["threshold"]]
    carriers = [part["feature"] for part in evidence["carriers"]] if drift["drifted"] else []
    figures = {key: evidence[key] for key in ("log_e_value", "log_limit")}
    page = watched.get("drift_page")
    return {"drifted": drift["drifted"], "carried_by": carriers, "far_in_this_batch": far, **figures, "page": page}


def _data(ledger: Ledger, pipeline: str, through: int) -> list[dict[str, Any]]:
    """The batches that the version had learned from or could have: what came, what was stored of it, and its hashes."""
    validated, stored = ledger.outcomes(pipeline, "validate"), ledger.outcomes(pipeline, "store")
    entries = [entry for entry in ledger.batches(pipeline) if entry.number <= through]
    return [
        {
            "batch": entry.number,
            "id": entry.batch_id,
            "name": entry.name,
            "rows": validated.get(entry.number, {}).get("rows"),
            "rows_quarantined": validated.get(entry.number, {}).get("rows_quarantined"),
            "refused": validated.get(entry.number, {}).get("refusal"),
            "delta_version": stored.get(entry.number, {}).get("delta_version"),
            "rows_sha256": ((stored.get(entry.number, {}).get("seal") or {}).get("rows") or {}).get("sha256"),
        }
        for entry in entries
    ]


def _production(history: list[Promotion], request: Prediction) -> dict[str, Any]:
    """What let the version in, when and in place of which, and what became of it since."""
    stints = [p for p in history if p.version == request.version]
    admitted = next((p for p in stints if p.verdict is not None), None)
    live = [p for p in stints if p.at <= request.at][-1:] or stints[:1]
    since = live[0] if live else None
    ended = next((p for p in history if since is not None and p.sequence == since.sequence + 1), None)
    return {
        "verdict": None if admitted is None else admitted.verdict,
        "production": None if since is None else _stint(since, ended, history[-1].version == request.version),
    }


def _stint(since: Promotion, ended: Promotion | None, serves: bool) -> dict[str, Any]:
    return {
        "promotion": since.sequence,
        "since": since.at.isoformat(),
        "in_place_of": since.previous,
        "reason": since.reason,
        "until": None if ended is None else ended.at.isoformat(),
        "ended_by": None if ended is None else {"version": ended.version, "reason": ended.reason},
        "in_production_now": serves,
    }
