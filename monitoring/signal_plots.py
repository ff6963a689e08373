"""The plots of signals' page, as plain plotly figures: a map of embeddings, keypoints, signals laid over one another.

Shapes: N signals, C channels, T samples, E numbers of an embedding.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.alignment import Aligned
from data.signals import Floats
from monitoring.backtest_plots import titled_layout
from monitoring.metrics_plots import COLOURS
from monitoring.plots import INK, MUTED, Plot

ELEMENTS = ("#0b7a75", "#e08a1e", "#8b5cd6", "#d64a3a", "#3b82c4", "#7aa23a", "#c2548f", "#7a5230")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "pentagon")
OTHERS, BAND, FAINT = "#cfd6dd", "rgba(11, 122, 117, 0.18)", "rgba(102, 114, 127, 0.16)"
MOST_DRAWN = 60
TIER, CHARACTER = 14, 0.017
"""Pixels between two heights of names, and the share of a narrow plot's width that a character takes."""


def plot_embeddings(embeddings_NE: Floats, names: pl.DataFrame, asked_NE: Floats | None = None) -> Plot:
    """Embeddings in the plane in which they vary most: an element a colour, a session of it a symbol.

    names: element and session of each; of many elements the most frequent have colours. asked_NE: signals that are
    looked up, drawn over them.
    """
    axes_2E, mean_E, shares_2 = _plane(embeddings_NE)
    flat = (embeddings_NE - mean_E) @ axes_2E.T
    largest = names["element"].value_counts().sort(["count", "element"], descending=[True, False])["element"]
    coloured = sorted(largest[: len(ELEMENTS)].to_list())
    placed = names.with_columns(x=flat[:, 0], y=flat[:, 1]).sort("element", "session")
    traces = [_cloud(placed.filter(~pl.col("element").is_in(coloured)), "other elements", OTHERS)]
    for element, colour in zip(coloured, ELEMENTS, strict=False):
        traces.append(_cloud(placed.filter(pl.col("element") == element), element, colour))
    if asked_NE is not None:
        traces.append(_asked((asked_NE - mean_E) @ axes_2E.T))
    layout = titled_layout(520, *(f"{share:.0%} of the variance" for share in shares_2))
    layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
    layout["legend"] |= {"itemsizing": "constant"}
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout}


def plot_keypoints(
    signal_CT: Floats, positions: Mapping[str, float], annotated: Mapping[str, float] | None = None
) -> Plot:
    """One signal, a line a channel, with its keypoints as lines across, and dots where they were annotated."""
    steps = list(range(signal_CT.shape[1]))
    lines = [_channel(steps, values_T, c, len(signal_CT)) for c, values_T in enumerate(signal_CT)]
    known = {name: p for name, p in (annotated or {}).items() if not np.isnan(p)}
    told = {
        "type": "scatter", "mode": "markers", "name": "annotated", "x": [float(p) for p in known.values()],
        "y": [float(np.interp(p, steps, signal_CT[0])) for p in known.values()], "text": [escape(n) for n in known],
        "marker": {"size": 9, "symbol": "circle-open", "color": "#d64a3a", "line": {"width": 2}},
        "hovertemplate": "%{text} annotated at %{x:.1f}<extra></extra>",
    }  # fmt: skip
    layout = titled_layout(230, "sample", "")
    _draw_across(layout, positions, len(steps))
    layout["showlegend"] = False
    return {"data": [*lines, *([told] if known else [])], "layout": layout}


def plot_aligned(aligned: Aligned, channel: int) -> Plot:
    """Aligned signals of a channel laid over one another, their mean, and a standard deviation to both sides."""
    steps = list(range(aligned.values_NCT.shape[2]))
    mean_T, deviation_T = aligned.mean_CT[channel], aligned.deviation_CT[channel]
    drawn = np.unique(np.linspace(0, len(aligned.places_N) - 1, MOST_DRAWN).round().astype(int))
    singles = [_single(steps, aligned.values_NCT[n, channel]) for n in drawn]
    band = {
        "type": "scatter", "mode": "lines", "name": "mean ± deviation", "x": [*steps, *reversed(steps)],
        "y": _numbers(np.concatenate([mean_T + deviation_T, (mean_T - deviation_T)[::-1]])), "fill": "toself",
        "fillcolor": BAND, "line": {"width": 0}, "hoverinfo": "skip",
    }  # fmt: skip
    mean = {
        "type": "scatter", "mode": "lines", "name": "mean", "x": steps, "y": _numbers(mean_T),
        "line": {"color": COLOURS[0], "width": 3}, "customdata": _numbers(deviation_T),
        "hovertemplate": "sample %{x}: %{y:.3~g} ± %{customdata:.3~g}<extra></extra>",
    }  # fmt: skip
    layout = titled_layout(320, "sample, aligned", "")
    _draw_across(layout, aligned.targets, len(steps))
    layout["showlegend"] = False
    return {"data": [*singles, band, mean], "layout": layout}


