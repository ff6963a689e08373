"""Which point is tried next."""

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from learning.search.storage import optuna_library

if TYPE_CHECKING:
    import optuna

Sampler = Literal["auto", "tpe", "gp", "nsga2", "nsga3", "random", "grid"]
SAMPLERS: tuple[Sampler, ...] = ("auto", "tpe", "gp", "nsga2", "nsga3", "random", "grid")

STARTUP_TRIALS = 8
"""Points at random before a model of the objectives is of any use."""


def make_sampler(name: Sampler, seed: int, finished: int, worker: int, trials: int) -> "optuna.samplers.BaseSampler":
    """A sampler for one point, after so many others were finished.

    Its randomness follows from the seed, that number and the worker's: a study that goes on after a kill asks for the
    points that it would have asked for. trials: how many are to come in all, which evolution divides into generations.
    """
    optuna = optuna_library()
    entropy = int(np.random.SeedSequence([seed, finished, worker]).generate_state(1, np.uint32)[0])
    generation = max(4, min(50, trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "gp":
                made: Any = optuna.samplers.GPSampler(
                    seed=entropy, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False
                )
            case "nsga2":
                made = optuna.samplers.NSGAIISampler(seed=entropy, population_size=generation)
            case "nsga3":
                made = optuna.samplers.NSGAIIISampler(seed=entropy, population_size=generation)
            case "random":
                made = optuna.samplers.RandomSampler(seed=entropy)
            case _:
                made = optuna.samplers.TPESampler(
                    seed=entropy, n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True
                )
    return made
