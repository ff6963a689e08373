from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.federation.fixed_point import decode, decode_wide, encode, encode_wide
from learning.federation.masking import NodeMask, mask_of, unmask
from learning.federation.shamir import Share, recover, split

NAMES = [f"node-{i:02d}" for i in range(10)]
THRESHOLD = 6


def agreed(names: Sequence[str]) -> dict[str, NodeMask]:
    nodes = {name: NodeMask.begin(name) for name in names}
    keys = {name: node.public() for name, node in nodes.items()}
    for node in nodes.values():
        node.agree("furnaces", keys)
    return nodes


def masked_round(
    nodes: dict[str, NodeMask], number: int, vectors: dict[str, np.ndarray], lost: set[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The masked vectors of those who are not lost after they shared, and the sum that comes out of them."""
    names = sorted(vectors)
    shared = {name: nodes[name].share_out(number, names, THRESHOLD) for name in names}
    inboxes = {n: {o: shared[o][0][n] for o in names if o != n} for n in names}
    masked = {n: nodes[n].mask(vectors[n], inboxes[n]) for n in names if n not in lost}
    again = {n: NodeMask(**nodes[n].to_dict()) for n in names}  # as after a restart
    revealed = {n: again[n].reveal(sorted(masked), THRESHOLD) for n in masked}
    return masked, unmask(masked, {name: covered for name, (_, covered) in shared.items()}, revealed, THRESHOLD)


def test_the_sum_is_the_plain_sum_to_the_bit_with_two_of_ten_nodes_lost() -> None:
    rng = np.random.default_rng(0)
    nodes = agreed(NAMES)
    for number in range(3):
        plain = {name: encode(rng.normal(0, 300, 500), len(NAMES)) for name in NAMES}
        masked, total = masked_round(nodes, number, plain, {NAMES[2], NAMES[7 + number % 2]})
        expected = np.sum([plain[name] for name in masked], axis=0, dtype=np.uint64)
        assert len(masked) == 8
        assert total.tobytes() == expected.tobytes()
        assert np.abs(decode(total) - decode(expected)).max() == 0
        for name in masked:  # looks like nothing: half of all bits differ, within seven deviations
            bits = np.unpackbits((masked[name] ^ plain[name]).view(np.uint8))
            assert abs(bits.mean() - 0.5) < 7 * 0.5 / np.sqrt(len(bits))


def test_what_is_told_of_one_round_opens_no_other() -> None:
    """Without the masks of their own, which are told of survivors, a node's vectors are masked otherwise each round."""
    nodes, nothing = agreed(NAMES), {name: np.zeros(100, np.uint64) for name in NAMES}
    left: set[bytes] = set()
    for number in (0, 1, 5):
        masked, _ = masked_round(nodes, number, nothing, set())
        left.add((masked[NAMES[0]] - mask_of(bytes.fromhex(nodes[NAMES[0]].own), 100)).tobytes())
    assert len(left) == 3
    assert nodes[NAMES[0]].key == ""
    with pytest.raises(ValueError, match="round 5 was masked already"):
        masked_round(nodes, 5, nothing, set())


def test_fewer_than_the_threshold_open_nothing() -> None:
    rng = np.random.default_rng(1)
    plain = {name: encode(rng.normal(size=5), len(NAMES)) for name in NAMES}
    with pytest.raises(ValueError, match="too few to hide one among them"):
        masked_round(agreed(NAMES), 0, plain, set(NAMES[:5]))
    with pytest.raises(ValueError, match="too few to hide one among them"):
        agreed(NAMES)[NAMES[0]].share_out(0, NAMES, threshold=5)
    with pytest.raises(ValueError, match="or not all are known"):
        agreed(NAMES[:8])[NAMES[0]].share_out(0, NAMES, THRESHOLD)


def test_a_share_that_was_changed_on_its_way_is_noticed() -> None:
    nodes = agreed(NAMES[:3])
    sealed = {name: node.share_out(0, NAMES[:3], 2)[0] for name, node in nodes.items()}
    first, second, third = NAMES[:3]
    nodes[first].mask(np.zeros(3, np.uint64), {second: sealed[third][first], third: sealed[third][first]})
    with pytest.raises(ValueError, match=f"the share of {second} was changed"):
        nodes[first].reveal([first, second, third], 2)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 5), st.integers(0, 2))
def test_any_so_many_shares_tell_the_secret(secret: bytes, threshold: int, more: int) -> None:
    shares = [Share.decode(share.encode()) for share in split(secret, threshold + more, threshold)]
    for chosen in combinations(shares, threshold):
        assert recover(chosen, threshold) == secret
    with pytest.raises(ValueError, match="do not tell the secret"):
        recover(shares[: threshold - 1], threshold)


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=5), st.integers(1, 20))
def test_sums_of_very_different_size_are_exact(values: list[float], nodes: int) -> None:
    total = np.sum([encode_wide(values) for _ in range(nodes)], axis=0, dtype=np.uint64)
    expected = [nodes * round(value * 2**40) / 2**40 for value in values]
    assert decode_wide(total, nodes).tolist() == expected


def test_what_does_not_fit_is_refused() -> None:
    for value in (np.nan, np.inf, 1e12):
        with pytest.raises(ValueError, match="too large for secure aggregation"):
            encode(np.array([value]), 10)
    with pytest.raises(ValueError, match="too large"):
        encode_wide([1e30])
