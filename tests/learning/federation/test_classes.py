import numpy as np
import pytest
import torch

from data.samples import Samples
from learning.federated import FederatedLearningCoordinator
from learning.federation.classes import offsets_of
from learning.federation.config import FederationConfig
from learning.federation.results import FederatedModel
from tests.learning.federation.plants import MODEL, TRAINING, plant


def test_what_is_added_is_how_much_more_often_a_node_has_a_class() -> None:
    counts_O = np.array([50.0, 40.0, 10.0])
    alike = offsets_of(samples([0] * 50 + [1] * 40 + [2] * 10), counts_O)
    assert torch.allclose(alike, torch.zeros(3), atol=1e-6)
    other = offsets_of(samples([0] * 100 + [2] * 100), counts_O)
    assert torch.allclose(other, torch.log(torch.tensor([1.0, 0.4 / 201 / 0.4, 5.0])), atol=0.02)


def test_it_is_for_classes_and_one_head_and_units_that_all_share() -> None:
    for where, federation in (("units", {"units": {"kind": "personal"}}), ("personal", {"personal": ["head"]})):
        with pytest.raises(ValueError, match=f"logit_adjustment: .*{where}"):
            FederationConfig.model_validate({"logit_adjustment": True, **federation})
    values = [(readings, readings[:, 0]) for readings, _ in (plant(number, 60) for number in range(3))]
    with pytest.raises(ValueError, match="logit_adjustment: it is for classes"):
        federate(values, True)


@pytest.mark.parametrize("node", [0, 1, 2])
def test_what_is_true_of_all_is_a_minimum_of_each_nodes_loss(node: int) -> None:
    """Its gradient by the outputs' biases, which without the offsets draws towards the node's own classes."""
    own_O = np.roll([0.9, 0.07, 0.03], node)
    rng, centres = np.random.default_rng(node), 1.5 * np.eye(3)
    classes = rng.choice(3, 20_000, p=own_O)
    readings = torch.from_numpy(centres[classes] + rng.normal(size=(20_000, 3)))
    true_logits = 1.5 * readings  # where each class is as frequent as the others
    offsets_O = offsets_of(samples(classes.tolist()), np.full(3, 1e6))
    own, adjusted = (
        ((true_logits + added).softmax(1).mean(0) - torch.from_numpy(own_O)).abs().max() for added in (0.0, offsets_O)
    )
    assert adjusted < 0.01 < 0.1 < own


def test_the_counts_are_summed_under_masks_too() -> None:
    sources = [plant(number, 60, favourite=number % 3) for number in range(3)]
    plain, secure = (federate(sources, True, secure=secure, rounds=2) for secure in (False, True))
    pairs = zip(plain.network.state_dict().values(), secure.network.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def federate(
    sources: list[tuple[np.ndarray, np.ndarray]], adjusted: bool, rounds: int = 10, secure: bool = False
) -> FederatedModel:
    federation = {"logit_adjustment": adjusted, "secure": secure, "local_epochs": 4}
    return FederatedLearningCoordinator(model=MODEL, training=TRAINING, federation=federation).coordinate_training(
        sources, rounds
    )


def samples(classes: list[int]) -> Samples:
    targets_B = torch.tensor(classes)
    rows_NC = torch.zeros(len(classes), 2)
    return Samples(rows_NC, torch.arange(len(classes)), 1, targets_B, torch.ones(len(classes), dtype=torch.int64))
