"""A whole search: points are tried, the best of them trained again, and one is taken."""

from time import monotonic
from typing import Any

from learning.search.finals import run_finals
from learning.search.results import Tuned, conclude
from learning.search.running import Workers, run_search
from learning.search.study import Search
from learning.search.template import Template
from learning.search.trainings import Material, Trainings, folds_of

FOLDS = 2
"""Other splits, each with another seed, that every finalist is trained on."""


def find(
    search: Search,
    material: Material[Any],
    template: Template[Any, Any],
    finalists: int,
    workers: Workers = 1,
    minutes: float | None = None,
) -> Tuned:
    """The pick of a search on some material.

    template: what is no part of a point, and, where it is one, the parameters as they were. finalists: how many are
    trained again; below 2 the best score of the search is taken. Raises ValueError where nothing could be trained, for
    too little material, and for a budget of nothing.
    """
    until = None if minutes is None else monotonic() + 60 * minutes
    objectives = tuple(objective.name for objective in search.objectives)
    trainings = Trainings(material.split(search.seed), template, objectives, search.folder, search.epochs)
    trials = run_search(search, trainings, workers, minutes)
    folds, own = folds_of(trainings, material, search.seed, FOLDS), template.part_of(search.space)
    finals = run_finals(search, trials, own, folds, finalists, workers, until)
    return conclude(search, trials, own, finals)
