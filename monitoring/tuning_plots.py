"""The plots of a search's page, as plain plotly figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.backtest_plots import BEST, FAINT, ORACLE, OWN, titled_layout
from monitoring.plots import Plot
from monitoring.tuning_terminal import again, point_text, ranked_trials


def plot_history(result: Mapping[str, Any]) -> Plot:
    """Every trial's first objective in order, the best so far of those trained in full, and means of what was again."""
    objective, most = result["objectives"][0], result["best"]["epochs"]
    measured = [trial for trial in result["trials"] if trial["values"] is not None]
    whole = [trial for trial in measured if trial["epochs"] == most]
    stopped = [trial for trial in measured if trial["epochs"] < most]
    best: list[float] = []
    for trial in whole:
        value = trial["values"][objective["name"]]
        better = min if objective["lower_is_better"] else max
        best.append(better(best[-1], value) if best else value)
    line = {
        "type": "scatter", "mode": "lines", "name": "best so far", "x": [t["number"] for t in whole], "y": best,
        "line": {"color": OWN, "width": 2, "shape": "hv"}, "hoverinfo": "skip",
    }  # fmt: skip
    name = objective["name"]
    traces = [_dots("looked at early", stopped, name, FAINT), _dots("trained in full", whole, name, OWN), line]
    traces.append(_dots("picked", [t for t in measured if t["number"] == result["best"]["number"]], name, BEST, 13))
    if finalists := [t for t in ranked_trials(result) if again(result, t) is not None]:
        means = _dots("trained again, mean", finalists, name, ORACLE, 11)
        means["y"], means["marker"]["symbol"] = [again(result, t) for t in finalists], "diamond"
        traces.append(means)
    layout = titled_layout(360, "trial", _axis_name(result, name))
    layout["xaxis"]["tickformat"], layout["xaxis"]["dtick"] = "d", max(1, len(result["trials"]) // 10)
    return {"data": traces, "layout": layout}


def plot_importance(result: Mapping[str, Any]) -> Plot | None:
    """Each parameter's share in how the first objective varies; None where nothing can be said."""
    shares = dict(sorted(result["importance"].items(), key=lambda item: item[1]))
    if not shares:
        return None
    bars = {
        "type": "bar", "orientation": "h", "x": list(shares.values()), "y": list(shares), "marker": {"color": OWN},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }  # fmt: skip
    layout = titled_layout(90 + 28 * len(shares), "share of what varies", "")
    layout["xaxis"]["tickformat"] = ".0%"
    return {"data": [bars], "layout": layout}


def plot_front(result: Mapping[str, Any]) -> Plot | None:
    """The first two objectives of what was trained in full, with the front; None where there is only one."""
    if len(result["objectives"]) < 2:
        return None
    first, second = (objective["name"] for objective in result["objectives"][:2])
    front = sorted(result["front"], key=lambda trial: trial["values"][second])
    line = {
        **_dots("the front", front, first, ORACLE), "mode": "lines+markers", "line": {"color": ORACLE, "width": 1},
    }  # fmt: skip
    whole = [trial for trial in ranked_trials(result) if trial["epochs"] == result["best"]["epochs"]]
    traces = [_dots("trained in full", whole, first, FAINT), line]
    traces.append(_dots("picked", [result["best"]], first, BEST, 13))
    trials = [whole, front, [result["best"]]]
    for trace, shown in zip(traces, trials, strict=True):
        trace["x"] = [trial["values"][second] for trial in shown]
    return {"data": traces, "layout": titled_layout(400, second, _axis_name(result, first))}


def _dots(name: str, trials: Sequence[Mapping[str, Any]], objective: str, colour: str, size: int = 8) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [t["number"] for t in trials],
        "y": [t["values"][objective] for t in trials], "marker": {"color": colour, "size": size},
        "text": [f"{point_text(t)}<br>{t['epochs']} epochs" for t in trials],
        "hovertemplate": "%{y:.4~g}<br>%{text}<extra>" + name + "</extra>",
    }  # fmt: skip


def _axis_name(result: Mapping[str, Any], objective: str) -> str:
    return result["metric"] if objective == "score" else objective
