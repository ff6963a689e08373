"""Expectations about sensors that Great Expectations does not know, in the same JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import polars as pl

from data.checks import Answer, Check, cannot_check, check_rows, column_values, exact_column
from data.outcomes import KEYS, SEVERITIES


@dataclass(frozen=True)
class _Argument:
    allowed: str
    accepts: Callable[[Any], bool]
    required: bool = False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


COLUMN = _Argument("the name of a column", lambda v: isinstance(v, str), required=True)
GROUP = _Argument("the name of the column whose values are checked apart", lambda v: isinstance(v, str))
MOSTLY = _Argument("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1)
STRICTLY = _Argument("true or false", lambda v: isinstance(v, bool))
SECONDS = _Argument("a number above 0 and at most 1e9", lambda v: _is_number(v) and 0 < v <= 1e9, required=True)
MAX_RUN = _Argument("a whole number of at least 1", _is_count, required=True)
MAX_JUMP = _Argument("a number of at least 0", lambda v: _is_number(v) and v >= 0, required=True)
MIN_DISTINCT = _Argument("a whole number of at least 1", _is_count)
ROWS = {"column": COLUMN, "group": GROUP, "mostly": MOSTLY}


def check_arguments(document: Mapping[str, Any]) -> None:
    """Check a sensor expectation's JSON; raises ValueError that names what is wrong in it and what is allowed."""
    kind, kwargs = document["type"], document.get("kwargs")
    arguments = SENSOR_EXPECTATIONS[kind][1]
    if not isinstance(kwargs, dict):
        raise ValueError(f"{kind} needs a mapping 'kwargs' with {', '.join(arguments)}")
    if strange := [key for key in document if key not in KEYS]:
        raise ValueError(f"{kind} has no key {strange[0]!r}; its keys are {', '.join(KEYS)}")
    if strange := [key for key in kwargs if key not in arguments]:
        raise ValueError(f"{kind} has no argument {strange[0]!r}; its arguments are {', '.join(arguments)}")
    for name, argument in arguments.items():
        if name not in kwargs and argument.required:
            raise ValueError(f"{kind} needs the argument {name!r}, {argument.allowed}")
        if name in kwargs and not argument.accepts(kwargs[name]):
            raise ValueError(f"{kind}: {name!r} must be {argument.allowed}, not {kwargs[name]!r}")
    if (severity := document.get("severity", "critical")) not in SEVERITIES:
        raise ValueError(f"Invalid severity {severity!r}; allowed are {', '.join(SEVERITIES)}")


def compile_sensor_expectation(frame: pl.DataFrame, document: Mapping[str, Any]) -> Check:
    """The check of a sensor expectation's JSON on this frame; raises ValueError as `check_arguments` does."""
    check_arguments(document)
    kwargs = document["kwargs"]
    for key in ("column", "group"):
        if key in kwargs and kwargs[key] not in frame.columns:
            return cannot_check(f"there is no column {kwargs[key]!r}")
    return SENSOR_EXPECTATIONS[document["type"]][0](frame, kwargs)


def _monotonic_time(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    times = column_values(frame, kwargs["column"])
    if not frame.schema[kwargs["column"]].is_temporal():
        return _wrong_type(frame, kwargs, "times")
    before = _before(times, kwargs)
    return _check(times <= before if kwargs.get("strictly", False) else times < before, times, kwargs)


def _sampling_gaps(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    times = column_values(frame, kwargs["column"])
    if not isinstance(frame.schema[kwargs["column"]], pl.Datetime):
        return _wrong_type(frame, kwargs, "times")
    return _check(times - _before(times, kwargs) > timedelta(seconds=kwargs["seconds"]), times, kwargs)


def _not_flat(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    """Every row of a run that is too long breaks it; a missing value does not end a run."""
    values = column_values(frame, kwargs["column"])
    run = _apart((values != _before(values, kwargs)).fill_null(False).cum_sum(), kwargs)
    keys = [run] if "group" not in kwargs else [run, exact_column(kwargs["group"])]
    return _check(values.is_not_null() & (values.count().over(keys) > kwargs["max_run"]), values, kwargs)


def _jumps(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    if not frame.schema[kwargs["column"]].is_numeric():
        return _wrong_type(frame, kwargs, "numbers")
    values = column_values(frame, kwargs["column"]).cast(pl.Float64)
    jump = (values - _before(values, kwargs)).abs().fill_nan(None)
    return _check(jump > kwargs["max_jump"], values, kwargs)


def _not_dead(frame: pl.DataFrame, kwargs: Mapping[str, Any]) -> Check:
    least = kwargs.get("min_distinct", 2)
    distinct = column_values(frame, kwargs["column"]).drop_nulls().n_unique()
    return Check((distinct,), partial(_judge_distinct, least))


def _judge_distinct(least: int, found: int) -> Answer:
    return Answer(found >= least, observed=found)


def _before(values: pl.Expr, kwargs: Mapping[str, Any]) -> pl.Expr:
    """The value before each one that is not missing."""
    return _apart(values.forward_fill().shift(1), kwargs)


def _apart(expression: pl.Expr, kwargs: Mapping[str, Any]) -> pl.Expr:
    return expression.over(exact_column(kwargs["group"])) if "group" in kwargs else expression


def _check(broken: pl.Expr, values: pl.Expr, kwargs: Mapping[str, Any]) -> Check:
    return check_rows(broken, values.count(), kwargs.get("mostly", 1))


def _wrong_type(frame: pl.DataFrame, kwargs: Mapping[str, Any], wanted: str) -> Check:
    return cannot_check(f"the column {kwargs['column']!r} holds {frame.schema[kwargs['column']]}, not {wanted}")


SENSOR_EXPECTATIONS: dict[str, tuple[Callable[[pl.DataFrame, Mapping[str, Any]], Check], dict[str, _Argument]]] = {
    "expect_column_values_to_be_monotonic_time": (_monotonic_time, ROWS | {"strictly": STRICTLY}),
    "expect_sampling_gaps_to_be_at_most": (_sampling_gaps, ROWS | {"seconds": SECONDS}),
    "expect_column_not_to_be_flat": (_not_flat, ROWS | {"max_run": MAX_RUN}),
    "expect_column_jumps_to_be_at_most": (_jumps, ROWS | {"max_jump": MAX_JUMP}),
    "expect_column_not_to_be_dead": (_not_dead, {"column": COLUMN, "min_distinct": MIN_DISTINCT}),
}
