"""A study: points are asked for, measured and told, until the budget is spent; any number of processes take part.

What is known lies in the storage alone. A process that dies leaves a trial that the others tell to have failed, and its
point is asked for again; what it was training goes on from its checkpoint.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from learning.search.halving import Halving, next_to_promote
from learning.search.objectives import Objective, Values
from learning.search.samplers import Sampler, make_sampler
from learning.search.space import Point, SearchSpace, key_of
from learning.search.storage import is_dead, open_storage, optuna_library, this_process

if TYPE_CHECKING:
    import optuna

ABOUT, MEASURED, REPEAT = "lehr", "lehr_measured", "lehr_repeat"
MOST_REPEATS = 10
"""After so many repeats in a row, each answered from what is known, a point is drawn that is not."""


class OutOfTimeError(Exception):
    """The time budget was spent in the middle of a trial; its checkpoint stays."""


@dataclass(frozen=True)
class Measured:
    """What a trial found. values: of every objective. details: what else is worth keeping, as plain JSON."""

    values: Values
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


Evaluate = Callable[[Point, int, float | None], Measured]
"""Measures a point after so many epochs. The third is `time.monotonic` at the end of the budget, after which it raises
OutOfTimeError; FloatingPointError and MemoryError say that the point cannot be trained. For several processes it can be
pickled."""


@dataclass(frozen=True)
class Search:
    """What is looked for.

    epochs: of a training in full. first: points that are tried before any other. trials: how many points; `auto` lists
    them all where the space holds no more, else asks TPE. None of name, place, trials changes what a point measures.
    """

    name: str
    space: SearchSpace
    objectives: tuple[Objective, ...]
    epochs: int
    place: Path | str
    folder: Path
    trials: int = 30
    sampler: Sampler = "auto"
    halving: Halving | None = None
    first: tuple[Point, ...] = ()
    seed: int = 0
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials: {self.trials} find nothing; give 1 or more")

    @property
    def rungs(self) -> list[int]:
        """After how many epochs a point is looked at."""
        return [self.epochs] if self.halving is None else self.halving.epochs(self.epochs)


@dataclass(frozen=True)
class Trial:
    """A point that was trained for some epochs; values: None where it could not be, and error says why."""

    number: int
    point: Point
    epochs: int
    values: Values | None
    details: Mapping[str, Any]
    error: str | None = None

    @property
    def key(self) -> str:
        """The same for the same point."""
        return key_of(self.point)


class Study:
    """One process's view of a study; opening it makes it where it is not there."""

    def __init__(self, search: Search, worker: int = 0, now: Callable[[], float] = monotonic) -> None:
        optuna = optuna_library()
        self.search, self._worker, self._now = search, worker, now
        self._states: Any = optuna.trial.TrialState
        self._process = this_process()
        self._points = search.space.listed()
        self._size = math.inf if self._points is None else len(self._points)
        directions = ["minimize" if o.lower_is_better else "maximize" for o in search.objectives]
        search.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(search.folder / "lock")
        with self._lock:
            self._study = optuna.create_study(
                storage=open_storage(search.place),
                study_name=search.name,
                directions=directions,
                load_if_exists=True,
            )
            if ABOUT not in self._study.user_attrs:
                kept = {"space": search.space.describe(), "objectives": [asdict(o) for o in search.objectives]}
                self._study.set_user_attr(ABOUT, {**search.about, **kept})

    def trials(self) -> list[Trial]:
        """All that were measured, or could not be, in order; repeats are left out."""
        return _finished(self._all())

    def work(self, evaluate: Evaluate, until: float | None = None) -> None:
        """Measure points until as many were as the budget allows, or until the clock says so much."""
        while (until is None or self._now() < until) and (claimed := self._claim()) is not None:
            trial, point, epochs = claimed
            try:
                self._tell(trial, evaluate(point, epochs, until))
            except (FloatingPointError, MemoryError) as error:
                trial.set_user_attr(MEASURED, {"error": str(error)})
                self._study.tell(trial, state=self._states.FAIL)
            except OutOfTimeError:
                self._study.tell(trial, state=self._states.FAIL)
                return

    def _tell(self, trial: "optuna.Trial", measured: Measured) -> None:
        trial.set_user_attr(MEASURED, {"values": dict(measured.values), "details": dict(measured.details)})
        self._study.tell(trial, [measured.values[o.name] for o in self.search.objectives])

    def _claim(self) -> "tuple[optuna.Trial, Point, int] | None":
        """What is to be measured next, taken so that no other process of this machine takes it too."""
        with self._lock:
            self._bury_the_dead()
            everything = self._all()  # once: what another process tells meanwhile is at work or done, never neither
            running = [trial.user_attrs[ABOUT] for trial in everything if trial.state == self._states.RUNNING]
            known = _Known(_finished(everything), running, self.search)
            spent = len(known.keys) >= min(self.search.trials, self._size)
            if (promoted := known.promotion(last=spent and not known.at_work)) is not None:
                return self._ask_for(*promoted)
            if spent:
                return None
            point = self._listed(known)
            return self._ask(known) if point is None else self._ask_for(point, self.search.rungs[0])

    def _listed(self, known: "_Known") -> Point | None:
        """The next of the points that come first, or one of all that are left where they are tried one by one."""
        first = next((point for point in self.search.first if key_of(point) not in known.keys), None)
        one_by_one = self.search.sampler == "grid" or (
            self.search.sampler == "auto" and self._size <= self.search.trials
        )
        if first is not None or not one_by_one:
            return first
        if self._points is None:
            raise ValueError("sampler: grid needs a list or a step for each parameter, and no more points; take tpe")
        left = [point for point in self._points if key_of(point) not in known.keys]
        return left[int(self._rng().integers(len(left)))]

    def _ask(self, known: "_Known") -> "tuple[optuna.Trial, Point, int]":
        """A point that the sampler chooses; one that is known is told at once what is known of it."""
        for _ in range(MOST_REPEATS):
            search = self.search
            self._study.sampler = make_sampler(
                search.sampler, search.seed, self._settled(), self._worker, search.trials
            )
            trial = self._study.ask()
            point = search.space.suggest(trial)
            if key_of(point) not in known.keys:
                return self._claimed(trial, point, search.rungs[0])
            self._tell_known(trial, known.values(key_of(point)))
        return self._ask_for(self._unknown(known), self.search.rungs[0])

    def _tell_known(self, trial: "optuna.Trial", values: Values | None) -> None:
        """Answer a repeat; one that failed, or that is still at work, has no values."""
        trial.set_user_attr(REPEAT, True)
        if values is None:
            self._study.tell(trial, state=self._states.FAIL)
        else:
            self._study.tell(trial, [values[o.name] for o in self.search.objectives])

    def _unknown(self, known: "_Known") -> Point:
        rng = self._rng()
        if self._points is not None:
            left = [point for point in self._points if key_of(point) not in known.keys]
            return left[int(rng.integers(len(left)))]
        while key_of(point := self.search.space.draw(rng)) in known.keys:
            pass
        return point

    def _ask_for(self, point: Point, epochs: int) -> "tuple[optuna.Trial, Point, int]":
        self._study.enqueue_trial(self.search.space.encode(point))
        trial = self._study.ask()
        return self._claimed(trial, self.search.space.suggest(trial), epochs)

    def _claimed(self, trial: "optuna.Trial", point: Point, epochs: int) -> "tuple[optuna.Trial, Point, int]":
        trial.set_user_attr(ABOUT, {"point": point, "epochs": epochs, "process": self._process})
        return trial, point, epochs

    def _bury_the_dead(self) -> None:
        """Tell the trials of processes that are gone to have failed, claimed or not yet."""
        for trial in self._all():
            about = trial.user_attrs.get(ABOUT)
            if trial.state == self._states.RUNNING and (about is None or is_dead(about["process"])):
                self._study.tell(trial.number, state=self._states.FAIL)

    def _settled(self) -> int:
        """How many trials the sampler was told of: what its randomness follows from."""
        return sum(
            t.state == self._states.COMPLETE or bool({MEASURED, REPEAT} & set(t.user_attrs)) for t in self._all()
        )

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.search.seed, self._settled(), self._worker])

    def _all(self) -> "list[optuna.trial.FrozenTrial]":
        return self._study.get_trials(deepcopy=False)


