import hashlib

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.faults import FAULT_KINDS, Fault, FaultKind, apply_fault
from data.plans import PLANTED_CAUSES, PlantedCause, draw_fault_plan, draw_plan
from data.synthetic import SENSORS, glass_line


def test_the_demo_line_is_the_one_it_always_was() -> None:
    hasher = hashlib.sha256()
    for name, frame, _ in glass_line(6, 97, 5):
        hasher.update(name.encode() + frame.write_csv().encode())
    assert hasher.hexdigest().startswith("634e6625cea72a7e77ffebeb")


@pytest.mark.parametrize("cause", PLANTED_CAUSES)
def test_a_plan_ends_with_its_event_and_is_drawn_again_by_its_seed(cause: PlantedCause) -> None:
    for seed in range(5):
        plan = draw_plan(cause, seed, later=0)
        assert plan[-1].cause == cause
        assert plan == draw_plan(cause, seed, later=0)
        assert all(batch.cause == "none" for batch in plan[:5])


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_changes_its_own_sensor_in_its_own_batch_only(kind: FaultKind) -> None:
    fault = Fault(kind, "crown_c", 3.0, start=0.5, other="gob_c" if kind == "swapped" else None)
    faulty, sound = (list(glass_line(0, 80, 1, draw_fault_plan(f, 1))) for f in (fault, Fault("offset", "crown_c")))
    for (_, frame, truth), (_, other, _) in zip(faulty, sound, strict=True):
        wrong = set(fault.sensors) if truth.batch == 6 else set[str]()
        assert set(truth.faulty) == wrong
        assert_frame_equal(frame.drop(wrong), other.drop(wrong))
        for sensor in wrong:
            assert frame[sensor][:40].equals(other[sensor][:40])
            assert not frame[sensor][40:].equals(other[sensor][40:])


def test_a_swap_needs_the_other_sensor() -> None:
    with pytest.raises(ValueError, match="with which other sensor"):
        apply_fault({"a": np.zeros(4)}, Fault("swapped", "a"), np.random.default_rng(0))


def test_every_planned_frame_has_the_line_s_columns() -> None:
    for _, frame, _ in glass_line(0, 30, 0, draw_plan("season", 0)):
        assert frame.columns == ["time", *SENSORS, "defect"]
        assert frame["defect"].dtype == pl.String
