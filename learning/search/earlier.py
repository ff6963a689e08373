"""What earlier studies of the same subject found: where a new one begins."""

from collections.abc import Sequence
from pathlib import Path

from learning.search.objectives import Objective, ranked
from learning.search.space import Point, SearchSpace, key_of
from learning.search.storage import open_storage, optuna_library
from learning.search.study import ABOUT, finished_trial

STUDIES, POINTS = 3, 3


def earlier_points(
    place: Path | str, subject: str, name: str, space: SearchSpace, objectives: Sequence[Objective]
) -> list[Point]:
    """The best points of the latest studies of a subject but this one, as far as they lie in the space.

    Of each study those with the most epochs, best first; only studies of the same objectives count.
    """
    optuna = optuna_library()
    storage = open_storage(place)
    names = [o.name for o in objectives]
    same = [
        study
        for study in storage.get_all_studies()
        if (about := study.user_attrs.get(ABOUT, {})).get("subject") == subject
        and study.study_name != name
        and [o["name"] for o in about["objectives"]] == names
    ]
    found: dict[str, Point] = {}
    for study in reversed(same[-STUDIES:]):
        loaded = optuna.load_study(study_name=study.study_name, storage=storage)
        trials = [t for trial in loaded.get_trials(deepcopy=False) if (t := finished_trial(trial)) is not None]
        measured = [trial for trial in trials if trial.values is not None]
        longest = [t for t in measured if t.epochs == max(trial.epochs for trial in measured)]
        order = ranked([trial.values or {} for trial in longest], objectives)
        for point in [longest[place_].point for place_ in order][:POINTS]:
            if space.holds(point):
                found.setdefault(key_of(point), point)
    return list(found.values())
