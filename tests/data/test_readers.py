import gzip
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.readers import BadBatch, read_batch, read_columns
from data.schema import Schema
from data.sources import Arrival

SCHEMA = Schema(("a", "b"), "y", None, None, "classification", (-200.0, "n/a"))
TIMED = Schema(("a",), "y", "t", "g", "regression", (-200.0,))


def csv(text: str | bytes) -> Arrival:
    return Arrival("x.csv", text.encode() if isinstance(text, str) else text, "csv")


def parquet(**columns: object) -> Arrival:
    buffer = BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return Arrival("x.parquet", buffer.getvalue(), "parquet")


def refusal(arrival: Arrival, schema: Schema = SCHEMA) -> str:
    with pytest.raises(BadBatch) as caught:
        read_batch(arrival, schema)
    return caught.value.reason


def test_columns_by_role_and_type() -> None:
    frame = read_batch(csv("t,g,extra,y,a\n2026-01-02 03:04:05,7,?,1.5,2\n,,?,-200,\n"), TIMED)
    assert frame.schema == {"a": pl.Float32, "y": pl.Float32, "t": pl.Datetime("us"), "g": pl.String}
    assert frame.rows() == [(2.0, 1.5, datetime(2026, 1, 2, 3, 4, 5), "7"), (None, None, None, None)]


@pytest.mark.parametrize(
    "text", ["a,b,y\n-200,n/a,1\n,NaN,n/a\n-200.0,nan,-200\n", "a,b,y\n -200 , n/a ,1\n , NaN, n/a \n-2e2 ,nan,-200\n"]
)
def test_missing_values_are_null_on_the_fast_and_the_slow_path(text: str) -> None:
    frame = read_batch(csv(text), SCHEMA)
    assert frame["a"].null_count() == frame["b"].null_count() == 3
    assert frame["y"].to_list() == ["1", None, None]


def test_whole_numbers_are_one_class_however_they_are_written() -> None:
    assert read_batch(csv("a,b,y\n1,2,1\n1,2,1.0\n1,2, 1\n"), SCHEMA)["y"].to_list() == ["1"] * 3
    assert read_batch(parquet(a=[1], b=[2], y=[1.0]), SCHEMA)["y"].to_list() == ["1"]
    assert read_batch(parquet(a=[1], b=[2], y=[1]), SCHEMA)["y"].to_list() == ["1"]


def test_headers_may_have_a_byte_order_mark_blanks_and_quotes() -> None:
    arrival = csv('\ufeffa , "b",y,,\r\n1,2,ok,,\r\n'.replace(', "b"', ',"b"'))
    assert read_columns(arrival) == ["a", "b", "y"]
    assert read_batch(arrival, SCHEMA).rows() == [(1.0, 2.0, "ok")]


def test_gzip_and_no_line_break_at_the_end() -> None:
    arrival = Arrival("x.csv.gz", gzip.compress(b"a,b,y\n1,2,ok\n3,4,no"), "csv.gz")
    assert read_batch(arrival, SCHEMA).rows() == [(1.0, 2.0, "ok"), (3.0, 4.0, "no")]


def test_quoted_labels_may_hold_commas_and_line_breaks() -> None:
    assert read_batch(csv('a,b,y\n1,2,"o,\nk"\n'), SCHEMA)["y"].to_list() == ["o,\nk"]


def test_infinity_that_was_written_is_left_to_validation() -> None:
    assert read_batch(csv("a,b,y\ninf,2,ok\n"), SCHEMA)["a"].to_list() == [float("inf")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("a,b,y\n", "a header but no rows"),
        ("a,b\n1,2\n", "missing column 'y'; the file has 'a', 'b'"),
        ("a;b;y\n1;2;3\n", "separated by commas"),
        ("<!DOCTYPE html><html><body>502</body></html>", "web page"),
        ("a,b,y\n1,2,ok\n1,ERR,ok\n1,ERR,ok\n", r"column 'b', row 2: 'ERR' is not a number (2 such values"),
        ("a,b,y\n1,ERR,ok\n", "list it under data.missing: [ERR]"),
        ("a,b,y\n1,2,ok\n1,2,ok,5\n1,2,ok\n", "1 of 3 rows have more or fewer fields"),
        ("a,b,y\n1,2,ok\n2,ok\n1,2,ok\n", "stand in the wrong columns; first row 2 with 2"),
        ("a,b,y\n1,2,ok\n1,2", "the last row (2) is cut off: 2 of 3 fields"),
        ("a,b,y\n1,2,ok,9\n1,2,ok,9\n", "the header does not fit the data"),
        ("a,b,y\n1,5,2,5,ok\n2,5,3,5,ok\n", "decimal commas"),
        ('a,b,y\n"1,5",2,ok\n', "'1,5' has a decimal comma; write 1.5"),
        ("a,b,y\n1,1e400,ok\n", "column 'b', row 1: 1e400 is too large"),
        ("a,b,y\n1,1e39,ok\ninf,2,ok\n", "column 'b', row 1: 1e39 is too large"),
        ("a,b,b,y\n1,2,3,ok\n", "'b' more than once"),
        (b"a,b,y\n1,2,caf\xe9\n", "not UTF-8 text (line 2)"),
        ("a,b,y\n1,2,ok\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04 workbook", "Excel"),
        (b"a,b,y\n\0\0\n", "binary"),
        ('a,b,y\n1,2,"ok\n', "not readable as CSV"),
    ],
)
def test_a_bad_csv_is_refused_with_its_reason(content: str | bytes, said: str) -> None:
    assert said in refusal(csv(content))


