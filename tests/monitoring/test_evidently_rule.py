"""The default verdict of Evidently, against Evidently itself."""

import warnings

import numpy as np
import polars as pl
import pytest

from monitoring.evidently_rule import column_drifted, drifted_share


def frames(reference_rows: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Columns of many values and of few, moved a little, much or not at all; some readings are missing."""
    rng = np.random.default_rng(seed)

    def frame(rows: int, moved: float) -> pl.DataFrame:
        shift = {"still": 0.0, "a_little": 0.05 * moved, "some": 0.2 * moved, "much": 1.0 * moved}
        columns = {name: rng.normal(size=rows) + by for name, by in shift.items()}
        columns["wide"] = rng.normal(size=rows) * (1 + moved)
        columns["two"] = (rng.random(rows) < 0.3 + 0.1 * moved).astype(float)
        columns["three"] = rng.integers(0, 3, rows).astype(float) * (1 + 0 * moved)
        columns["four"] = np.floor(4 * rng.random(rows) ** (1 + moved))
        labels = np.where(
            rng.random(rows) < 0.5 + 0.15 * moved, "ok", np.where(rng.random(rows) < 0.5, "chip", "crack")
        )
        made = pl.DataFrame({**columns, "label": labels})
        return made.with_columns(pl.when(pl.int_range(rows) % 17 != 3).then("some").alias("some"))

    return frame(reference_rows, 0.0), frame(400, 1.0)


def by_evidently(reference: pl.DataFrame, current: pl.DataFrame) -> dict[str, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests import get_stattest
        from evidently.legacy.core import ColumnType

        verdicts: dict[str, bool] = {}
        for name in reference.columns:
            kind = ColumnType.Categorical if name == "label" else ColumnType.Numerical
            before, now = (frame[name].drop_nulls().to_pandas() for frame in (reference, current))
            verdicts[name] = bool(get_stattest(before, now, kind, None)(before, now, kind, None).drifted)
        return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("rows", [600, 3000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_column_as_evidently_calls_it(rows: int, seed: int) -> None:
    reference, current = frames(rows, seed)
    expected = by_evidently(reference, current)
    known = {c: (reference[c].drop_nulls(), current[c].drop_nulls()) for c in reference.columns}
    assert {name: column_drifted(*pair) for name, pair in known.items()} == expected
    assert drifted_share(reference, current, reference.columns) == sum(expected.values()) / len(expected)


def test_a_column_without_readings_is_left_out() -> None:
    reference, current = frames(600, 0)
    silent = current.with_columns(pl.lit(None, pl.Float64).alias("much"))
    assert drifted_share(reference, silent, ["much"]) is None
    assert drifted_share(reference, silent, ["much", "wide"]) == 1.0
