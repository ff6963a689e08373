import polars as pl
import pytest

from data.inputs import check_inputs, read_inputs
from data.schema import Schema
from data.sources import Arrival

SCHEMA = Schema(("a", "b"), "y", "time", "unit", "classification", (-200.0,))


def read(text: str, length: int = 1) -> pl.DataFrame:
    return read_inputs(Arrival("in.csv", text.encode(), "csv"), SCHEMA, length)


def test_columns_in_any_order_with_or_without_the_others() -> None:
    frame = read("b,extra,a\n2,x,1\n-200,,3\n")
    assert frame.select("row", "a", "b").rows() == [(1, 1.0, 2.0), (2, 3.0, None)]
    assert read("y,b,a\nok,2,1\n").columns == ["row", "a", "b"]


def test_rows_of_a_group_come_together_for_windows() -> None:
    frame = read("a,b,unit\n1,1,y\n2,2,x\n3,3,y\n4,4,x\n", length=2)
    assert frame["row"].to_list() == [2, 4, 1, 3]


@pytest.mark.parametrize(
    ("text", "length", "said"),
    [
        ("a\n1\n", 1, r"in.csv: missing column 'b'"),
        ("a,b\n1,warm\n", 1, r"in.csv: .*warm"),
        ("a,b\n", 1, "in.csv: the file has a header but no rows"),
        ("", 1, "in.csv: the file is empty"),
        ("a,b\n1,2\n", 2, "missing 'unit'; needed are a, b, unit; given are a, b"),
        ("a,b,unit\n1,2,x\n", 3, "1 rows are fewer than one window of 3"),
    ],
)
def test_what_cannot_be_predicted_is_refused(text: str, length: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text, length)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["warm"], "b must hold numbers, got String such as 'warm'"),
        ([float("inf")], "b must hold finite numbers in float32, got inf in row 1"),
        ([1e300], "b must hold finite numbers in float32"),
        ([True], "b must hold numbers, got Boolean"),
    ],
)
def test_a_frame_is_held_to_the_same(values: list[object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_inputs(pl.DataFrame({"a": [1.0], "b": values}), SCHEMA, 1)
