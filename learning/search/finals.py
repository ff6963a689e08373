"""The best points of a study are trained again, on other splits and with other seeds, before one of them is taken.

The best of many by one score each is mostly the luckiest, and its score flatters it (Cawley & Talbot 2010). So the pick
among the best few, and the parameters as they were, goes by trainings that had no part in choosing them. They are a
study of their own: kept, shared between workers and gone on with like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from time import monotonic

from learning.search.objectives import Values, ranked
from learning.search.running import Workers, run_search
from learning.search.space import Choice, Point, SearchSpace, key_of
from learning.search.study import Evaluate, Measured, Search, Trial


@dataclass(frozen=True)
class Again:
    """Measures a finalist on a fold."""

    points: tuple[Point, ...]
    folds: tuple[Evaluate, ...]

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        """What the fold's trainings find of it."""
        return self.folds[point["fold"]](self.points[point["finalist"]], epochs, until)


def run_finals(
    search: Search,
    trials: Sequence[Trial],
    own: Point | None,
    folds: Sequence[Evaluate],
    finalists: int,
    workers: Workers = 1,
    until: float | None = None,
) -> tuple[Trial, ...]:
    """Train the best so many again; returns a trial for each finalist and fold, none where there is nothing to choose.

    own: the parameters as they were, which are always among them. until: `time.monotonic` at the end of the budget.
    """
    minutes = None if until is None else (until - monotonic()) / 60
    if len(search.objectives) > 1 or not folds or (minutes is not None and minutes <= 0):
        return ()
    points = finalists_of(search, trials, own, finalists)
    if len(points) < 2:
        return ()
    space = SearchSpace({"finalist": Choice(list(range(len(points)))), "fold": Choice(list(range(len(folds))))})
    again = replace(
        search,
        name=f"{search.name}-finals-{'-'.join(str(number) for number, _ in points)}",
        space=space,
        folder=search.folder / "finals",
        trials=len(points) * len(folds),
        sampler="grid",
        halving=None,
        first=(),
        about={},
    )
    found = run_search(again, Again(tuple(point for _, point in points), tuple(folds)), workers, minutes)
    return tuple(replace(t, point=points[t.point["finalist"]][1], details={**t.details, **t.point}) for t in found)


def finalists_of(search: Search, trials: Sequence[Trial], own: Point | None, most: int) -> list[tuple[int, Point]]:
    """Numbers and points: the parameters as they were, and the best, those that were trained for longest first."""
    measured = [trial for trial in trials if trial.values is not None]
    order: list[Trial] = []
    for epochs in sorted({trial.epochs for trial in measured}, reverse=True):
        known = {trial.key for trial in order}
        new = [trial for trial in measured if trial.epochs == epochs and trial.key not in known]
        order += [new[place] for place in ranked([trial.values or {} for trial in new], search.objectives)]
    kept = next((t for t in measured if own is not None and t.key == key_of(own)), None)
    first = [] if kept is None else [kept]
    others = [t for t in order if kept is None or t.key != kept.key]
    return [(t.number, t.point) for t in [*first, *others][:most]]


def means_of(finals: Sequence[Trial]) -> dict[str, Values]:
    """By key of a point the mean of each objective over the folds, where it could be measured on all of them."""
    folds = len({trial.details["fold"] for trial in finals})
    keys = dict.fromkeys(trial.key for trial in finals)
    of_key = {key: [t.values for t in finals if t.key == key and t.values is not None] for key in keys}
    return {
        key: {name: mean(v[name] for v in values) for name in values[0]}
        for key, values in of_key.items()
        if len(values) == folds
    }
