import json
from pathlib import Path

import polars as pl
import pytest

from data.inbox import take, waiting
from data.messages import Message, PoisonError, Row, csv_reader, read_json
from data.stream_files import ORIGIN, last_offset, write_batch


def message(offset: int, value: bytes = b"{}", partition: int = 0) -> Message:
    return Message("plant.line-3", partition, offset, value)


def rows(*offsets: int, partition: int = 0) -> list[tuple[Message, Row]]:
    return [(message(offset, partition=partition), {"heat": 900.5, "part": offset}) for offset in offsets]


def test_a_row_is_an_object_of_plain_values() -> None:
    (row,) = read_json(message(0, b'{"heat": 1.5, "ok": true, "note": null, "line": "3"}'))
    assert row == {"heat": 1.5, "ok": True, "note": None, "line": "3"}


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"\xff", b"[1]", b"{}", b'{"a": NaN}', b'{"a": 1e400}', b'{"a": [1]}', b'{"a": {}}', b"[" * 100_000),
        *(b"heat", b'{"a": 1, "a": 2}', b'{"a": 1%s}' % (b"0" * 400), b'{"a": "\\ud800"}', b'{"\\ud800": 1}'),
        b'{"a": "%s"}' % (b"x" * 20_000),
    ],
)
def test_what_is_no_row_is_poison(value: bytes) -> None:
    with pytest.raises(PoisonError):
        read_json(message(0, value))


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


def test_cells_are_numbers_where_they_read_as_numbers() -> None:
    read = csv_reader(["heat", "line", "part"])
    (row,) = read(message(0, b'9.5e2, "a, b",\r\n'))
    assert row == {"heat": 950.0, "line": "a, b", "part": None}
    assert read(message(0, b"\xef\xbb\xbfheat,line,part\n1,x,007\n\n-2,1_0,+3")) == [
        {"heat": 1, "line": "x", "part": 7},
        {"heat": -2, "line": "1_0", "part": 3},
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "holds no row"),
        (b"heat,line\n", "holds no row"),
        (b"1", "1 cells where there are the 2 columns"),
        (b"1,2,3", "3 cells"),
        (b"1,nan", "no finite number"),
        (b"-inf,1", "no finite number"),
        (b"1e400,1", "no finite number"),
        (b"\xff,1", "no CSV"),
        (b'"1,2', "no CSV"),
        (b"1," + b"x" * 200_000, "no CSV"),
        (b"1," + b"x" * 20_000, "a text of 20,000 characters"),
    ],
)
def test_lines_that_are_no_rows_are_poison(value: bytes, said: str) -> None:
    with pytest.raises(PoisonError, match=said):
        csv_reader(["heat", "line"])(message(0, value))


def test_columns_have_names_each_once() -> None:
    for columns in ([], ["a", "a"], ["a", ""]):
        with pytest.raises(ValueError, match="expected names, each once"):
            csv_reader(columns)


def test_where_messages_are_dealt_out_a_file_says_which_it_holds(tmp_path: Path) -> None:
    assert write_batch(tmp_path, rows(7, 1, 5), "1", in_order=False) == 3
    assert write_batch(tmp_path, rows(2, 6), "2", in_order=False) == 2
    assert write_batch(tmp_path, rows(5, 3, 6, 9, 9), "3", in_order=False) == 2
    parts = [pl.read_parquet(file)["part"].to_list() for file in waiting(tmp_path)]
    assert parts == [[1, 5, 7], [2, 6], [3, 9]]
    for file in waiting(tmp_path):
        take(file)
    assert write_batch(tmp_path, rows(1, 2, 3, 5, 6, 7, 9), "4", in_order=False) == 0
    large = (1_795_281_702_883 << 64) + 2
    assert write_batch(tmp_path, rows(large), "5", in_order=False) == 1
    assert write_batch(tmp_path, rows(large), "6", in_order=False) == 0
    assert last_offset(tmp_path, "plant.line-3", 0) == large