def _plane(embeddings_NE: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The two main directions, the mean, and the share of the variance along each."""
    mean_E = embeddings_NE.mean(0, dtype=np.float64)
    covariance_EE = np.atleast_2d(np.cov(embeddings_NE.astype(np.float64), rowvar=False, bias=True))
    variances_E, vectors_EE = np.linalg.eigh(covariance_EE)
    axes_2E = vectors_EE[:, ::-1][:, :2].T
    # A direction has no sign of its own: the largest entry is positive, so that two pages show the same map.
    axes_2E = axes_2E * np.sign(axes_2E[np.arange(len(axes_2E)), np.abs(axes_2E).argmax(1)])[:, None]
    return axes_2E, mean_E, variances_E[::-1][:2] / max(float(variances_E.sum()), 1e-12)


def _cloud(placed: pl.DataFrame, name: str, colour: str) -> dict[str, Any]:
    sessions = placed.select(pl.col("session").rank("dense").over("element")).to_series().to_list()
    symbols = [SYMBOLS[(int(s) - 1) % len(SYMBOLS)] for s in sessions]
    hover = [f"{escape(e)}<br>{escape(s)}" for e, s in placed.select("element", "session").iter_rows()]
    return {
        "type": "scatter", "mode": "markers", "name": escape(name),
        "x": placed["x"].to_list(), "y": placed["y"].to_list(),
        "text": hover, "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 6, "color": colour, "opacity": 0.75, "symbol": symbols},
    }  # fmt: skip


def _asked(flat: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": "looked up", "x": _numbers(flat[:, 0]), "y": _numbers(flat[:, 1]),
        "text": [f"signal {n}" for n in range(1, len(flat) + 1)], "hovertemplate": "%{text}<extra>looked up</extra>",
        "marker": {"size": 9, "symbol": "circle-open", "color": INK, "line": {"width": 1.5}},
    }  # fmt: skip


def _channel(steps: Sequence[int], values_T: Floats, number: int, channels: int) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": f"channel {number + 1} of {channels}", "x": steps,
        "y": _numbers(values_T), "line": {"color": COLOURS[number % len(COLOURS)], "width": 1.5},
        "hovertemplate": "sample %{x}: %{y:.3~g}",
    }  # fmt: skip


def _single(steps: Sequence[int], values_T: Floats) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": steps, "y": _numbers(values_T), "showlegend": False,
        "line": {"color": FAINT, "width": 1}, "hoverinfo": "skip",
    }  # fmt: skip


def _draw_across(layout: dict[str, Any], positions: Mapping[str, float], samples: int) -> None:
    """A line across for each keypoint, and its name above, as high as it takes not to stand on another."""
    there = sorted((float(p), name.replace("_", " ")) for name, p in positions.items() if not np.isnan(p))
    tiers = _tiers(there, samples)
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    layout["shapes"] = [
        {"type": "line", "x0": p, "x1": p, "yref": "paper", "y0": 0, "y1": 1, "line": line} for p, _ in there
    ]
    layout["annotations"] = [
        {
            "x": p, "yref": "paper", "y": 1, "yanchor": "bottom", "yshift": TIER * tier,
            "showarrow": False, "text": escape(name), "font": {"size": 11, "color": MUTED},
        }
        for (p, name), tier in zip(there, tiers, strict=True)
    ]  # fmt: skip
    layout["margin"] = {"l": 8, "r": 8, "t": 8 + TIER * (1 + max(tiers, default=0)), "b": 8}


def _tiers(there: Sequence[tuple[float, str]], samples: int) -> list[int]:
    """The height of each name, the lowest at which it begins behind the one before it; there: in order of time."""
    ends, found = list[float](), list[int]()
    for position, name in there:
        half = len(name) * CHARACTER * samples / 2
        tier = next((t for t, end in enumerate(ends) if end <= position - half), len(ends))
        ends[tier : tier + 1] = [position + half]
        found.append(tier)
    return found


def _numbers(values: NDArray[np.floating]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
