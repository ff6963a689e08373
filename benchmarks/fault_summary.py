"""What planted faults came to: how many versions went live, which of them were bad, and what stopped the others."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from benchmarks.results import FOLDER
from deployments.champion_checks import REGRESSION_POINTS

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Planted:
    """A fault and what the loop made of it.

    stopped_by: of the faulty delivery. lost: accuracy against the champion, where a candidate was promoted, by the
    faulty delivery or, delivery 2, by the sound one after it. back_after: sound batches until a bad one was taken back,
    on probation; None: it was not bad, or stayed.
    """

    kind: str
    what: str
    stopped_by: str
    lost: float | None
    back_after: int | None = None
    delivery: int = 1


def bound(bad: int, faults: int) -> float:
    """The share that bad promotions do not exceed, with 95 % confidence (Clopper & Pearson 1934, one-sided)."""
    return 1.0 if bad == faults else float(beta.ppf(CONFIDENCE, bad + 1, faults - bad))


def is_bad(planted: Planted) -> bool:
    """Whether a version went live that has lost more than the gate's margin."""
    return planted.lost is not None and planted.lost > REGRESSION_POINTS


def summary(found: list[Planted]) -> dict[str, Any]:
    """By kind: faults, promotions, bad ones, the most that one lost, and what stopped the others."""
    by_kind: dict[str, list[Planted]] = defaultdict(list)
    for planted in found:
        by_kind[planted.kind].append(planted)
    kinds = {kind: _of_kind(of_kind) for kind, of_kind in by_kind.items()}
    bad = [planted for planted in found if is_bad(planted)]
    worst = sorted((p for p in found if p.lost is not None), key=lambda p: p.lost or 0.0)[-20:]
    return {
        "faults": len(found),
        "promoted": sum(planted.lost is not None for planted in found),
        "promoted_by_the_next": sum(planted.lost is not None and planted.delivery == 2 for planted in found),
        "bad": len(bad),
        "bound": bound(len(bad), len(found)),
        "confidence": CONFIDENCE,
        "margin": REGRESSION_POINTS,
        "taken_back_after": sorted(p.back_after for p in bad if p.back_after is not None),
        "kinds": kinds,
        "worst_promotions": [
            {"kind": p.kind, "what": p.what, "lost": p.lost, "back_after": p.back_after, "delivery": p.delivery}
            for p in reversed(worst)
        ],
    }


def _of_kind(found: list[Planted]) -> dict[str, Any]:
    losses = [planted.lost for planted in found if planted.lost is not None]
    stopped = [planted.stopped_by for planted in found if planted.stopped_by != "promoted"]
    bad = sum(map(is_bad, found))
    return {
        "faults": len(found),
        "promoted": len(losses),
        "promoted_by_the_next": sum(p.lost is not None and p.delivery == 2 for p in found),
        "bad": bad,
        "bound": bound(bad, len(found)),
        "most_lost": max(losses, default=0.0),
        "mean_lost": float(np.mean(losses)) if losses else 0.0,
        "lost_over_2_points": sum(lost > 0.02 for lost in losses),
        "stopped": len(stopped),
        "stopped_by": dict(Counter(check for checks in stopped for check in checks.split(", ")).most_common()),
        "stopped_by_corroboration_alone": stopped.count("corroboration"),
    }


def draw(found: list[Planted], told: Mapping[str, Any]) -> None:
    """What promotions lost, by kind, and how often each kind was stopped."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(told["kinds"])
    for place, kind in enumerate(names):
        losses = [100 * p.lost for p in found if p.kind == kind and p.lost is not None]
        jitter = np.random.default_rng(place).uniform(-0.25, 0.25, len(losses))
        left.scatter(losses, place + jitter, s=6, alpha=0.5, color="#1f6f8b", linewidths=0)
    left.axvline(100 * told["margin"], color="#d64a3a", linewidth=1)
    left.set_yticks(range(len(names)), names)
    left.set_title("Points lost by promoted versions on true rows; the gate's margin", loc="left", fontsize="medium")
    stopped = [told["kinds"][kind]["stopped"] / told["kinds"][kind]["faults"] for kind in names]
    right.bar_label(right.barh(range(len(names)), stopped, color="#1f6f8b"), fmt="%.2f", padding=3)
    right.set_title("Share of faulty deliveries that promoted nothing", loc="left", fontsize="medium")
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.12)
    left.invert_yaxis()
    bad, faults = told["bad"], told["faults"]
    figure.suptitle(
        f"{faults:,} planted faults: {bad} bad promotions, at most {told['bound']:.3%} with 95 % confidence"
    )
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / "fault_injection.png", dpi=110)
