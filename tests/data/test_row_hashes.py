from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.row_hashes import hash_frame, hash_readings, hash_whole_windows, hash_windows

FRAME = pl.DataFrame(
    {
        "s": pl.Series([1.0, None, 3.0], dtype=pl.Float32),
        "label": ["ok", None, "bad"],
        "time": [datetime(2026, 1, 1), None, datetime(2026, 1, 2)],
        "lehr_row": pl.Series([1, 2, 3], dtype=pl.Int32),
    }
)
OTHER = {"s": 7.0, "label": "", "time": datetime(2026, 1, 3), "lehr_row": 9}


def test_the_order_of_columns_says_nothing() -> None:
    assert hash_frame(FRAME).sha256 == hash_frame(FRAME.select(reversed(FRAME.columns))).sha256


@given(row=st.integers(0, 2), column=st.sampled_from(FRAME.columns))
def test_any_other_value_is_another_hash_and_names_its_column(row: int, column: str) -> None:
    values = FRAME[column].to_list()
    values[row] = OTHER[column]
    changed = FRAME.with_columns(pl.Series(column, values, FRAME.schema[column]))
    before, after = hash_frame(FRAME), hash_frame(changed)
    assert before.sha256 != after.sha256
    assert [name for name in FRAME.columns if before.columns[name] != after.columns[name]] == [column]


def test_rows_that_changed_places_are_noticed() -> None:
    assert hash_frame(FRAME.reverse()).sha256 != hash_frame(FRAME).sha256


def test_texts_cannot_flow_into_one_another() -> None:
    one, other = pl.DataFrame({"t": ["ab", "c"]}), pl.DataFrame({"t": ["a", "bc"]})
    assert hash_frame(one).sha256 != hash_frame(other).sha256


def test_every_missing_reading_is_the_same() -> None:
    quiet, signed = np.array([[1, np.nan]], np.float32), np.array([[1, -np.nan]], np.float32)
    assert hash_readings(quiet) == hash_readings(signed)
    assert hash_readings(np.array([[0.0]], np.float32)) == hash_readings(np.array([[-0.0]], np.float32))


@pytest.mark.parametrize("length", [1, 3])
def test_a_window_changes_with_each_of_its_rows_and_no_other(length: int) -> None:
    readings_NC = np.arange(20, dtype=np.float32).reshape(10, 2)
    ends_B = np.arange(length - 1, 10)
    before = hash_windows(hash_readings(readings_NC), ends_B, length)
    readings_NC[5, 1] = -1
    after = hash_windows(hash_readings(readings_NC), ends_B, length)
    assert [end for end, a, b in zip(ends_B, before, after, strict=True) if a != b] == [*range(5, 5 + length)]


def test_a_whole_window_of_one_row_hashes_as_the_row_and_a_missing_reading_as_any_other() -> None:
    readings_NC = np.array([[1, np.nan], [-0.0, 2]], np.float32)
    assert hash_whole_windows(readings_NC[:, None]) == hash_readings(readings_NC)
    other = readings_NC.copy()
    other.view(np.uint32)[0, 1] ^= 1
    assert hash_whole_windows(other[None]) == hash_whole_windows(readings_NC[None])
    assert hash_whole_windows(np.zeros((0, 3, 2), np.float32)) == []


def test_lists_are_hashed_by_their_values_and_their_lengths() -> None:
    lists = [[[1.0, 2.0], [3.0]], [[1.0], [2.0, 3.0]], [[1.0, 2.0], [4.0]], [[1.0, 2.0], [3.0]]]
    hashes = [hash_frame(pl.DataFrame({"a": pl.Series(rows, dtype=pl.List(pl.Float32))})).sha256 for rows in lists]
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[3]
