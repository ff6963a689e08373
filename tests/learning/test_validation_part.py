import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.validation import LEAST_SAMPLES, split_validation
from tests.learning.streams import make_batch


@settings(max_examples=30, deadline=None)
@given(st.integers(LEAST_SAMPLES, 400), st.integers(1, 6), st.integers(0, 1000))
def test_no_training_window_shares_a_row_with_a_held_back_one(count: int, length: int, seed: int) -> None:
    samples = make_batch(1, "regression", length, count)
    train, validation = split_validation(samples, torch.Generator().manual_seed(seed))
    assert validation is not None
    held_back = {row for start in validation.starts_B.tolist() for row in range(start, start + length)}
    assert not any(start + i in held_back for start in train.starts_B.tolist() for i in range(length))
    assert 0.05 * count <= len(validation) <= 0.15 * count
    if length == 1:
        assert len(train) + len(validation) == count


def test_few_samples_are_all_trained_on() -> None:
    train, validation = split_validation(make_batch(1, "regression", count=99), torch.Generator())
    assert len(train) == 99
    assert validation is None


def test_windows_so_long_that_nothing_would_be_left_are_all_trained_on() -> None:
    samples = make_batch(1, "regression", 30, 110)
    train, validation = split_validation(samples, torch.Generator())
    assert len(train) == len(samples)
    assert validation is None
