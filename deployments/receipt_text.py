"""A receipt as lines for a person."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SHOWN_BATCHES = 12


def receipt_lines(receipt: Mapping[str, Any]) -> Iterator[str]:
    """What `deployments.receipts.receipt_of` gives, line by line."""
    yield from _prediction(receipt)
    yield from _model(receipt["model"], receipt["run"])
    yield from _decision(receipt)
    yield from _data(receipt["data"])
    yield from _verdict(receipt["verdict"])
    yield from _production(receipt["production"])


def _prediction(receipt: Mapping[str, Any]) -> Iterator[str]:
    answer, came = receipt["prediction"], receipt["input"]
    yield f"prediction   {_represented(answer) if 'embedding' in answer else _predicted(answer)}"
    yield f"             {answer['id']}, made {_moment(answer['at'])} by {answer['pipeline']}"
    yield f"input        row {answer['row']} of {came['name']} ({came['rows']:,} predictions, {came['sha256'][:12]})"
    yield f"             what was read for it hashes to {answer['row_sha256']}"
    if "given" in receipt:
        yield f"             {_given(receipt['given'], answer['row'])}"


def _predicted(answer: Mapping[str, Any]) -> str:
    sure = f", probability {answer['probability']:.3f}" if "probability" in answer else ""
    value = answer["prediction"]
    return f"{value if isinstance(value, str) else format(value, '.6g')}{sure}"


def _represented(answer: Mapping[str, Any]) -> str:
    """Of a signal: where its keypoints lie, in samples, and the size of its embedding."""
    at = [f"{name.removeprefix('position.')} at {answer[name]:.1f}" for name in answer if name.startswith("position.")]
    return ", ".join([*at, f"an embedding of {len(answer['embedding'])} numbers"])


def _given(given: Mapping[str, Any], row: int) -> str:
    others = [number for number in given["same_rows"] if number != row]
    if given["matches"]:
        return f"row {row} of {given['name']} is what was predicted"
    elsewhere = f"; row {others[0]} is" if others else ", and no other row of it is"
    return f"row {row} of {given['name']} is NOT what was predicted{elsewhere}"


def _model(model: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[str]:
    yield f"model        version {model['version']}, {model['sha256']}"
    yield f"             {model['folder']}"
    parent = "no parent" if run["parent"] is None else f"from version {run['parent']}"
    if run["adopted"]:
        yield f"run          adopted from {run['adopted']['from']} ({run['adopted']['sha256'][:12]})"
    else:
        yield f"run          {run['rung']} ({run['strategy']}) on batch {run['batch']}, {run['batch_name']}, {parent}"
    yield f"             {_moment(run['made_at'])}, seed {run['seed']}, {run['samples']:,} samples"
    yield f"             MLflow run {run['mlflow_run'] or 'not noted'} of {run['mlflow_experiment']}"


def _decision(receipt: Mapping[str, Any]) -> Iterator[str]:
    decision, drift = receipt["decision"], receipt["drift"]
    if decision is not None:
        yield f"decision     {decision['action']}: {decision['reason']}"
    if drift is None:
        yield "drift        nothing to compare the batch with"
        return
    said = f"drift in {', '.join(drift['carried_by']) or 'something'}" if drift["drifted"] else "no drift"
    yield f"drift        {said}: evidence e^{drift['log_e_value']:.1f}, limit e^{drift['log_limit']:.1f}"
    if drift["far_in_this_batch"]:
        yield f"             far from the reference in this batch: {', '.join(drift['far_in_this_batch'])}"
    if drift["page"]:
        yield f"             {drift['page']}"


def _data(batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = sum(batch["rows"] or 0 for batch in batches)
    yield f"data         {len(batches)} batches, {rows:,} rows"
    if len(batches) > SHOWN_BATCHES:
        yield f"             the last {SHOWN_BATCHES} (all with --json):"
    for batch in batches[-SHOWN_BATCHES:]:
        yield f"             {_batch(batch)}"


def _batch(batch: Mapping[str, Any]) -> str:
    head = f"{batch['batch']:>4}  {batch['id'][:12]}  {batch['name']}"
    if batch["refused"]:
        return f"{head}: refused, {batch['refused']}"
    if batch["rows"] is None or batch["delta_version"] is None:
        return f"{head}: not stored"
    quarantined = f" (+{batch['rows_quarantined']} quarantined)" if batch["rows_quarantined"] else ""
    rows_hash = (batch["rows_sha256"] or "not noted")[:12]
    return f"{head}: {batch['rows']:,} rows{quarantined}, Delta version {batch['delta_version']}, rows {rows_hash}"


def _verdict(verdict: Mapping[str, Any] | None) -> Iterator[str]:
    if verdict is None:
        yield "verdict      none: it went live without the gate"
        return
    checks = verdict["checks"]
    yield f"verdict      {'passed' if all(check['passed'] for check in checks) else 'refused'}"
    for check in checks:
        yield f"             {'✓' if check['passed'] else '✗'} {check['text']}"


def _production(production: Mapping[str, Any] | None) -> Iterator[str]:
    if production is None:
        return
    before = production["in_place_of"]
    yield f"production   since {_moment(production['since'])}, {_instead(before)}: {production['reason']}"
    ended = production["ended_by"]
    if ended is None:
        yield "             still in production"
        return
    yield f"             until {_moment(production['until'])}, then version {ended['version']}: {ended['reason']}"
    if production["in_production_now"]:
        yield "             in production again now"


def _instead(previous: int | None) -> str:
    return "the first" if previous is None else f"in place of version {previous}"


def _moment(iso: str) -> str:
    return f"{iso[:19].replace('T', ' ')} UTC"
