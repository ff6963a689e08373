"""Slices of the held-out rows on which a candidate must not be clearly worse than the champion.

Shapes: B held-out rows, S slices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deployments.pipeline import GateConfig
from deployments.verdict import ENOUGH_ROWS, Check, Judged, checked, failed, margin, said
from monitoring.comparison import Floats
from monitoring.performance import LOWER_IS_BETTER, Metric
from monitoring.slices import SliceGains, compare_slices

SLICE_POINTS, SLICE_SHARE = 0.05, 0.1
"""What a candidate may lose on a slice where the pipeline does not say, in points or as a share."""

FEWEST_ROWS = 30
"""With fewer rows that count, a slice cannot tell; it is pooled with the others of its family."""

END = 0.1
"""The low and the high end of a sensor's readings are the rows up to and from these quantiles."""
MOST_NAMED = 5
CLEAR = 0.99
"""How sure a loss must be over all slices together; with .9 one equal candidate in six was refused, not one in ten."""

Rows = NDArray[np.bool_]
Family = Literal["regimes", "groups", "classes", "sensors"]


@dataclass(frozen=True)
class Slice:
    """Some of the held-out rows, by a name; number: of the class that they are."""

    family: Family
    name: str
    rows_B: Rows
    number: int = -1


@dataclass(frozen=True)
class _Compared:
    """Slices that can tell, and those that are too small to. losses_S: counted by relevance."""

    slices: Sequence[Slice]
    too_few: Sequence[str]
    found: SliceGains
    losses_S: Floats
    clear_S: NDArray[np.bool_]
    worst_of_S: NDArray[np.bool_]
    worst_loss: float
    worst_clear: bool


def check_slices(config: GateConfig, metric: Metric, evidence: Judged) -> list[Check]:
    """Regimes (earlier batches, in stretches of enough rows), slices, and the worst group, against the champion.

    A candidate fails where it loses more than the margin and chance does not explain it: the bound on what it could
    have gained, which holds for all slices together with 99 % confidence, is below 0. A loss counts as much as the
    slice's rows still do on average.
    """
    try:
        compared = _compare(config, metric, evidence)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the candidate does not pass
        return [failed(name, error) for name in ("regimes", "slices")]
    if compared is None:
        return [said("slices", None, f"no slice has {FEWEST_ROWS} held-out rows that count: too few to tell")]
    limit = margin(config.max_slice_loss, metric, SLICE_POINTS, SLICE_SHARE)
    regimes_S = np.array([s.family == "regimes" for s in compared.slices])
    checks = [
        _check_family("regimes", "earlier regimes", metric, compared, regimes_S, limit),
        _check_family("slices", "slices", metric, compared, ~regimes_S, limit),
    ]
    if compared.worst_of_S.any():
        checks.append(_check_worst(metric, compared, limit))
    if compared.too_few:
        checks.append(said("too_few_rows", float(len(compared.too_few)), _too_few(compared.too_few)))
    return checks


def make_slices(evidence: Judged) -> list[Slice]:
    """Every stretch of batches, group and class, and each sensor missing, low and high."""
    return [
        *(Slice("regimes", name, rows_B) for name, rows_B in _regimes(evidence)),
        *(Slice("groups", name, rows_B) for name, rows_B in _groups(evidence)),
        *_classes(evidence),
        *(Slice("sensors", name, rows_B) for name, rows_B in _sensors(evidence)),
    ]


def _compare(config: GateConfig, metric: Metric, evidence: Judged) -> _Compared | None:
    slices, too_few = _pool(make_slices(evidence), evidence.relevance_B)
    if not slices:
        return None
    rows_BS = np.stack([s.rows_B for s in slices], 1)
    worst_of_S = _worst_of(slices)
    found = compare_slices(
        metric,
        *evidence.both,
        evidence.targets_B,
        evidence.batches_B,
        evidence.relevance_B,
        rows_BS,
        np.array([s.number for s in slices]),
        worst_of_S,
        confidence=CLEAR,
        resamples=config.resamples,
        seed=evidence.seed,
    )
    counted_S = (evidence.relevance_B @ rows_BS) / rows_BS.sum(0)
    worst_counted = float(counted_S[worst_of_S].mean()) if worst_of_S.any() else 0.0
    return _Compared(
        slices,
        too_few,
        found,
        -found.gains_S * counted_S,
        found.bounds_S < 0,
        worst_of_S,
        -found.worst_gain * worst_counted,
        found.worst_bound < 0,
    )


