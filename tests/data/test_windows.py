import math
from itertools import pairwise

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.samples import Samples
from data.schema import Schema
from data.windows import classes_of, make_samples

SCHEMA = Schema(("a", "b"), "y", None, "unit", "classification", ())


def frame(rows: list[tuple[int, int, str, str, str | None]]) -> pl.DataFrame:
    """Rows of (batch, row, split, unit, label); feature a is the position, b is missing in odd ones."""
    batches, numbers, splits, units, labels = zip(*rows, strict=True)
    return pl.DataFrame(
        {
            "a": pl.Series(range(len(rows)), dtype=pl.Float32),
            "b": pl.Series([None if i % 2 else 1.0 for i in range(len(rows))], dtype=pl.Float32),
            "y": pl.Series(labels, dtype=pl.String),
            "unit": units,
            "lehr_batch": pl.Series(batches, dtype=pl.Int32),
            "lehr_row": pl.Series(numbers, dtype=pl.Int32),
            "lehr_split": splits,
        }
    )


ROWS = frame(
    [
        (1, 1, "train", "u", "x"),
        (1, 2, "train", "u", "z"),
        (1, 3, "train", "u", None),
        (1, 4, "holdout", "u", "x"),
        (1, 5, "holdout", "u", "x"),
        (1, 7, "holdout", "u", "x"),
        (1, 8, "holdout", "v", "x"),
        (2, 9, "holdout", "v", "x"),
        (2, 10, "holdout", "v", "new"),
    ]
)


def test_no_window_crosses_a_batch_a_group_a_gap_or_a_split() -> None:
    samples = make_samples(ROWS, SCHEMA, 2, ["x", "z"])
    assert samples.starts_B.tolist() == [0, 3]
    assert samples.inputs()[:, :, 0].tolist() == [[0, 1], [3, 4]]
    assert samples.targets_B.tolist() == [1, 0]


def test_single_rows_keep_all_that_is_labelled() -> None:
    samples = make_samples(ROWS, SCHEMA, 1, ["x", "z"])
    assert samples.starts_B.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert samples.batches_B.tolist() == [1, 1, 1, 1, 1, 1, 2]
    assert math.isnan(float(samples.inputs()[1, 1]))


def test_an_unknown_label_is_left_out_or_counted_as_wrong() -> None:
    assert len(make_samples(ROWS, SCHEMA, 1, ["x", "z"])) == 7
    assert make_samples(ROWS, SCHEMA, 1, ["x", "z"], keep_unknown=True).targets_B.tolist() == [0, 1, 0, 0, 0, 0, 0, -1]


def test_values_are_targets_where_they_are_there() -> None:
    schema = Schema(("a",), "b", None, None, "regression", ())
    samples = make_samples(ROWS, schema, 1, None)
    assert samples.targets_B.dtype == torch.float32
    assert samples.starts_B.tolist() == [0, 2, 4, 6, 8]


def test_classes_are_sorted_labels() -> None:
    assert classes_of(ROWS, SCHEMA) == ["new", "x", "z"]


@given(
    rows=st.lists(
        st.tuples(
            st.booleans(),
            st.integers(1, 3),
            st.sampled_from(["train", "holdout"]),
            st.sampled_from("uv"),
            st.sampled_from(["x", "new", None]),
        ),
        max_size=40,
    ),
    length=st.integers(1, 5),
    keep_unknown=st.booleans(),
)
def test_windows_are_those_that_a_plain_search_finds(
    rows: list[tuple[bool, int, str, str, str | None]], length: int, keep_unknown: bool
) -> None:
    stored, batch, row = [], 1, 0
    for next_batch, step, split, unit, label in rows:
        batch, row = (batch + 1, 1) if next_batch else (batch, row + step)
        stored.append((batch, row, split, unit, label))
    stored.append((batch + 1, 1, "train", "u", "x"))
    wanted = {"x", "new"} if keep_unknown else {"x"}
    found = [
        end - length + 1
        for end in range(length - 1, len(stored))
        if stored[end][4] in wanted
        and all(
            one[0] == two[0] and two[1] - one[1] == 1 and one[2:4] == two[2:4]
            for one, two in pairwise(stored[end - length + 1 : end + 1])
        )
    ]
    samples = make_samples(frame(stored), SCHEMA, length, ["x"], keep_unknown)
    assert samples.starts_B.tolist() == found


def test_a_batch_without_a_label_gives_no_samples() -> None:
    silent = frame([(1, 1, "train", "u", None), (1, 2, "train", "u", None)])
    assert classes_of(silent, SCHEMA) == []
    assert len(make_samples(silent, SCHEMA, 1, [])) == 0
    assert len(make_samples(silent, SCHEMA, 5, ["x"])) == 0


def test_rows_that_lie_column_by_column_are_refused() -> None:
    rows_NC = torch.zeros(2, 9).T
    with pytest.raises(ValueError, match="must lie one after the other in memory"):
        Samples(rows_NC, torch.arange(5), 3, torch.zeros(5), torch.zeros(5))
