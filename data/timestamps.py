"""Times as plants write them: ISO, day or month first, or a number."""

import polars as pl

from data.bad_batch import BadBatch

FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%d %H:%M:%S%.f%:z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
)
UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (float("inf"), 1e-3))  # below it: microseconds of one count


def parse_timestamps(times: pl.Series) -> pl.Series:
    """Times as Datetime("us"), in UTC where the text says its zone; missing ones stay null.

    Numbers count from 1970: below 1e11 seconds, then milliseconds, microseconds, nanoseconds. Where both day first
    and month first fit all values, the one whose times do not run backwards is meant, else month first.
    Raises BadBatch with the row of the first value that is no time.
    """
    if isinstance(times.dtype, pl.Datetime | pl.Date):
        return _naive(times)
    if times.dtype.is_numeric():
        return _from_numbers(times.cast(pl.Float64))
    text = times.str.strip_chars().replace("", None)
    text = text.str.replace(r"Z$", "+00:00")
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() == text.null_count():
        return _from_numbers(numbers)
    return _from_text(text)


def _from_numbers(numbers: pl.Series) -> pl.Series:
    largest = numbers.abs().max()
    scale = next(us for limit, us in UNITS if not isinstance(largest, float) or largest < limit)
    return (numbers * scale).round().cast(pl.Int64).cast(pl.Datetime("us"))


def _from_text(text: pl.Series) -> pl.Series:
    parsed = [_parse(text, form) for form in FORMATS]
    fewest = min(p.null_count() for p in parsed)
    if fewest > text.null_count():
        best = next(p for p in parsed if p.null_count() == fewest)
        row = int((best.is_null() & text.is_not_null()).arg_max() or 0)
        raise BadBatch(
            f"column {text.name!r} must hold times such as 2026-11-21 08:30:00; row {row + 1} holds {text[row]!r}"
        )
    fitting = [p for p in parsed if p.null_count() == fewest]
    return next((p for p in fitting if p.drop_nulls().is_sorted()), fitting[0])


def _parse(text: pl.Series, form: str) -> pl.Series:
    if form.endswith("%:z"):
        return _naive(text.str.to_datetime(form, time_unit="us", strict=False))
    return text.str.to_datetime(form, time_unit="us", strict=False)


def _naive(times: pl.Series) -> pl.Series:
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us"))
