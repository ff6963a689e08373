"""What the champion is asked begins to drift: told once, by the flow that looks on a schedule."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.events import emit_event

from data.served_inputs import Answered, keep_inputs
from flows.watch_drift import watch_drift
from service.core import now
from tasks import announce
from tests.service.plant import make_plant

RNG = np.random.default_rng(0)


def test_drift_of_what_is_served_is_told_to_prefect_and_to_the_broker_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[Any] = []

    def emit_and_note(**event: Any) -> Any:
        emitted.append(emit_event(**event))
        return emitted[-1]

    monkeypatch.setattr(announce, "emit_event", emit_and_note)
    monkeypatch.setenv("LEHR_EVENTS_REDIS", "redis://127.0.0.1:1")
    plant = make_plant(tmp_path, tmp_path / "home")
    plant.deliver(1)
    plant.promote(0)
    for heat in (900, 945, 945):
        readings = np.stack([RNG.normal(heat, 10, 300), RNG.normal(60, 3, 300)], 1).astype(np.float32)
        answered = Answered(RNG.bytes(10).hex(), now(), 1, ["heat", "speed"], [readings])
        keep_inputs(plant.home / "line", answered, 1)
        assert watch_drift(pipeline=str(plant.pipeline), home=str(plant.home))["batches"] == []
    outbox = [json.loads(file.read_text()) for file in (plant.home / "line" / "outbox").glob("*.json")]
    (told,) = [event for event in outbox if event["event"] != "lehr.version.promoted"]
    assert (told["event"], told["payload"]["of"]) == ("lehr.drift.detected", "predictions")
    (event,) = emitted
    assert (event.event, str(event.id), event.payload) == (told["event"], told["id"], told["payload"])
    assert event.resource.id == "lehr.pipeline.line"
