from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from data.kept_batches import EARLIER, RECENT, kept_batches


@given(st.integers(1, 5_000))
def test_a_long_history_is_judged_by_a_bounded_choice_of_all_of_it(through: int) -> None:
    kept = kept_batches(through)
    assert kept == sorted(set(kept))
    assert len(kept) == min(through, RECENT + EARLIER)
    assert kept[-RECENT:] == [*range(through + 1 - min(through, RECENT), through + 1)]
    assert kept[0] == 1
    longest = max((after - before for before, after in pairwise(kept)), default=1)
    assert longest <= -(-through // (EARLIER - 1)), "whatever lasted for a thirty-ninth of the past is there"
