from pathlib import Path

import numpy as np
import polars as pl

from monitoring.reports import write_drift_page


def test_evidently_draws_a_page_without_silent_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = pl.DataFrame({"s1": rng.normal(size=300), "s2": rng.normal(size=300), "y": ["a", "b"] * 150})
    now = before.with_columns(pl.col("s1") + 2, pl.lit(None, pl.Float64).alias("s2"))
    path = tmp_path / "drift" / "1.html"
    write_drift_page(before, now, ["s1", "s2", "y"], path, seed=0)
    text = path.read_text(encoding="utf-8")
    assert "s1" in text
    assert len(text) > 1_000_000
