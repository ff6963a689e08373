from itertools import product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.hierarchical import BEHIND, positions
from models.ordered import ordered_chances


def drawn(seed: int, steps: int, keypoints: int, sharpness: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return sharpness * torch.randn(2, steps, keypoints, generator=generator)


def test_the_chances_are_those_of_all_ordered_places() -> None:
    """Against the sum over every combination of places."""
    chances_BLK = drawn(0, 6, 3, 1.5).softmax(1).double()
    expected = np.zeros((2, 6, 3))
    for places in product(range(6), repeat=3):
        if list(places) == sorted(places):
            for b in range(2):
                joint = np.prod([chances_BLK[b, place, k] for k, place in enumerate(places)])
                for k, place in enumerate(places):
                    expected[b, place, k] += joint
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(ordered_chances(chances_BLK).numpy(), expected, rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 40),
    keypoints=st.integers(1, 6),
    sharpness=st.sampled_from([0.0, 1.0, 10.0, 1000.0]),
    stride=st.sampled_from([1, 4]),
)
def test_no_keypoint_lies_before_the_one_listed_before_it(
    seed: int, steps: int, keypoints: int, sharpness: float, stride: int
) -> None:
    logits_BLK = drawn(seed, steps, keypoints, sharpness)
    offsets_BLK = 0.1 * drawn(seed + 1, steps, keypoints, 1.0)
    places_BK = positions(logits_BLK, offsets_BLK, stride, "ordered")
    assert places_BK.isfinite().all()
    assert (places_BK.diff(dim=1) >= 0).all()


def test_keypoints_that_are_sure_and_in_order_stay_where_they_are() -> None:
    logits_BLK, offsets_BLK = torch.full((1, 30, 3), -30.0), torch.zeros(1, 30, 3)
    for k, place in enumerate((4, 11, 20)):
        logits_BLK[0, place, k] = 30.0
    np.testing.assert_allclose(positions(logits_BLK, offsets_BLK, 1, "ordered").numpy(), [[4, 11, 20]], atol=1e-4)


def test_one_that_cannot_decide_follows_its_neighbours_and_padding_counts_for_nothing() -> None:
    logits_BLK = torch.full((1, 30, 2), -30.0)
    logits_BLK[0, 12, 0] = 30.0
    logits_BLK[0, 5, 1], logits_BLK[0, 18, 1] = 30.5, 30.0  # the likelier one lies before the other keypoint
    offsets_BLK = torch.zeros(1, 30, 2)
    assert positions(logits_BLK, offsets_BLK, 1, "median")[0, 1] < 12
    ordered = positions(logits_BLK, offsets_BLK, 1, "ordered")
    np.testing.assert_allclose(ordered.numpy(), [[12, 18]], atol=1e-4)
    padded = torch.cat([logits_BLK, torch.full((1, 9, 2), BEHIND)], dim=1)
    assert torch.equal(positions(padded, torch.zeros(1, 39, 2), 1, "ordered"), ordered)
