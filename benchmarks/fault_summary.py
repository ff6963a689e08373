"""What planted faults came to: how many versions went live, which of them were bad, and what stopped the others."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from benchmarks.results import FOLDER

CONFIDENCE = 0.95
SOUND = "sound"
"""No fault, but a delivery as it should be: what promotions and losses are compared by."""


@dataclass(frozen=True)
class Planted:
    """A fault and what the loop made of it.

    stopped_by: of the faulty delivery. lost: against the champion, by metric, where a candidate was promoted, by the
    faulty delivery or, delivery 2, by the sound one after it. back_after: sound batches until a bad one was taken back,
    on probation; None: it was not bad, or stayed.
    """

    kind: str
    what: str
    stopped_by: str
    lost: dict[str, float] | None
    back_after: int | None = None
    delivery: int = 1


def bound(bad: int, faults: int) -> float:
    """The share that bad promotions do not exceed, with 95 % confidence (Clopper & Pearson 1934, one-sided)."""
    return 1.0 if bad == faults else float(beta.ppf(CONFIDENCE, bad + 1, faults - bad))


def margins_lost(planted: Planted, margins: Mapping[str, float]) -> float | None:
    """The most that the version which went live has lost, in margins of its metric; None where none went live."""
    return None if planted.lost is None else max(lost / margins[metric] for metric, lost in planted.lost.items())


def is_bad(planted: Planted, margins: Mapping[str, float]) -> bool:
    """Whether a version went live that has lost more than the margin of any metric."""
    lost = margins_lost(planted, margins)
    return lost is not None and lost > 1


def summary(found: list[Planted], margins: Mapping[str, float]) -> dict[str, Any]:
    """By kind: faults, promotions, bad ones, the most that one lost, and what stopped the others.

    Sound deliveries have a line among the kinds, and are no faults.
    """
    by_kind: dict[str, list[Planted]] = defaultdict(list)
    for planted in found:
        by_kind[planted.kind].append(planted)
    faults = [planted for planted in found if planted.kind != SOUND]
    bad = [planted for planted in faults if is_bad(planted, margins)]
    promoted = [planted for planted in faults if planted.lost is not None]
    worst = sorted(promoted, key=lambda p: margins_lost(p, margins) or 0.0)[-20:]
    return {
        "faults": len(faults),
        "promoted": len(promoted),
        "promoted_by_the_next": sum(planted.delivery == 2 for planted in promoted),
        "bad": len(bad),
        "bound": bound(len(bad), len(faults)),
        "confidence": CONFIDENCE,
        "margins": dict(margins),
        "taken_back_after": sorted(p.back_after for p in bad if p.back_after is not None),
        "kinds": {kind: _of_kind(of_kind, margins) for kind, of_kind in by_kind.items()},
        "worst_promotions": [asdict(planted) for planted in reversed(worst)],
    }


def _of_kind(found: list[Planted], margins: Mapping[str, float]) -> dict[str, Any]:
    lost = {metric: [p.lost[metric] for p in found if p.lost is not None and metric in p.lost] for metric in margins}
    stopped = [planted.stopped_by for planted in found if planted.stopped_by != "promoted"]
    bad = sum(is_bad(planted, margins) for planted in found)
    return {
        "faults": len(found),
        "promoted": sum(planted.lost is not None for planted in found),
        "promoted_by_the_next": sum(p.lost is not None and p.delivery == 2 for p in found),
        "bad": bad,
        "bound": bound(bad, len(found)),
        "most_lost": {metric: max(losses) for metric, losses in lost.items() if losses},
        "mean_lost": {metric: float(np.mean(losses)) for metric, losses in lost.items() if losses},
        "stopped": len(stopped),
        "stopped_by": dict(Counter(check for checks in stopped for check in checks.split(", ")).most_common()),
        "stopped_by_corroboration_alone": stopped.count("corroboration"),
    }


def draw(name: str, found: list[Planted], told: Mapping[str, Any]) -> None:
    """What promotions lost, by kind, and how often each kind was stopped."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(told["kinds"])
    for place, kind in enumerate(names):
        of_kind = [margins_lost(p, told["margins"]) for p in found if p.kind == kind]
        losses = [lost for lost in of_kind if lost is not None]
        jitter = np.random.default_rng(place).uniform(-0.25, 0.25, len(losses))
        left.scatter(losses, place + jitter, s=6, alpha=0.5, color="#1f6f8b", linewidths=0)
    left.axvline(1.0, color="#d64a3a", linewidth=1)
    left.set_yticks(range(len(names)), names)
    left.set_title("Lost by promoted versions on what is true, in margins", loc="left", fontsize="medium")
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
    figure.savefig(FOLDER / f"{name}.png", dpi=110)
