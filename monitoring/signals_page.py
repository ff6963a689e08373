"""The signals of a file and what is like them, as one HTML page that needs nothing but a browser.

Shapes: N signals, E numbers of an embedding.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.alignment import Aligned, align_signals
from data.signals import Floats, Signals
from monitoring.plots import Plot
from monitoring.rendering import render_page
from monitoring.signal_plots import plot_aligned, plot_embeddings, plot_keypoints
from monitoring.similarity import SimilarityIndex

MOST_MAPPED, MOST_ASKED, MOST_SIGNALS, MOST_ROWS, MOST_CHANNELS, MOST_REFUSED = 3_000, 300, 6, 100, 4, 5


def write_signals_page(
    index: SimilarityIndex,
    signals: Signals,
    embeddings_NE: Floats,
    positions: Mapping[str, Floats],
    found: pl.DataFrame,
    path: Path,
) -> None:
    """Write the page: the nearest of each signal, a map of the index, keypoints, and the signals aligned on them.

    positions: predicted, in samples. found: columns signal, element, session, id, distance, and where the index is one
    of healthy signals anomaly and alarm.
    """
    render_page("signals.html", signals_view(index, signals, embeddings_NE, positions, found), path)


def signals_view(
    index: SimilarityIndex,
    signals: Signals,
    embeddings_NE: Floats,
    positions: Mapping[str, Floats],
    found: pl.DataFrame,
) -> dict[str, Any]:
    """All that the page's template shows, as text and plots."""
    mapped = np.unique(np.linspace(0, len(index) - 1, MOST_MAPPED).round().astype(np.int64))
    plots: dict[str, Plot] = {
        "map": plot_embeddings(index.vectors(mapped), index.names(mapped), embeddings_NE[:MOST_ASKED])
    }
    shown = list(range(min(MOST_SIGNALS, len(signals)))) if positions else []
    for n in shown:
        annotated = {name: float(p_N[n]) for name, p_N in signals.keypoints.items()}
        predicted = {name: float(p_N[n]) for name, p_N in positions.items()}
        plots[f"signal-{n}"] = plot_keypoints(signals.signal(n), predicted, annotated)
    aligned, refused = _aligned(signals, positions)
    channels = [] if aligned is None else list(range(min(MOST_CHANNELS, signals.channels)))
    for c in channels:
        assert aligned is not None, "there are channels of what was aligned"
        plots[f"aligned-{c}"] = plot_aligned(aligned, c)
    return {
        "lede": f"{len(signals):,} signals looked up among {len(index):,}; "
        f"the nearest are of {found['element'].n_unique()} elements.",
        "mapped": f"{len(mapped):,} of {len(index):,} signals are drawn." if len(mapped) < len(index) else "",
        "rows": found.head(MOST_ROWS).rows(named=True),
        "anomalies": "alarm" in found.columns,
        "more": found.height > MOST_ROWS,
        "signals": [(f"signal-{n}", f"signal {n + 1}") for n in shown],
        "aligned": [(f"aligned-{c}", f"channel {c + 1}") for c in channels],
        "count": 0 if aligned is None else len(aligned.places_N),
        "refused": refused,
        "plots": plots,
    }


def _aligned(signals: Signals, positions: Mapping[str, Floats]) -> tuple[Aligned | None, list[str]]:
    """The signals aligned on their predicted keypoints, and why some, or all, could not be."""
    if not positions:
        return None, []
    try:
        aligned = align_signals(signals, positions)
    except ValueError as error:
        return None, [str(error)]
    said = [f"signal {n + 1}: {why}" for n, why in aligned.refused.items()]
    rest = len(said) - MOST_REFUSED
    return aligned, said if rest <= 0 else [*said[:MOST_REFUSED], f"and {rest:,} more"]