def _pool(slices: Sequence[Slice], weights_B: Floats) -> tuple[list[Slice], list[str]]:
    """Those with enough rows that count; the rest of each family becomes one slice, if that has enough."""
    told = [s for s in slices if _effective_rows(weights_B[s.rows_B]) >= FEWEST_ROWS]
    small = [s for s in slices if s.rows_B.any() and s not in told]
    families: list[Family] = list(dict.fromkeys(s.family for s in small))
    for family in families:
        rest_B = np.any([s.rows_B for s in small if s.family == family], axis=0)
        if _effective_rows(weights_B[rest_B]) >= FEWEST_ROWS:
            told.append(Slice(family, f"other {family}", rest_B))
    return told, [f"{s.name} ({int(s.rows_B.sum())})" for s in small]


def _effective_rows(weights: Floats) -> float:
    """How many rows of equal weight say as much (Kish 1965)."""
    total = float(weights.sum())
    return total**2 / float(np.square(weights).sum()) if total > 0 else 0.0


def _worst_of(slices: Sequence[Slice]) -> NDArray[np.bool_]:
    """The slices among which the worst group is looked for: groups, or else classes."""
    families = [s.family for s in slices]
    wanted = "groups" if "groups" in families else "classes"
    return np.array([family == wanted for family in families])


def _regimes(evidence: Judged) -> Iterator[tuple[str, Rows]]:
    """Batches one after another, joined until they hold enough rows; the newest ones are a stretch as well."""
    rows_B, first = np.zeros(len(evidence.batches_B), np.bool_), None
    batches = np.unique(evidence.batches_B).tolist()
    for batch in batches:
        rows_B, first = rows_B | (evidence.batches_B == batch), batch if first is None else first
        if rows_B.sum() >= ENOUGH_ROWS or batch == batches[-1]:
            yield f"batch {batch}" if first == batch else f"batches {first} to {batch}", rows_B
            rows_B, first = np.zeros_like(rows_B), None


def _groups(evidence: Judged) -> Iterator[tuple[str, Rows]]:
    if evidence.groups_B is not None:
        for value in np.unique(evidence.groups_B):
            yield f"{evidence.group} {value}", evidence.groups_B == value


def _classes(evidence: Judged) -> Iterator[Slice]:
    """Of values there are none: on the rows of high values alone a champion that guesses high is beyond reach."""
    for number, label in enumerate(evidence.classes or ()):
        yield Slice("classes", f"class {label}", evidence.targets_B == number, number)


def _sensors(evidence: Judged) -> Iterator[tuple[str, Rows]]:
    for name, column_B in zip(evidence.features, evidence.readings_BC.T, strict=True):
        known_B = ~np.isnan(column_B)
        if not known_B.all():
            yield f"{name} missing", ~known_B
        if not known_B.any():
            continue
        low, high = np.quantile(column_B[known_B], [END, 1 - END])
        if low < high:
            yield f"{name} up to {low:.4g}", column_B <= low
            yield f"{name} from {high:.4g}", column_B >= high


def _check_family(
    name: str, what: str, metric: Metric, compared: _Compared, of_S: NDArray[np.bool_], limit: float
) -> Check:
    if not of_S.any():
        return said(name, None, f"none of the {what} has enough held-out rows to tell")
    failed_S = of_S & compared.clear_S & (compared.losses_S > limit)
    shown = np.flatnonzero(failed_S if failed_S.any() else of_S)
    worst = int(shown[compared.losses_S[shown].argmax()])
    places = np.flatnonzero(failed_S)[:MOST_NAMED].tolist()
    also = f" (and {', '.join(compared.slices[i].name for i in places if i != worst)})" if len(places) > 1 else ""
    sure = "clearly" if failed_S.any() else "at worst"
    from_to = f"{compared.found.old_S[worst]:.4g} to {compared.found.new_S[worst]:.4g}"
    measured = "F1" if compared.slices[worst].family == "classes" else metric
    text = (
        f"loss in {measured} {sure} on {compared.slices[worst].name}{also}, {from_to}, of {int(of_S.sum())} {what}, "
        f"by relevance; a clear loss is at most"
    )
    return checked(name, float(compared.losses_S[worst]), limit, not failed_S.any(), text)


def _check_worst(metric: Metric, compared: _Compared, limit: float) -> Check:
    found, places = compared.found, np.flatnonzero(compared.worst_of_S)
    losing = found.new_S if metric in LOWER_IS_BETTER else -found.new_S
    worst = int(places[losing[places].argmax()])
    measured = "F1" if compared.slices[worst].family == "classes" else metric
    text = (
        f"loss in {measured} on the worst group, now {compared.slices[worst].name} with {found.new_S[worst]:.4g}, "
        f"by relevance; a clear loss is at most"
    )
    passed = not (compared.worst_clear and compared.worst_loss > limit)
    return checked("worst_group", compared.worst_loss, limit, passed, text)


def _too_few(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"too few rows to tell, so pooled: {', '.join(names[:MOST_NAMED])}{rest}"
