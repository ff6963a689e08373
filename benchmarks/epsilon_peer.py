"""ε by Google's dp-accounting, in an environment of its own: settings as JSON on the input, ε of each on the output."""

import json
import sys

import dp_accounting
from dp_accounting.pld import PLDAccountant


def epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    """By the privacy loss distribution, pessimistic, one member more or less."""
    event = dp_accounting.GaussianDpEvent(noise)
    if rate < 1:
        event = dp_accounting.PoissonSampledDpEvent(rate, event)
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    return float(accountant.compose(event, steps).get_epsilon(delta))


if __name__ == "__main__":
    print(json.dumps([epsilon(*setting) for setting in json.load(sys.stdin)]))
