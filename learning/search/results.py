"""What a search found: the pick and why, the front, and what mattered."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from learning.search.finals import means_of
from learning.search.objectives import GIVEN_UP, Objective, Values, front_of, pick
from learning.search.space import Point, SearchSpace, key_of
from learning.search.storage import optuna_library
from learning.search.study import Search, Trial

LEAST_TRIALS = 5
"""With fewer nothing can be said about what mattered."""


@dataclass(frozen=True)
class Tuned:
    """The outcome of a search.

    best: the pick among `front`, the trials that no other beats everywhere; where the best were trained again, the one
    that then did best, with the mean of those trainings, `finals`, as its values. baseline: the trial of the
    configuration as it was; None where it is no point of the space. trials: all, those stopped early too, which have
    fewer epochs. importance: each parameter's share in how the first objective varies. notes: what its user should
    know.
    """

    study: str
    objectives: tuple[Objective, ...]
    best: Trial
    why: str
    front: tuple[Trial, ...]
    baseline: Trial | None
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    notes: tuple[str, ...] = ()
    finals: tuple[Trial, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


def conclude(search: Search, trials: Sequence[Trial], baseline: Point | None, finals: Sequence[Trial] = ()) -> Tuned:
    """The pick among what was trained again, or in full; where the time was too short for that, for longest.

    Raises ValueError where nothing could be trained.
    """
    measured = [trial for trial in trials if trial.values is not None]
    if not measured:
        errors = "; ".join(sorted({trial.error for trial in trials if trial.error})) or "the time was too short"
        raise ValueError(f"no trial of the study {search.name} came to its end: {errors}")
    longest = max(trial.epochs for trial in measured)
    whole = [trial for trial in measured if trial.epochs == longest]
    values = [trial.values or {} for trial in whole]
    best = whole[pick(values, search.objectives)]
    front = [whole[i] for i in front_of(values, search.objectives)]
    own = next((t for t in _furthest(measured) if baseline is not None and t.key == key_of(baseline)), None)
    notes = (
        [] if longest == search.epochs else [f"the time was too short: the longest was trained for {longest} epochs"]
    )
    failed = sum(trial.values is None for trial in trials)
    notes += [f"{failed} trials could not be trained"] * bool(failed)
    important = importance(search.space, _furthest(measured), search.objectives[0], search.seed)
    why = _why(search.objectives, best, front, len({trial.key for trial in trials}))
    if means := means_of(finals):
        best, why = _best_again(search, measured, means, own, len(finals) // len({trial.key for trial in finals}))
        if own is not None and own.key in means:  # beside the pick's mean, what is like it
            own = replace(own, epochs=search.epochs, values=means[own.key])
    kept = (tuple(front), own, tuple(trials), important, tuple(notes), tuple(finals))
    return Tuned(search.name, search.objectives, best, why, *kept)


def _best_again(
    search: Search, measured: Sequence[Trial], means: Mapping[str, Values], own: Trial | None, splits: int
) -> tuple[Trial, str]:
    """The finalist with the best mean, of several such the parameters as they were, and what speaks for it."""
    keys, (objective, *_) = sorted(means, key=lambda key: own is None or key != own.key), search.objectives
    key = keys[pick([means[key] for key in keys], search.objectives)]
    trial = next(trial for trial in _furthest(measured) if trial.key == key)
    points = len({trial.key for trial in measured})
    said = f"of {points} points the best {len(keys)} were trained again on {splits} other splits; this one's mean"
    why = f"{said} {objective.name} is the best: {means[key][objective.name]:.4g}"
    if own is not None and own.key in means and own.key != key:
        why += f", {means[own.key][objective.name]:.4g} with the parameters as they were"
    return replace(trial, epochs=search.epochs, values=means[key]), why


def importance(space: SearchSpace, trials: Sequence[Trial], objective: Objective, seed: int) -> dict[str, float]:
    """The share of each parameter that all trials have (fANOVA, Hutter et al. 2014); empty where it cannot be told."""
    optuna = optuna_library()
    shared = [name for name in space.parameters if all(name in trial.point for trial in trials)]
    values = [trial.values[objective.name] for trial in trials if trial.values]
    if len(values) < LEAST_TRIALS or len(shared) < 2 or max(values) - min(values) <= 0:
        return {}
    study = optuna.create_study()
    distributions = {name: _distribution(space, name) for name in shared}
    for trial, value in zip(trials, values, strict=True):
        params = {name: space.parameters[name].encode(trial.point[name]) for name in shared}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=shared)
    return {name: float(share) for name, share in found.items()}


def _distribution(space: SearchSpace, name: str) -> Any:
    """What the sampler was asked for."""
    optuna = optuna_library()
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    space.parameters[name].suggest(name, trial)
    return trial.distributions[name]


def _furthest(trials: Sequence[Trial]) -> list[Trial]:
    """Of each point the trial with the most epochs."""
    return list({trial.key: trial for trial in sorted(trials, key=lambda t: (t.epochs, t.number))}.values())


def _why(objectives: Sequence[Objective], best: Trial, front: Sequence[Trial], points: int) -> str:
    said = ", ".join(f"{name} {value:.4g}" for name, value in (best.values or {}).items())
    tried = f"of {points} points"
    if len(objectives) == 1:
        return f"the best {tried}: {said}"
    rest = " and ".join(objective.name for objective in objectives[1:])
    allowed = f"gives up no more than {GIVEN_UP:.0%} of the best {objectives[0].name} and is best in {rest}"
    return f"{tried}, {len(front)} are on the front; among those this one {allowed}: {said}"
