from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from data.ledger import Ledger
from deployments.setting_aside import faulty_batches, readings_set_aside, release, without_readings
from monitoring.causes import Readings

ROWS = pl.DataFrame(
    {
        "lehr_batch": [1, 1, 1, 2, 2],
        "lehr_row": [1, 2, 3, 1, 2],
        "a": [1.0, 2.0, 3.0, 4.0, 5.0],
        "b": [1.0, None, 3.0, 4.0, 5.0],
    }
)


def test_readings_go_missing_and_empty_rows_go() -> None:
    left = without_readings(ROWS, ("a", "b"), {1: (Readings("a", 2, 3),), 2: (Readings("b", 1, 1),)})
    assert left["a"].to_list() == [1.0, None, 4.0, 5.0]
    assert left["b"].to_list() == [1.0, 3.0, None, 5.0]
    assert left["lehr_row"].to_list() == [1, 3, 1, 2]
    assert without_readings(ROWS, ("a", "b"), {}) is ROWS


def test_a_person_releases_what_was_set_aside(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    ledger.open_batch("line", "x" * 64, "1.csv")
    named = {"cause": "sensor_fault", "features": ["a"], "reason": "stuck", "also": []}
    ledger.record_step("line", "x" * 64, "triage", {**named, "set_aside": [{"feature": "a", "first": 1, "last": 9}]})
    assert readings_set_aside(ledger, "line") == {1: (Readings("a", 1, 9),)}
    with pytest.raises(ValueError, match="nothing of batch 2 of line is set aside; batches with readings set aside: 1"):
        release(ledger, "line", 2, "it was right")
    assert release(ledger, "line", 1, "it was right") == (Readings("a", 1, 9),)
    assert readings_set_aside(ledger, "line") == {}
    assert faulty_batches(ledger, "line") == [1], "what the champion met then is no evidence still"
    with pytest.raises(ValueError, match="set aside: none"):
        release(ledger, "line", 1, "again")
