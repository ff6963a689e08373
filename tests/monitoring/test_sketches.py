import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from monitoring.sketches import row_patterns


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)), st.integers(1, 20))
def test_patterns_of_rows_are_those_of_numpy_also_over_more_than_a_word(flags_NF, times):
    flags_NF = np.tile(flags_NF, (1, times))
    patterns_PF, kind_N = row_patterns(flags_NF)
    expected_PF, expected_N = np.unique(flags_NF, axis=0, return_inverse=True)
    assert (patterns_PF == expected_PF).all() and (kind_N == expected_N).all()
