"""Expectations as polars expressions: all of a suite's in one pass over the frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl
import polars.selectors as cs


@dataclass(frozen=True)
class Answer:
    """Whether an expectation is met; the fields mean what an outcome's do."""

    met: bool
    failing: int | None = None
    observed: object = None
    error: str | None = None


@dataclass(frozen=True)
class Check:
    """An expectation ready to run.

    aggregates: expressions of one value each. judge: what these values mean, None where they cannot decide. broken:
    true for each row that breaks the expectation, None where it is about the whole batch.
    """

    aggregates: tuple[pl.Expr, ...]
    judge: Callable[..., Answer | None]
    broken: pl.Expr | None = None


def check_rows(broken: pl.Expr, judged: pl.Expr, mostly: float) -> Check:
    """Rows that may break an expectation, of which the share `mostly` must not; `judged` counts all that count."""
    return Check((broken.sum(), judged), partial(_judge_share, mostly), broken)


def cannot_check(error: str) -> Check:
    """What stands for an expectation that this frame cannot be checked by."""
    return Check((), lambda: Answer(False, error=error))


def exact_column(name: str) -> pl.Expr:
    """The column of exactly this name, where `pl.col` would read "^a$" as a pattern."""
    return cs.by_name(name).as_expr()


def column_values(frame: pl.DataFrame, name: str) -> pl.Expr:
    """The column of exactly this name, null where it is NaN."""
    values = exact_column(name)
    return values.fill_nan(None) if frame.schema[name].is_float() else values


def judge_all(frame: pl.DataFrame, checks: Sequence[Check]) -> list[Answer | None]:
    """Every check's answer, from one pass over the frame."""
    expressions = [
        expression.alias(f"{number} {place}")
        for number, check in enumerate(checks)
        for place, expression in enumerate(check.aggregates)
    ]
    values = iter(frame.lazy().select(expressions).collect().row(0) if expressions else ())
    return [check.judge(*(next(values) for _ in check.aggregates)) for check in checks]


def broken_rows(frame: pl.DataFrame, checks: Sequence[Check]) -> list[tuple[int, ...]]:
    """The indices of the rows that break each check, in order; none for a check of the whole batch."""
    masks = {str(number): check.broken for number, check in enumerate(checks) if check.broken is not None}
    if not masks:
        return [() for _ in checks]
    found = frame.lazy().select(mask.arg_true().implode().alias(name) for name, mask in masks.items()).collect()
    return [tuple(found[name][0]) if (name := str(number)) in masks else () for number in range(len(checks))]


def _judge_share(mostly: float, failing: int, judged: int) -> Answer:
    if judged == 0:
        return Answer(True, failing)
    return Answer((judged - failing) / judged >= mostly, failing, failing / judged * 100)
