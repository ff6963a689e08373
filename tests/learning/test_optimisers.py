from copy import deepcopy

import pytest
import torch

from learning.optimisers import AdamW, OptimiserConfig, Sgd, gradient_step, make_optimiser
from models.config import MlpConfig
from models.network import build_network


@pytest.mark.parametrize("config", [AdamW(), Sgd()], ids=lambda c: c.kind)
def test_the_short_step_is_the_optimisers_own_to_the_bit(config: OptimiserConfig) -> None:
    torch.manual_seed(0)
    network = build_network(MlpConfig(dropout=0.0), 5, 3, "classification")
    other = deepcopy(network)
    short, long = (make_optimiser(n.parameters(), config, 1e-2, 0.01) for n in (network, other))
    step = gradient_step(short)
    for _ in range(6):
        inputs = torch.randn(8, 5)
        for each in (network, other):
            each.zero_grad()
            each.normalised_outputs(inputs).square().mean().backward()
        short.param_groups[0]["lr"] = long.param_groups[0]["lr"] = torch.rand(()).item() * 1e-2
        step()
        long.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    states = short.state_dict()["state"], long.state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for mine, its in zip(states[0].values(), states[1].values(), strict=True):
        assert {key for key, value in mine.items() if value is not None} == {
            key for key, value in its.items() if value is not None
        }
        assert all(torch.equal(mine[key], its[key]) for key in mine if mine[key] is not None)
