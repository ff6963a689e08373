"""A small version of the benchmark: no version that is worse on true rows goes live."""

import numpy as np
import pytest

from benchmarks.concept_change import follow
from benchmarks.fault_injection import FAULTS, KINDS, MARGINS, inject
from benchmarks.fault_summary import Planted, bound, is_bad, summary
from benchmarks.pure_loop import Scene, open_scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A line's; what is asked of it leaves it as it was."""
    return open_scene(301)


def test_of_some_faults_of_every_kind_none_promotes_a_worse_version() -> None:
    found = FAULTS.run(faults=24, lines=1, first_seed=300)
    told = summary(found, MARGINS)
    assert told["faults"] == 24
    assert {kind: row["faults"] for kind, row in told["kinds"].items()} == dict.fromkeys(KINDS, 2)
    assert told["bad"] == 0, told["worst_promotions"]
    assert told["promoted"] > 4, "it is no proof that nothing ever goes live"


def test_a_sound_delivery_is_learned_from_and_a_fault_is_the_same_again(scene: Scene) -> None:
    answers = [scene.take(scene.delivery(number)) for number in (5, 6)]
    assert any(answer.promoted is not None for answer in answers)
    twice = [inject(scene, "corrupted weights", np.random.default_rng(1)) for _ in range(2)]
    assert twice[0] == twice[1]


def test_a_change_that_lasts_is_followed_but_not_for_one_batch(scene: Scene) -> None:
    found = follow(scene, 3.0)
    assert found.after in (2, 3), "one batch alone is not believed; more are"
    assert found.gained > 0.1


def test_a_bad_promotion_is_one_beyond_the_gates_margin() -> None:
    assert not is_bad(Planted("stuck", "", "gate", None), MARGINS)
    assert not is_bad(Planted("stuck", "", "promoted", {"accuracy": 0.04}), MARGINS)
    assert is_bad(Planted("stuck", "", "promoted", {"accuracy": 0.06}), MARGINS)
    assert bound(0, 10_000) == pytest.approx(3e-4, rel=0.01), "the rule of three"
    assert bound(3, 100) == pytest.approx(0.0757, abs=0.001)
