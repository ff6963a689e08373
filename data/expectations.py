"""Suites in Great Expectations' language, with sensor expectations of our own, behind our own types.

The only file that imports Great Expectations, and only when it is needed: what polars can check as exactly, it checks.
"""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from data.checks import Answer, Check, broken_rows, judge_all
from data.compiled import compile_expectation
from data.outcomes import Outcome
from data.sensor_expectations import SENSOR_EXPECTATIONS, check_arguments, compile_sensor_expectation

PLACE = "lehr_place"  # Great Expectations' results come in an order of its own


def check_expectation(document: Mapping[str, Any]) -> None:
    """Check one expectation's JSON; raises ValueError where its type, arguments or severity do not exist."""
    if _is_own(document):
        check_arguments(document)
    else:
        _build(document)


def suite_document(name: str, expectations: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> dict[str, Any]:
    """A suite's JSON as Great Expectations writes it, sensor expectations as they are; raises as the check does."""
    for document in expectations:
        check_expectation(document)
    built = [_build(e) for e in expectations if not _is_own(e)]
    suite = _great_expectations().ExpectationSuite(name=name, expectations=built, meta=dict(meta))
    written = dict(suite.to_json_dict())
    rest = iter(written["expectations"])
    return written | {
        "expectations": [dict(e) if e["type"] in SENSOR_EXPECTATIONS else next(rest) for e in expectations]
    }


def check_expectations(frame: pl.DataFrame, suite: Mapping[str, Any]) -> list[Outcome]:
    """Check every expectation of a suite, in its order; raises ValueError as `check_expectation` does.

    Only critical ones name their rows.
    """
    documents: list[Mapping[str, Any]] = suite["expectations"]
    outcomes = _check_compiled(frame, documents)
    left = [place for place in range(len(documents)) if place not in outcomes]
    if left:
        checked = check_in_great_expectations(frame, [documents[place] for place in left])
        outcomes |= dict(zip(left, checked, strict=True))
    return [outcomes[place] for place in range(len(documents))]


def check_in_great_expectations(frame: pl.DataFrame, documents: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """Check expectations in Great Expectations itself; raises ValueError as `check_expectation` does."""
    ge = _great_expectations()
    built = [_build({**e, "meta": {**(e.get("meta") or {}), PLACE: place}}) for place, e in enumerate(documents)]
    severe = [e for e in built if e.severity == "critical"]
    mild = [e for e in built if e.severity != "critical"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
        context = ge.get_context(mode="ephemeral")
        context.variables.progress_bars = ge.data_context.types.base.ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("batch").add_dataframe_asset("batch")
        batch = asset.add_batch_definition_whole_dataframe("batch").get_batch({"dataframe": frame.to_pandas()})
        found = [
            result.to_json_dict()
            for chosen, detail in ((severe, "COMPLETE"), (mild, "BASIC"))
            if chosen
            for result in batch.validate(
                ge.ExpectationSuite(name="suite", expectations=chosen), result_format=detail
            ).results
        ]
    return [_outcome(r) for r in sorted(found, key=lambda r: r["expectation_config"]["meta"][PLACE])]


def _check_compiled(frame: pl.DataFrame, documents: Sequence[Mapping[str, Any]]) -> dict[int, Outcome]:
    """The outcomes of what polars can check, by place in the suite."""
    checks = {place: check for place, e in enumerate(documents) if (check := _compile(frame, e)) is not None}
    answers = dict(zip(checks, judge_all(frame, list(checks.values())), strict=True))
    named = [place for place, answer in answers.items() if answer and answer.failing and _severe(documents[place])]
    rows = dict(zip(named, broken_rows(frame, [checks[place] for place in named]), strict=True))
    return {
        place: _compiled_outcome(documents[place], answer, rows.get(place, ()))
        for place, answer in answers.items()
        if answer is not None
    }


def _compile(frame: pl.DataFrame, document: Mapping[str, Any]) -> Check | None:
    if _is_own(document):
        return compile_sensor_expectation(frame, document)
    return compile_expectation(frame, document)


def _is_own(document: Mapping[str, Any]) -> bool:
    return str(document.get("type")) in SENSOR_EXPECTATIONS


def _severe(document: Mapping[str, Any]) -> bool:
    return document.get("severity", "critical") == "critical"


def _compiled_outcome(document: Mapping[str, Any], answer: Answer, rows: tuple[int, ...]) -> Outcome:
    return Outcome(
        expectation=document["type"],
        column=document["kwargs"].get("column"),
        severity=document.get("severity", "critical"),
        met=answer.met,
        failing=answer.failing,
        rows=rows,
        observed=answer.observed,
        error=answer.error,
    )


def _build(document: Mapping[str, Any]) -> Any:
    ge = _great_expectations()
    config = {key: value for key, value in document.items() if key != "id"}
    try:
        return ge.expectations.expectation_configuration.ExpectationConfiguration(**config).to_domain_obj()
    except (ge.exceptions.GreatExpectationsError, TypeError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None


@cache
def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports deprecated modules of the standard library
        import great_expectations
    return great_expectations


def _outcome(result: Mapping[str, Any]) -> Outcome:
    config, found = result["expectation_config"], result["result"]
    error = _error(result["exception_info"])
    failing = found.get("unexpected_count")
    return Outcome(
        expectation=config["type"],
        column=config["kwargs"].get("column"),
        severity=config["severity"],
        met=bool(result["success"]) and error is None,
        failing=None if failing is None else int(failing),
        rows=tuple(int(row) for row in found.get("unexpected_index_list") or ()),
        observed=found.get("observed_value", found.get("unexpected_percent")),
        error=error,
    )


def _error(info: Mapping[str, Any]) -> str | None:
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [str(e["exception_message"]) for e in entries if e["raised_exception"]]
    return "; ".join(messages) or None
