"""Numbers as integers modulo 2^64, whose sums are exact in any order.

Shapes: P numbers.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.uint64]

FRACTION_BITS = 24
SUM_BITS = 62
WIDE_FRACTION_BITS = 40
LIMBS, LIMB_BITS = 4, 32
_OFFSET = 1 << (LIMBS * LIMB_BITS - 1)


def encode(values_P: NDArray[np.float64], nodes: int) -> Integers:
    """The values in steps of 2^-24; raises ValueError for values whose sum over so many nodes could not be told."""
    scaled_P = np.rint(values_P * 2.0**FRACTION_BITS)
    if not (np.abs(scaled_P) < 2.0**SUM_BITS / nodes).all():
        raise ValueError("an update is too large for secure aggregation, or not finite")
    return scaled_P.astype(np.int64).view(np.uint64)


def decode(sum_P: Integers) -> NDArray[np.float64]:
    """What a sum of encoded values says."""
    return sum_P.view(np.int64) / 2.0**FRACTION_BITS


def encode_wide(values_P: Sequence[float]) -> Integers:
    """Values of very different size, such as sums of squares, in four parts each; in steps of 2^-40 up to 2^86."""
    limbs: list[int] = []
    for value in values_P:
        number = round(value * 2**WIDE_FRACTION_BITS) + _OFFSET
        if not 0 <= number < 2 * _OFFSET:
            raise ValueError(f"{value:g} is too large for secure aggregation")
        limbs += [(number >> (LIMB_BITS * place)) % (1 << LIMB_BITS) for place in range(LIMBS)]
    return np.array(limbs, dtype=np.uint64)


def decode_wide(sum_P: Integers, nodes: int) -> NDArray[np.float64]:
    """What a sum over so many nodes says."""
    numbers = [int(limb) for limb in sum_P]
    parts = [numbers[start : start + LIMBS] for start in range(0, len(numbers), LIMBS)]
    totals = [sum(limb << (LIMB_BITS * place) for place, limb in enumerate(part)) for part in parts]
    return np.array([(total - nodes * _OFFSET) / 2**WIDE_FRACTION_BITS for total in totals], dtype=np.float64)
