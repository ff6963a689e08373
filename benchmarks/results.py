"""What a benchmark leaves: a JSON file and a plot beside it, in benchmarks/out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "out"


def write_json(name: str, results: Any) -> None:
    """Write the figures to a file of this name."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def bar_chart(name: str, title: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw one panel for each group, with a bar and its figure for each member."""
    from matplotlib.figure import Figure  # half a second that a benchmark without a plot does without

    rows = (len(groups) + 1) // 2
    height = 0.8 + 0.3 * max(len(group) for group in groups.values())
    figure = Figure(figsize=(11, rows * height + 0.5), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(rows, 2, squeeze=False).flatten()
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    for panel, (label, group) in zip(panels, groups.items(), strict=False):
        bars = panel.barh(list(group), list(group.values()), color=["#1f6f8b", *["#b8c4cc"] * (len(group) - 1)])
        panel.bar_label(bars, fmt="%.2f", padding=3)
        panel.invert_yaxis()
        panel.set_title(label, loc="left", fontsize="medium")
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.12)
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.png", dpi=110)
