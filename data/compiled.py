"""Great Expectations' expectations as polars checks that say exactly what it says, many times as fast."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from data.checks import Answer, Check, cannot_check, check_rows, column_values
from data.outcomes import KEYS, SEVERITIES

LIMITS = ("min_value", "max_value", "strict_min", "strict_max")
FLOATS = (pl.Float32, pl.Float64)
INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
NUMBERS = (*FLOATS, *INTEGERS)
COMMON = (*NUMBERS, pl.String, pl.Boolean)
LARGEST_EXACT = 2**53  # among the whole numbers that a float64 holds
LARGE = 1e18  # sums above it may overflow where pandas adds in 32 bits, and squares of them in 64
LONGEST_PATTERN = 100  # polars refuses patterns that grow too large
PLAIN_PATTERN = re.compile(
    r"\^?(?:(?:[A-Za-z0-9 _/:,;-]|\\[.*+?()|{}\[\]^$-]|\.|\[\^?(?:[A-Za-z0-9](?:-[A-Za-z0-9])?|[_ .])+\])"
    r"(?:[*+?]|\{[0-9]{1,2}(?:,[0-9]{1,2})?\})?)*\$?"
)


class _NotCompiledError(Exception):
    """Only Great Expectations itself knows what this means."""


class _MissingError(Exception):
    """The frame has no column of this name."""


@dataclass(frozen=True)
class _Limits:
    low: float | None
    high: float | None
    strict_low: bool
    strict_high: bool

    def hold(self, value: Any) -> bool:
        """Whether a value lies between; compared as numpy does, so that a float32 meets limits in its precision."""
        above = self.low is None or bool(value > self.low if self.strict_low else value >= self.low)
        below = self.high is None or bool(value < self.high if self.strict_high else value <= self.high)
        return above and below


_Compiler = Callable[[pl.DataFrame, Mapping[str, Any]], Check]


def compile_expectation(frame: pl.DataFrame, document: Mapping[str, Any]) -> Check | None:
    """The check of an expectation's JSON on this frame; None where only Great Expectations can check it."""
    compiler, known = COMPILERS.get(str(document.get("type")), (None, ()))
    kwargs = document.get("kwargs")
    if compiler is None or not isinstance(kwargs, dict) or not set(document) <= {*KEYS} or not set(kwargs) <= {*known}:
        return None
    if document.get("severity", "critical") not in SEVERITIES:
        return None
    try:
        return compiler(frame, kwargs)
    except _NotCompiledError:
        return None
    except _MissingError as error:
        return cannot_check(f'Error: The column "{error}" in BatchData does not exist.')


