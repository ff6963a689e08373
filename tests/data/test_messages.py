import json
from pathlib import Path

import polars as pl
import pytest

from data.inbox import take, waiting
from data.messages import ORIGIN, Message, PoisonError, last_offset, row_of, write_batch


def message(offset: int, value: bytes = b"{}", partition: int = 0) -> Message:
    return Message("plant.line-3", partition, offset, value)


def rows(*offsets: int, partition: int = 0) -> list[tuple[Message, dict[str, str | int | float | bool | None]]]:
    return [(message(offset, partition=partition), {"heat": 900.5, "part": offset}) for offset in offsets]


def test_a_row_is_an_object_of_plain_values() -> None:
    assert row_of(message(0, b'{"heat": 1.5, "ok": true, "note": null, "line": "3"}')) == {
        "heat": 1.5, "ok": True, "note": None, "line": "3",
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"[1]", b"{}", b'{"a": NaN}', b'{"a": 1e400}', b'{"a": [1]}', b'{"a": {}}', b"[" * 100_000, b"heat"],
)
def test_what_is_no_row_is_poison(value: bytes) -> None:
    with pytest.raises(PoisonError):
        row_of(message(0, value))


def test_a_message_is_taken_once_whoever_writes_it_and_where_its_file_lies_by_now(tmp_path: Path) -> None:
    assert last_offset(tmp_path, "plant.line-3", 0) == -1
    assert write_batch(tmp_path, rows(0, 1, 2), "20260101T000000.000000Z") == 3
    assert write_batch(tmp_path, rows(1, 2, 4), "20260101T000001.000000Z") == 1
    assert write_batch(tmp_path, rows(4), "20260101T000002.000000Z") == 0
    assert write_batch(tmp_path, rows(0, partition=1), "20260101T000003.000000Z") == 1
    first, second, _ = waiting(tmp_path)
    assert pl.read_parquet(first)["part"].to_list() == [0, 1, 2]
    assert pl.read_parquet(second)["part"].to_list() == [4]
    assert pl.read_parquet_metadata(first)[ORIGIN] == "plant.line-3/0/0 to 2"
    for file in waiting(tmp_path):
        take(file)
    assert last_offset(tmp_path, "plant.line-3", 0) == 4
    assert last_offset(tmp_path, "plant.line", 0) == -1
    assert write_batch(tmp_path, rows(2, 3, 4), "20260101T000004.000000Z") == 0


def test_equal_rows_at_other_places_are_no_duplicates(tmp_path: Path) -> None:
    same = {"heat": 1.0}
    write_batch(tmp_path, [(message(0), same)], "1")
    write_batch(tmp_path, [(message(1), same)], "2")
    first, second = waiting(tmp_path)
    assert first.read_bytes() != second.read_bytes()
    assert pl.read_parquet(first).equals(pl.read_parquet(second))


def test_columns_are_numbers_where_all_are(tmp_path: Path) -> None:
    values = [{"a": 1, "b": 1, "c": "x"}, {"a": 2.5, "b": None, "c": 7}, {"b": 2**60}]
    write_batch(tmp_path, [(message(i, json.dumps(v).encode()), v) for i, v in enumerate(values)], "1")
    frame = pl.read_parquet(waiting(tmp_path)[0])
    assert frame.schema == {"a": pl.Float64, "b": pl.Float64, "c": pl.String}
    assert frame["c"].to_list() == ["x", "7", None]
