"""Drift of what is served: looked at as often as the budget allows, and told once when it begins."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.served_inputs import Answered, keep_inputs
from deployments.line import Line, read_line
from deployments.served_looks import Looked, keep_look, look_at_served
from deployments.settings import Settings
from service.core import now
from tests.service.plant import Plant, make_plant

RNG = np.random.default_rng(0)
DAY = timedelta(days=1)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    plant = make_plant(tmp_path, tmp_path / "home")
    plant.deliver(1)
    plant.promote(0)
    return plant


def answer(plant: Plant, heat: float, many: int = 300, at: datetime | None = None) -> None:
    """Keep readings as the service does, of so many samples at this heat."""
    readings = np.stack([RNG.normal(heat, 10, many), RNG.normal(60, 3, many)], 1).astype(np.float32)
    champion: Any = plant.ledger.champion("line")
    request = RNG.bytes(10).hex()
    keep_inputs(plant.home / "line", Answered(request, at or now(), champion.version, ["heat", "speed"], [readings]), 1)


def line_of(plant: Plant) -> Line:
    return read_line(plant.pipeline, Settings(home=plant.home))


def look(plant: Plant, at: datetime) -> Looked | None:
    """A look, which is kept."""
    line = line_of(plant)
    looked = look_at_served(line, at)
    if looked is not None:
        keep_look(line.folder, looked.look)
    return looked


def test_drift_is_told_when_it_begins_and_not_at_each_look(plant: Plant) -> None:
    at = now()
    assert look(plant, at) is None
    answer(plant, 900)
    usual = look(plant, at)
    assert usual is not None
    assert (usual.look.drifts, usual.told) == (False, None)
    answer(plant, 940)
    begun = look(plant, at + timedelta(minutes=5))
    assert begun is not None
    assert begun.told is not None
    assert begun.told.event == "lehr.drift.detected"
    assert (begun.told.payload["version"], begun.told.payload["samples"]) == (1, 600)
    assert begun.told.payload["features"][0] == "heat"
    assert "what version 1 is asked: heat" in begun.told.payload["reason"]
    for day in (1, 2, 3):
        answer(plant, 940)
        again = look(plant, at + day * DAY + timedelta(hours=1))
        assert again is not None
        assert (again.look.drifts, again.told) == (True, None)


def test_a_look_that_was_not_kept_tells_the_same_again(plant: Plant) -> None:
    answer(plant, 940)
    first, second = (look_at_served(line_of(plant), now()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.told is not None
    assert second.told is not None
    assert first.about == second.about == "served 1 1"


def test_looks_are_a_day_apart_unless_as_much_came_again(plant: Plant) -> None:
    at = now()
    for _ in range(4):
        answer(plant, 900)
    assert look(plant, at) is not None
    assert look(plant, at + DAY / 2) is None
    answer(plant, 900)
    assert look(plant, at + DAY / 2) is None
    assert look(plant, at + DAY) is not None
    for _ in range(5):
        answer(plant, 900)
    assert look(plant, at + DAY + DAY / 2) is not None


def test_drift_that_was_over_is_told_again_and_so_is_that_of_another_champion(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest records count, so what lies back is over."""
    monkeypatch.setattr("deployments.served.MOST_FILES", 1)
    at, told = now(), list[str | None]()
    for day, heat in enumerate((940, 900, 940)):
        answer(plant, heat)
        looked = look(plant, at + day * DAY)
        assert looked is not None
        told.append(None if looked.told is None else looked.about)
    assert told == ["served 1 1", None, "served 1 2"]
    plant.promote(0)
    answer(plant, 940, at=now())
    other = look(plant, at + 4 * DAY)
    assert other is not None
    assert (other.told is not None, other.about) == (True, "served 2 1")


def test_evidence_just_below_the_limit_is_not_over_yet(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hysteresis: it is over below half of the limit."""
    answer(plant, 940)
    at = now()
    began = look(plant, at)
    assert began is not None
    assert began.look.drifts
    from deployments import served_looks

    found: Any = served_looks.watch_served(line_of(plant))
    for day, share, drifts in ((1, 0.9, True), (2, 0.4, False), (3, 0.9, False)):
        log_e_value = share * found.report.evidence.log_limit
        weak = replaced(found, drifted=False, log_e_value=log_e_value)
        monkeypatch.setattr(served_looks, "watch_served", lambda line, weak=weak: weak)
        looked = look(plant, at + day * DAY)
        assert looked is not None
        assert (looked.look.drifts, looked.told) == (drifts, None)


def replaced(found: Any, **evidence: Any) -> Any:
    from dataclasses import replace

    return replace(found, report=replace(found.report, evidence=replace(found.report.evidence, **evidence)))
