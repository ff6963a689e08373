import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.config import DataConfig
from data.splits import split_rows


def config(**keys: object) -> DataConfig:
    return DataConfig.model_validate({"target": "y", **keys})


def test_rows_in_time_are_held_out_in_blocks_with_the_newest_among_them() -> None:
    split = split_rows(1000, config(), seed=0)
    held = split == "holdout"
    assert held.sum() == 200
    assert held[-1]
    assert int((np.diff(held.astype(int)) == 1).sum()) == 5
    assert not (split == "purge").any()


def test_rows_without_order_are_drawn_by_the_seed() -> None:
    one, same, other = (split_rows(500, config(order="none"), seed=seed) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    assert (one == "holdout").sum() == 100


def test_a_long_batch_holds_out_no_more_than_it_may() -> None:
    assert (split_rows(100_000, config(), seed=0) == "holdout").sum() == 200


def test_a_batch_too_small_for_a_hold_out_is_all_training() -> None:
    assert set(split_rows(20, config(), seed=0)) == {"train"}


@given(
    rows=st.integers(0, 3000),
    length=st.integers(1, 60),
    horizon=st.integers(0, 20),
    order=st.sampled_from(["time", "none"]),
)
def test_no_training_window_shares_a_row_with_a_hold_out_window(
    rows: int, length: int, horizon: int, order: str
) -> None:
    split = split_rows(rows, config(window={"length": length}, horizon=horizon, order=order), seed=3)
    held = np.flatnonzero(split == "holdout")
    learned = np.flatnonzero(split == "train")
    assert len(split) == rows
    if len(held) and len(learned) and not (order == "none" and length == 1):
        after = np.searchsorted(learned, held)
        gaps = [held[i] - learned[a - 1] for i, a in enumerate(after) if a > 0]
        gaps += [learned[a] - held[i] for i, a in enumerate(after) if a < len(learned)]
        assert min(gaps) > length - 1 + horizon
        assert len(held) >= 5
        blocks = np.split(held, np.flatnonzero(np.diff(held) > 1) + 1)
        assert order == "none" or min(map(len, blocks)) >= length - 1 + 5


def test_a_window_longer_than_the_hold_out_widens_it() -> None:
    held = split_rows(2000, config(window={"length": 256}), seed=0) == "holdout"
    assert held.sum() == 256 - 1 + 5
