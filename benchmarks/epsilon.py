"""Whether the ε that a federation reports is what an accountant says that shares no code with ours.

`python -m benchmarks.epsilon`, with `LEHR_DP_ACCOUNTING` naming the Python of an environment that has Google's
dp-accounting (`make bench` builds it): sampled Gaussian mechanisms at the settings of federations at node level (few
rounds, many of the nodes) and at record level (many steps, few of the rows), by the distribution of the privacy loss.
Two more accountants stand in the tests. Writes benchmarks/out/epsilon.json and epsilon.png.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.results import bar_chart, write_json
from learning.federation.privacy import epsilon_of

SETTINGS: tuple[tuple[float, float, int, float], ...] = (
    (1.0, 1.0, 10, 1e-5),
    (2.0, 1.0, 80, 1e-5),
    (5.0, 1.0, 80, 1e-6),
    (1.0, 0.1, 80, 1e-5),
    (0.7, 0.1, 200, 1e-6),
    (2.0, 0.5, 20, 1e-3),
    (1.0, 0.05, 500, 1e-5),
    (0.8, 0.02, 2000, 1e-5),
    (1.1, 0.01, 5000, 1e-6),
    (4.0, 0.2, 1000, 1e-5),
)
"""Noise multiplier, sampling rate, steps, δ."""
_PEER = Path(__file__).with_name("epsilon_peer.py")


def peers_epsilons(python: str) -> list[float]:
    """What Google's accountant says of each setting."""
    given = json.dumps(SETTINGS)
    told = subprocess.run([python, str(_PEER)], input=given, capture_output=True, text=True, check=True)
    return json.loads(told.stdout)


def main() -> None:
    """Compare, and write the figures."""
    python = os.environ.get("LEHR_DP_ACCOUNTING")
    if not python:
        print("LEHR_DP_ACCOUNTING names no Python with dp-accounting: nothing to compare with")
        return
    found: list[dict[str, Any]] = []
    for setting, theirs in zip(SETTINGS, peers_epsilons(python), strict=True):
        noise, rate, steps, delta = setting
        ours = epsilon_of(((noise, rate, steps),), delta)
        named = {"noise": noise, "rate": rate, "steps": steps, "delta": delta}
        found.append({**named, "ours": ours, "theirs": theirs, "ratio": ours / theirs})
        print({key: round(value, 6) for key, value in found[-1].items()})
    write_json("epsilon", found)
    panels = {
        f"noise {one['noise']}, rate {one['rate']}, {one['steps']} steps, δ {one['delta']:g}": {
            "lehr": one["ours"],
            "dp-accounting": one["theirs"],
        }
        for one in found
    }
    bar_chart("epsilon", "ε as reported and by Google's accountant", panels)
    print("farthest", max(abs(one["ratio"] - 1) for one in found))


if __name__ == "__main__":
    main()