def test_bad_gzip() -> None:
    zipped = gzip.compress(b"a,b,y\n" + b"1,2,ok\n" * 100)
    assert "cut off" in refusal(Arrival("x.csv.gz", zipped[:-9], "csv.gz"))
    assert "not a readable gzip" in refusal(Arrival("x.csv.gz", b"a,b,y\n1,2,3\n", "csv.gz"))
    assert "empty" in refusal(Arrival("x.csv.gz", b"", "csv.gz"))


@pytest.mark.parametrize(
    ("arrival", "said"),
    [
        (parquet(a=["x"], b=[1.0], y=["ok"]), "column 'a' must hold numbers, not text"),
        (parquet(a=[datetime(2026, 1, 1)], b=[1.0], y=["ok"]), "column 'a' must hold numbers, not times"),
        (parquet(a=[1.0], b=[1e300], y=["ok"]), "column 'b', row 1: 1e+300 is too large"),
        (parquet(a=[1.0], b=[1.0], y=[[1]]), "column 'y' must hold labels"),
        (parquet(a=[1.0], b=[1.0]), "missing column 'y'"),
        (parquet(a=[], b=[], y=[]), "no rows"),
        (Arrival("x.parquet", b"PAR1" + b"x" * 40, "parquet"), "cut off"),
        (Arrival("x.parquet", b"a,b,y\n", "parquet"), "not a readable Parquet"),
        (Arrival("x.parquet", b"", "parquet"), "empty"),
    ],
)
def test_a_bad_parquet_is_refused_with_its_reason(arrival: Arrival, said: str) -> None:
    assert said in refusal(arrival)


def test_parquet_types() -> None:
    arrival = parquet(a=[1, None], y=[0.5, -200.0], t=[datetime(2026, 1, 1), None], g=[3, 4])
    assert read_batch(arrival, TIMED).rows() == [(1.0, 0.5, datetime(2026, 1, 1), "3"), (None, None, None, "4")]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("1/13/2011", datetime(2011, 1, 13)),
        ("13/1/2011", datetime(2011, 1, 13)),
        ("13.1.2011 14:30", datetime(2011, 1, 13, 14, 30)),
        ("2011-01-13T14:30:00Z", datetime(2011, 1, 13, 14, 30)),
        ("2011-01-13T14:30:00+02:00", datetime(2011, 1, 13, 12, 30)),
        ("2011-01-13", datetime(2011, 1, 13)),
        ("1294929000", datetime(2011, 1, 13, 14, 30)),
        ("1294929000000", datetime(2011, 1, 13, 14, 30)),
    ],
)
def test_times_as_plants_write_them(text: str, first: datetime) -> None:
    assert read_batch(csv(f"t,g,a,y\n{text},1,1,1\n"), TIMED)["t"].to_list() == [first]


def test_day_or_month_first_by_the_order_of_time() -> None:
    times = read_batch(csv("t,g,a,y\n5/1/2011,1,1,1\n6/1/2011,1,1,1\n1/2/2011,1,1,1\n"), TIMED)["t"]
    assert times.to_list() == [datetime(2011, 1, 5), datetime(2011, 1, 6), datetime(2011, 2, 1)]


def test_what_is_no_time_is_refused() -> None:
    assert "column 't' must hold times" in refusal(csv("t,g,a,y\n2026-01-01,1,1,1\nyesterday,1,1,1\n"), TIMED)
    assert "row 2 holds 'yesterday'" in refusal(csv("t,g,a,y\n2026-01-01,1,1,1\nyesterday,1,1,1\n"), TIMED)


float32 = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda v: v != -200)
labels = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6).filter(
    lambda s: s not in ("n/a", "-200") and not s.lstrip("-").replace(".", "").isdigit()
)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.integers(1, 30))
    numbers = st.lists(st.none() | float32, min_size=rows, max_size=rows)
    return pl.DataFrame(
        {
            "a": pl.Series(draw(numbers), dtype=pl.Float32),
            "b": pl.Series(draw(numbers), dtype=pl.Float32),
            "y": pl.Series(draw(st.lists(st.none() | labels, min_size=rows, max_size=rows)), dtype=pl.String),
        }
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(frames(), st.booleans(), st.booleans())
def test_what_was_written_is_what_is_read(frame: pl.DataFrame, quoted: bool, slow: bool) -> None:
    text = frame.write_csv(quote_style="always" if quoted else "necessary")
    if slow:
        header, _, body = text.partition("\n")
        text = header + "\n" + "\n".join(f" {line}" if not quoted else line for line in body.splitlines())
    assert read_batch(csv(text), SCHEMA).equals(frame)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(frames())
def test_parquet_gives_the_same_frame(frame: pl.DataFrame) -> None:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    assert read_batch(Arrival("x.parquet", buffer.getvalue(), "parquet"), SCHEMA).equals(frame)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for name in ("csv", "csv.gz", "parquet"):
        for body in (content, b"a,b,y\n" + content):
            try:
                frame = read_batch(Arrival("x", body, name), SCHEMA)  # pyright: ignore[reportArgumentType]
            except BadBatch:
                continue
            assert frame.height >= 1


def test_the_real_files_read_as_they_are(shared_data: Path) -> None:
    file = shared_data / "air_quality" / "air_quality.csv"
    schema = Schema(("PT08.S1(CO)", "T", "RH"), "NO2(GT)", "Date", None, "regression", (-200.0,))
    frame = read_batch(Arrival(file.name, file.read_bytes(), "csv"), schema)
    assert frame.height == 4902
    assert float(np.nanmin(frame["T"].to_numpy())) > -50
    machine = shared_data / "ai4i" / "ai4i2020.csv"
    assert "Process_temperature" in read_columns(Arrival(machine.name, machine.read_bytes(), "csv"))
