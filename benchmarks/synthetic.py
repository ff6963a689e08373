"""How fast a glass line is made, and a picture of one: `python -m benchmarks.synthetic [--rows 2000000]`.

Rows of 20 sensors a second of processor time, with the truth of every row, of a quiet line and of a busy one on which
an event of every kind acts all the time. Writes benchmarks/out/synthetic.json; with `--picture PATH` a picture of a
scenario as the documentation shows it.
"""

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.results import write_json
from data.scenario import Scenario
from data.stream import BLOCK_ROWS, line_batches, line_blocks

EVERYTHING: list[dict[str, Any]] = [
    {"kind": "gradual", "process": "fuel", "duration": 1_000_000},
    {"kind": "abrupt", "process": "pull"},
    {"kind": "recurring", "process": "air"},
    {"kind": "incremental", "sensor": "furnace_2_c", "duration": 1_000_000},
    {"kind": "concept", "defect": "chip"},
    {"kind": "stuck", "sensor": "mould_1_c"},
    {"kind": "noisy", "sensor": "gob_g"},
    {"kind": "offset", "sensor": "crown_c"},
    {"kind": "scaled", "sensor": "press_kpa"},
    {"kind": "swapped", "sensor": "gob_c", "other": "lehr_1_c"},
    {"kind": "fahrenheit", "sensor": "lehr_2_c"},
    {"kind": "missing", "strength": 0.1},
    {"kind": "poisoned_labels"},
    {"kind": "late_labels"},
]
SHOWN = {
    "seed": 3,
    "line": {"products": ["flint bottle", "amber jar"], "campaign_rows": 3000, "maintenance_days": 30.0,
             "wear_per_day": 0.012},
    "events": [
        {"kind": "gradual", "process": "cooling", "start": 1500, "duration": 900, "strength": 2.0},
        {"kind": "stuck", "sensor": "mould_1_c", "start": 3600, "duration": 400},
        {"kind": "noisy", "sensor": "gob_g", "start": 4300, "duration": 300, "strength": 4.0},
        {"kind": "concept", "defect": "bubble", "start": 4800, "duration": 700, "strength": 2.0},
        {"kind": "missing", "start": 5600, "duration": 150, "strength": 0.8},
    ],
}  # fmt: skip
SHOWN_ROWS, DAY_ROWS = 6000, 144
PANELS = ("ambient_c", "crown_c", "mould_1_c", "gob_g", "stress_mpa")


def rows_a_second(scenario: Scenario, rows: int) -> float:
    """Rows made a second of processor time, after the first block."""
    blocks = line_blocks(scenario)
    next(blocks)
    count = max(1, rows // BLOCK_ROWS)
    started = time.process_time()
    for _ in islice(blocks, count):
        pass
    return count * BLOCK_ROWS / (time.process_time() - started)


def picture(path: Path) -> None:
    """Sensors, a stress that no sensor tells, and the shares of defects by the day, with what was planted shaded."""
    from matplotlib.figure import Figure

    scenario = Scenario.model_validate(SHOWN)
    batch = next(line_batches(scenario, SHOWN_ROWS))
    days = np.arange(SHOWN_ROWS) / DAY_ROWS
    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = figure.subplots(len(PANELS) + 1, 1, sharex=True)
    for panel, name in zip(panels, PANELS, strict=False):
        values = batch.truth[name] if name in batch.truth.columns else batch.rows[name]
        panel.plot(days, values, linewidth=0.6, color="#0b7a75")
        panel.set_ylabel(name, rotation=0, ha="right", va="center")
    by_day = batch.truth.with_columns(day=pl.col("row") // DAY_ROWS)
    lower = np.zeros(by_day["day"].n_unique())
    for defect, colour in zip(scenario.defects, ("#e08a1e", "#8b5cd6", "#98a2b0"), strict=True):
        share = (
            by_day.group_by("day", maintain_order=True).agg((pl.col("defect") == defect).mean())["defect"].to_numpy()
        )
        panels[-1].bar(np.arange(len(share)) + 0.5, share, bottom=lower, width=1, color=colour, label=defect)
        lower += share
    panels[-1].set_ylabel("defects", rotation=0, ha="right", va="center")
    panels[-1].legend(ncols=3, loc="upper left", frameon=False)
    panels[-1].set_xlabel("days")
    for event in scenario.events:
        end = SHOWN_ROWS if event.end is None else event.end
        for panel in panels:
            panel.axvspan(event.start / DAY_ROWS, end / DAY_ROWS, color="#d64a3a", alpha=0.09, linewidth=0)
        panels[0].text((event.start + end) / 2 / DAY_ROWS, 1.02, event.kind, transform=panels[0].get_xaxis_transform(),
                       ha="center", fontsize="small", color="#b3372a")  # fmt: skip
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.picture is not None:
        picture(options.picture)
        return
    lines = {"quiet": Scenario(), "busy": Scenario.model_validate({"events": EVERYTHING})}
    found = {name: rows_a_second(scenario, options.rows) for name, scenario in lines.items()}
    for name, rows in found.items():
        print(f"{name:<6} {rows:>10,.0f} rows of 20 sensors a second of a processor")
    write_json("synthetic", {"rows": options.rows, "rows_a_second": found})


if __name__ == "__main__":
    main()
