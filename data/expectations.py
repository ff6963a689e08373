"""Great Expectations, behind our own types: the only file that imports it, and only when it is needed."""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import polars as pl

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Outcome:
    """What one expectation found in a batch.

    failing: how many rows break it, None where it is about the whole batch. rows: their indices, for critical
    expectations, also where `mostly` lets it pass. error: why it could not be checked at all.
    """

    expectation: str
    column: str | None
    severity: Severity
    met: bool
    failing: int | None
    rows: tuple[int, ...]
    observed: object
    error: str | None


def build_expectation(document: Mapping[str, Any]) -> Any:
    """One expectation from its JSON; raises ValueError where its type, arguments or severity do not exist."""
    ge = _great_expectations()
    config = {key: value for key, value in document.items() if key != "id"}
    try:
        return ge.expectations.expectation_configuration.ExpectationConfiguration(**config).to_domain_obj()
    except (ge.exceptions.GreatExpectationsError, TypeError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def suite_document(name: str, expectations: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> dict[str, Any]:
    """A suite's JSON as Great Expectations writes it."""
    built = [build_expectation(e) for e in expectations]
    suite = _great_expectations().ExpectationSuite(name=name, expectations=built, meta=dict(meta))
    return dict(suite.to_json_dict())


def check_expectations(frame: pl.DataFrame, suite: Mapping[str, Any]) -> list[Outcome]:
    """Check every expectation of a suite; raises ValueError as `build_expectation` does.

    Only critical ones name their rows: that is what takes the time.
    """
    ge = _great_expectations()
    built = [build_expectation(e) for e in suite["expectations"]]
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
            batch.validate(ge.ExpectationSuite(name="suite", expectations=chosen), result_format=detail).results
            for chosen, detail in ((severe, "COMPLETE"), (mild, "BASIC"))
            if chosen
        ]
    return [_outcome(result.to_json_dict()) for results in found for result in results]


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
