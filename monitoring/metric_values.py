"""What a tracker takes: the names and steps that MLflow has room for, and numbers. MLflow refuses the rest for ever."""

import operator
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from posixpath import normpath
from typing import Any

from monitoring.alert_sinks import Sink

MOST_NAME = 250
_NAME = re.compile(r"[\w\-. /:]{1,250}")
_STEPS = range(-(2**63), 2**63)


def checked_name(what: str, name: Any) -> str:
    """A name as MLflow takes it; raises ValueError for another."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{what}: {name!r} is no name; letters, digits, spaces and any of _-./: are allowed")
    if normpath(name) != name or name.split("/")[0] in ("", ".", ".."):
        raise ValueError(f"{what}: {name!r} reads as a path to elsewhere; parts between single / that are no dots are")
    return name


def checked_step(step: Any) -> int:
    """A step as MLflow keeps it; raises ValueError for what is no whole number of 64 bits."""
    try:
        whole = operator.index(step)
    except TypeError:
        whole = None
    if whole is None or whole not in _STEPS:
        raise ValueError(f"step: {step!r} is no whole number of 64 bits")
    return whole


def checked_values(metrics: Any) -> dict[str, float]:
    """Numbers by name; raises ValueError that names the one that is none."""
    if not isinstance(metrics, Mapping):
        raise ValueError(f"metrics: numbers by name are logged, not {metrics!r}")
    return {checked_name("metric", name): _number(name, value) for name, value in metrics.items()}  # type: ignore[misc]


def header_of(experiment: str, run_name: Any, params: Any) -> dict[str, Any]:
    """What a run's journal begins with; run_name None: the time. Raises ValueError for what cannot be."""
    if run_name is None:
        run_name = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    if not isinstance(run_name, str) or not 0 < len(run_name) <= MOST_NAME:
        raise ValueError(f"run_name: {run_name!r} is none; 1 to {MOST_NAME} characters are")
    if not isinstance(params, Mapping):
        raise ValueError(f"params: values by name are kept, not {params!r}")
    texts = {checked_name("parameter", name): str(value) for name, value in params.items()}  # type: ignore[misc]
    return {"experiment": experiment, "name": run_name, "params": texts}


def checked_sinks(sinks: Any) -> tuple[Sink, ...]:
    """Sinks that can be called; raises ValueError that names the one that cannot."""
    if isinstance(sinks, str) or not isinstance(sinks, Sequence):
        raise ValueError(f"sinks: a list of them, not {sinks!r}")
    for place, sink in enumerate(sinks):  # type: ignore[misc]
        if not callable(sink):
            raise ValueError(f"sinks.{place}: {sink!r} takes no alert; to_log, Webhook, Email and any function do")
    return tuple(sinks)


def why_refused(name: Any, step: Any) -> str | None:
    """Why MLflow would never take a value of this name at this step; None: it takes it."""
    try:
        checked_name("metric", name)
        checked_step(step)
    except ValueError as mistake:
        return str(mistake)
    return None


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: {str(value)[:20]}… is beyond what a number of 64 bits holds") from None
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r} is no number") from None