def _columns_match_set(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    expected, exact = kwargs.get("column_set"), kwargs.get("exact_match", True)
    if not isinstance(expected, list) or not all(isinstance(c, str) for c in expected) or not isinstance(exact, bool):
        raise _NotCompiledError
    met = set(expected) == set(frame.columns) if exact else set(expected) <= set(frame.columns)
    return _settled(Answer(met, observed=sorted(frame.columns)))


def _column_exists(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    return _settled(Answer(_name(kwargs) in frame.columns))


def _count_is(count: Callable[[pl.DataFrame], int], frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    if (expected := _whole(kwargs.get("value"))) is None:
        raise _NotCompiledError
    return _settled(Answer(count(frame) == expected, observed=count(frame)))


def _count_between(count: Callable[[pl.DataFrame], int], frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    return _settled(Answer(_limits(kwargs, _whole).hold(count(frame)), observed=count(frame)))


def _values_between(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    limits, mostly = _limits(kwargs), _mostly(kwargs)
    values, _ = _values(frame, kwargs, NUMBERS)
    wide = values.cast(pl.Float64)
    broken = [] if limits.low is None else [wide <= limits.low if limits.strict_low else wide < limits.low]
    broken += [] if limits.high is None else [wide >= limits.high if limits.strict_high else wide > limits.high]
    return check_rows(pl.any_horizontal(broken), values.count(), mostly)


def _not_null(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    mostly = _mostly(kwargs)
    values, _ = _values(frame, kwargs, (*COMMON, pl.Datetime))
    return check_rows(values.is_null(), pl.len(), mostly)


def _null(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    mostly = _mostly(kwargs)
    values, _ = _values(frame, kwargs, (*COMMON, pl.Datetime))
    return check_rows(values.is_not_null(), pl.len(), mostly)


def _in_set(inside: bool, frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    members, mostly = kwargs.get("value_set"), _mostly(kwargs)
    if not isinstance(members, list) or not members:
        raise _NotCompiledError
    values, dtype = _values(frame, kwargs, COMMON)
    found = _looked_up(values, dtype, members)
    return check_rows(~found if inside else found, values.count(), mostly)


def _looked_up(values: pl.Expr, dtype: pl.DataType, members: list[Any]) -> pl.Expr:
    """Whether each value is a member, in the type in which pandas would look it up."""
    kinds = {type(member) for member in members}
    if (dtype == pl.String and kinds == {str}) or (dtype == pl.Boolean and kinds == {bool}):
        return values.is_in(members)
    if not dtype.is_numeric() or not kinds <= {int, float} or not all(abs(m) <= LARGEST_EXACT for m in members):
        raise _NotCompiledError
    if dtype.is_integer() and kinds == {int}:
        return values.cast(pl.Int64).is_in(members)
    return values.cast(pl.Float64).is_in([float(m) for m in members])


def _unique(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    mostly = _mostly(kwargs)
    values, _ = _values(frame, kwargs, COMMON)
    return check_rows(values.is_duplicated() & values.is_not_null(), values.count(), mostly)


def _matches(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    pattern, mostly = kwargs.get("regex"), _mostly(kwargs)
    if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN or not PLAIN_PATTERN.fullmatch(pattern):
        raise _NotCompiledError
    try:
        re.compile(pattern)
    except re.error:
        raise _NotCompiledError from None
    values, _ = _values(frame, kwargs, (pl.String,))
    if pattern.endswith("$") and not pattern.endswith(r"\$"):
        pattern = pattern[:-1] + r"\n?\z"  # Python's $ also stands before a last line feed
    return check_rows(~values.str.contains(pattern), values.count(), mostly)


def _in_order(falling: bool, frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    strictly, mostly = _flag(kwargs, "strictly"), _mostly(kwargs)
    values, _ = _values(frame, kwargs, (*FLOATS, pl.Int64, pl.Datetime))
    ordered = values.to_physical()
    step = ordered - ordered.forward_fill().shift(1)
    wrong = (step > 0 if falling else step < 0) | (strictly & (step == 0))
    return check_rows(wrong & step.is_not_nan(), values.count(), mostly)


def _extreme(largest: bool, frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    limits = _limits(kwargs)
    values, dtype = _values(frame, kwargs, NUMBERS)
    return Check((values.max() if largest else values.min(),), partial(_judge_value, limits, _number_type(dtype)))


def _distinct_count(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    limits = _limits(kwargs, _whole)
    values, _ = _values(frame, kwargs, COMMON)
    return Check((values.drop_nulls().n_unique(),), partial(_judge_value, limits, int))


def _distinct_share(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    limits = _limits(kwargs)
    values, _ = _values(frame, kwargs, COMMON)
    return Check((values.drop_nulls().n_unique(), values.count()), partial(_judge_share, limits))


def _statistic(name: str, scale: Callable[[pl.Expr], pl.Expr], frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    """A statistic that pandas rounds in its own way, so that it leaves open what rounding may decide."""
    limits = _limits(kwargs)
    values, dtype = _values(frame, kwargs, NUMBERS)
    wide, rounding = values.cast(pl.Float64), 1e-5 if dtype == pl.Float32 else 1e-10
    aggregates = (getattr(wide, name)(), scale(wide.abs()), wide.abs().sum())
    return Check(aggregates, partial(_judge_rounded, limits, _number_type(dtype), rounding))


def _judge_value(limits: _Limits, number: Callable[[Any], Any], value: Any) -> Answer:
    if value is None:
        return Answer(False)
    with np.errstate(over="ignore"):
        return Answer(limits.hold(number(value)), observed=value)


def _judge_share(limits: _Limits, distinct: int, present: int) -> Answer:
    share = distinct / present if present else 0
    return Answer(limits.hold(share), observed=share)


def _judge_rounded(
    limits: _Limits,
    number: Callable[[Any], Any],
    rounding: float,
    value: float | None,
    scale: float | None,
    total: float,
) -> Answer | None:
    if not total <= LARGE:
        return None
    slack = rounding * (scale or 0) + 1e-30
    known = (limit for limit in (limits.low, limits.high) if limit is not None)
    if value is not None and scale and any(abs(value - limit) <= slack for limit in known):
        return None
    return _judge_value(limits, number, value)


def _number_type(dtype: pl.DataType) -> Callable[[Any], Any]:
    return np.float32 if dtype == pl.Float32 else np.float64


def _settled(answer: Answer) -> Check:
    return Check((), lambda: answer)


def _values(frame: pl.DataFrame, kwargs: Mapping[str, Any], dtypes: tuple[Any, ...]) -> tuple[pl.Expr, pl.DataType]:
    """A column as pandas holds it for Great Expectations: NaN is null, and whole numbers with gaps are floats."""
    name = _name(kwargs)
    if name not in frame.columns:
        raise _MissingError(name)
    values, dtype = column_values(frame, name), frame.schema[name]
    if dtype not in dtypes or (isinstance(dtype, pl.Datetime) and dtype.time_zone is not None):
        raise _NotCompiledError
    if dtype.is_integer() and frame[name].null_count():
        return values.cast(pl.Float64), pl.Float64()
    return values, dtype


def _name(kwargs: Mapping[str, Any]) -> str:
    if not isinstance(name := kwargs.get("column"), str):
        raise _NotCompiledError
    return name


def _flag(kwargs: Mapping[str, Any], key: str) -> bool:
    if not isinstance(flag := kwargs.get(key, False), bool):
        raise _NotCompiledError
    return flag


def _mostly(kwargs: Mapping[str, Any]) -> float:
    mostly = _number(kwargs.get("mostly", 1))
    if mostly is None or not 0 <= mostly <= 1:
        raise _NotCompiledError
    return mostly


def _limits(kwargs: Mapping[str, Any], read: Callable[[object], float | None] | None = None) -> _Limits:
    low, high = ((read or _number)(kwargs.get(key)) for key in LIMITS[:2])
    given = [kwargs[key] for key in LIMITS[:2] if kwargs.get(key) is not None]
    if not given or len(given) != (low is not None) + (high is not None):
        raise _NotCompiledError
    if low is not None and high is not None and low > high:
        raise _NotCompiledError
    return _Limits(low, high, _flag(kwargs, "strict_min"), _flag(kwargs, "strict_max"))


def _number(value: object) -> float | None:
    """A finite number as Great Expectations reads it; whole numbers become floats."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= 1e300:
        return None
    return float(value)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


COMPILERS: dict[str, tuple[_Compiler, tuple[str, ...]]] = {
    "expect_table_columns_to_match_set": (_columns_match_set, ("column_set", "exact_match")),
    "expect_table_row_count_to_equal": (partial(_count_is, lambda f: f.height), ("value",)),
    "expect_table_row_count_to_be_between": (partial(_count_between, lambda f: f.height), LIMITS),
    "expect_table_column_count_to_equal": (partial(_count_is, lambda f: f.width), ("value",)),
    "expect_table_column_count_to_be_between": (partial(_count_between, lambda f: f.width), LIMITS[:2]),
    "expect_column_to_exist": (_column_exists, ("column",)),
    "expect_column_values_to_be_between": (_values_between, ("column", "mostly", *LIMITS)),
    "expect_column_values_to_not_be_null": (_not_null, ("column", "mostly")),
    "expect_column_values_to_be_null": (_null, ("column", "mostly")),
    "expect_column_values_to_be_in_set": (partial(_in_set, True), ("column", "mostly", "value_set")),
    "expect_column_values_to_not_be_in_set": (partial(_in_set, False), ("column", "mostly", "value_set")),
    "expect_column_values_to_be_unique": (_unique, ("column", "mostly")),
    "expect_column_values_to_match_regex": (_matches, ("column", "mostly", "regex")),
    "expect_column_values_to_be_increasing": (partial(_in_order, False), ("column", "mostly", "strictly")),
    "expect_column_values_to_be_decreasing": (partial(_in_order, True), ("column", "mostly", "strictly")),
    "expect_column_min_to_be_between": (partial(_extreme, False), ("column", *LIMITS)),
    "expect_column_max_to_be_between": (partial(_extreme, True), ("column", *LIMITS)),
    "expect_column_mean_to_be_between": (partial(_statistic, "mean", pl.Expr.mean), ("column", *LIMITS)),
    "expect_column_median_to_be_between": (partial(_statistic, "median", pl.Expr.max), ("column", *LIMITS)),
    "expect_column_stdev_to_be_between": (partial(_statistic, "std", pl.Expr.max), ("column", *LIMITS)),
    "expect_column_sum_to_be_between": (partial(_statistic, "sum", pl.Expr.sum), ("column", *LIMITS)),
    "expect_column_unique_value_count_to_be_between": (_distinct_count, ("column", *LIMITS)),
    "expect_column_proportion_of_unique_values_to_be_between": (_distinct_share, ("column", *LIMITS)),
}