class _Known:
    """What a study knows at one moment. keys: of the points that were asked for."""

    def __init__(self, done: Sequence[Trial], at_work: Sequence[Mapping[str, Any]], search: Search) -> None:
        self._done, self.at_work, self._search = done, at_work, search
        self.keys = {trial.key for trial in done} | {key_of(about["point"]) for about in at_work}

    def values(self, key: str) -> Values | None:
        """Of a point, after as many epochs as it was ever trained."""
        measured = [trial for trial in self._done if trial.key == key and trial.values is not None]
        return max(measured, key=lambda trial: trial.epochs).values if measured else None

    def promotion(self, last: bool) -> tuple[Point, int] | None:
        """A point that is good enough to be trained further, and for how long; last: nothing else will come."""
        halving = self._search.halving
        if halving is None:
            return None
        seen: dict[int, dict[str, Values]] = {epochs: {} for epochs in self._search.rungs}
        for trial in self._done:
            seen[trial.epochs][trial.key] = trial.values or {}
        for about in self.at_work:
            seen[about["epochs"]][key_of(about["point"])] = {}
        found = next_to_promote(seen, self._search.objectives, halving.keep_one_in, last)
        if found is None:
            return None
        return next(trial.point for trial in self._done if trial.key == found[0]), found[1]


def _finished(trials: "Sequence[optuna.trial.FrozenTrial]") -> list[Trial]:
    return [found for trial in trials if (found := finished_trial(trial)) is not None]


def finished_trial(trial: "optuna.trial.FrozenTrial") -> Trial | None:
    """What a trial of the storage found; None for a repeat and for one that did not come to its end."""
    about, measured = trial.user_attrs.get(ABOUT), trial.user_attrs.get(MEASURED)
    if about is None or measured is None or not trial.state.is_finished():
        return None
    details = measured.get("details", {})
    return Trial(trial.number, about["point"], about["epochs"], measured.get("values"), details, measured.get("error"))
