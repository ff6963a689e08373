from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.schema import Schema
from data.suite import infer_suite
from data.validation import ValidationReport, validate

SCHEMA = Schema(("hot", "cold", "flow"), "y", None, None, "classification", ())


def frame(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "hot": rng.normal(1480, 6, rows).astype(np.float32),
            "cold": rng.normal(21, 4, rows).astype(np.float32),
            "flow": rng.gamma(3, 20, rows).astype(np.float32),
            "y": rng.choice(["ok", "crack"], rows),
        }
    )


def check(
    batch: pl.DataFrame, *, suite: dict[str, object] | None = None, share: float = 0.2, window: int = 1
) -> ValidationReport:
    return validate(batch, SCHEMA, suite or infer_suite(frame(), SCHEMA), share, window)


def put(batch: pl.DataFrame, column: str, row: int, value: float | None) -> pl.DataFrame:
    values = batch[column].to_list()
    values[row] = value
    return batch.with_columns(pl.Series(column, values, dtype=pl.Float32))


def test_the_batch_it_was_inferred_from_is_sound() -> None:
    assert check(frame()) == ValidationReport((), {}, None)


def test_rows_without_a_reading_and_infinite_values_go_to_quarantine() -> None:
    batch = put(put(frame(), "hot", 3, float("inf")), "flow", 7, None)
    batch = put(put(put(batch, "hot", 5, None), "cold", 5, None), "flow", 5, None)
    report = check(batch)
    assert report.reasons == {3: "infinite value in hot", 5: "no reading in any feature"}
    assert report.refusal is None


def test_values_that_moved_are_warnings_and_stay() -> None:
    report = check(frame().with_columns(pl.col("flow") + 4000))
    assert report.reasons == {}
    assert report.refusal is None
    (finding,) = report.findings
    assert (finding.column, finding.severity, finding.failing) == ("flow", "warning", 400)
    assert "flow: 400 rows (100.0%)" in finding.text


def test_unlabelled_rows_and_unseen_classes_are_warnings() -> None:
    labels = pl.Series("y", [None] * 200 + ["bubble"] * 200, dtype=pl.String)
    report = check(frame().with_columns(labels))
    assert report.reasons == {}
    assert [(f.column, f.severity) for f in report.findings] == [("y", "warning")] * 2


def test_too_many_bad_rows_refuse_the_batch() -> None:
    batch = frame().with_columns(
        pl.when(pl.int_range(400) < 100).then(float("inf")).otherwise("hot").cast(pl.Float32).alias("hot")
    )
    assert check(batch, share=0.25).refusal is None
    assert check(batch).refusal == "100 of 400 rows are bad, more than 20%; 100 because: infinite value in hot"


def test_fewer_rows_than_a_window_refuse_the_batch() -> None:
    assert check(frame(9), window=10).refusal == "9 rows are fewer than one window of 10"
    assert (
        check(put(frame(10), "hot", 0, float("inf")), window=10).refusal
        == "9 good rows are fewer than one window of 10"
    )


def test_a_batch_without_a_single_reading_is_refused() -> None:
    report = check(frame().with_columns(pl.lit(None, pl.Float32).alias(c) for c in SCHEMA.features))
    assert report.refusal == "not one reading in 400 rows: every feature is empty"


def test_an_edited_range_that_is_critical_quarantines_rows_even_where_mostly_is_met() -> None:
    suite = infer_suite(frame(), SCHEMA)
    keys = {"column": "cold", "min_value": -40, "max_value": 60, "mostly": 0.5}
    suite["expectations"] = [{"type": "expect_column_values_to_be_between", "kwargs": keys, "severity": "critical"}]
    report = check(put(frame(), "cold", 11, 99), suite=suite)
    assert report.findings == ()
    assert report.reasons == {11: "cold = 99.0: breaks expect_column_values_to_be_between"}


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("expect_table_row_count_to_be_between", {"min_value": 500}, "the batch breaks expect_table_row_count"),
        ("expect_column_mean_to_be_between", {"column": "hot", "max_value": 0}, "hot breaks expect_column_mean"),
        ("expect_column_mean_to_be_between", {"column": "y", "max_value": 0}, "y breaks expect_column_mean"),
    ],
)
def test_a_critical_expectation_about_the_whole_batch_refuses_it(kind: str, keys: dict[str, object], said: str) -> None:
    suite = {"expectations": [{"type": kind, "kwargs": keys, "severity": "critical"}]}
    assert said in (check(frame(), suite=suite).refusal or "")
    suite["expectations"][0]["severity"] = "warning"
    report = check(frame(), suite=suite)
    assert report.refusal is None
    assert len(report.findings) == 1


def test_a_suite_for_other_columns_is_refused_as_such() -> None:
    suite: dict[str, object] = {
        "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "warm"}}]
    }
    with pytest.raises(ValueError, match=r"expectations\[0\] names the column 'warm'"):
        check(frame(), suite=suite)


def test_nothing_is_written_where_the_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(frame())
    assert list(tmp_path.iterdir()) == []
