"""Lineage: Prefect's assets, from a batch to the version that learned from it."""

from typing import Any

from prefect.assets import Asset, add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE

from deployments.champions import card_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Exported, Stored


def trace_batch(line: AnyLine, batch: Batch, stored: Stored) -> None:
    """A batch that lies in the feature store."""
    told = {"sha256": batch.id, "name": batch.name, "delta_version": stored.delta_version, "rows": stored.rows_train}
    _trace(_batch_key(line, batch.number), [], told)


def trace_version(line: AnyLine, batch: Batch, exported: Exported) -> None:
    """A version, after the version that it goes on from and the batches that it learned from since."""
    card, parent = card_of(line, exported.version), line.ledger.version(line.name, exported.version).parent
    since = 0 if parent is None else card_of(line, parent)["trained_through"]
    learned = range(max(0, since) + 1, card["trained_through"] + 1)
    if card["made_by"] == "job":  # it learned from its own file alone
        learned = learned[-1:]
    before = [] if parent is None else [_version_key(line, parent)]
    told = {"made_by": card["made_by"], "parity_error": exported.parity_error}
    _trace(_version_key(line, exported.version), [*before, *(_batch_key(line, number) for number in learned)], told)


def _trace(key: str, after: list[str], told: dict[str, Any]) -> None:
    name = key.removeprefix("lehr://")
    traced = _materialized.with_options(assets=[Asset(key=key)], asset_deps=[Asset(key=k) for k in after])
    traced.with_options(task_run_name=f"trace {name}")(key, told)


@materialize("lehr://pipeline/asset", by="lehr", name="trace", cache_policy=NO_CACHE)
def _materialized(key: str, told: dict[str, Any]) -> None:
    add_asset_metadata(key, told)


def _batch_key(line: AnyLine, number: int) -> str:
    return f"lehr://{line.name}/batches/{number}"


def _version_key(line: AnyLine, version: int) -> str:
    return f"lehr://{line.name}/versions/{version}"
