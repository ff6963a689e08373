"""Quantiles of the first batch, against which units and the order of columns are checked."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from data.schema import Schema


def take_fingerprint(frame: pl.DataFrame, schema: Schema) -> dict[str, Any]:
    return {}


def find_mismatch(frame: pl.DataFrame, fingerprint: Mapping[str, Any], previous: pl.DataFrame | None) -> str | None:
    return None
