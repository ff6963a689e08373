"""A whole search: points are tried, the best of them trained again, and one is taken."""

from time import monotonic

from data.samples import Samples
from learning.search.finals import run_finals
from learning.search.results import Tuned, conclude
from learning.search.running import Workers, run_search
from learning.search.space import Point
from learning.search.study import Search
from learning.search.trainings import Trainings, folds_of

FOLDS = 2
"""Other splits, each with another seed, that every finalist is trained on."""


def find(
    search: Search,
    trainings: Trainings,
    samples: Samples,
    own: Point | None,
    finalists: int,
    workers: Workers = 1,
    minutes: float | None = None,
) -> Tuned:
    """The pick of a search on some samples.

    own: the parameters as they were, None where they are no point of the space. finalists: how many are trained again;
    below 2 the best score of the search is taken. Raises ValueError where nothing could be trained, and for a budget of
    nothing.
    """
    until = None if minutes is None else monotonic() + 60 * minutes
    trials = run_search(search, trainings, workers, minutes)
    folds = folds_of(trainings, samples, search.seed, FOLDS)
    finals = run_finals(search, trials, own, folds, finalists, workers, until)
    return conclude(search, trials, own, finals)
