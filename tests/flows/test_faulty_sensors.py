"""A faulty sensor through the real flow: nothing learns from it, whatever asks, until a person releases it."""

from pathlib import Path
from typing import Any

import numpy as np

from data.faults import Fault
from data.plans import draw_fault_plan
from data.synthetic import SENSORS, write_line
from deployments.champions import lineage_of
from deployments.line import open_ledger, open_line
from deployments.setting_aside import readings_set_aside, release, sound_holdout, sound_rows
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously

FAULTY, SENSOR = 6, "lehr_2_c"


def run(pipeline: Path, files: list[Path], home: Path, action: Any = None) -> list[dict[str, Any]]:
    sources = [str(file) for file in files]
    return learn_continuously(pipeline=str(pipeline), sources=sources, home=str(home), action=action)["batches"]


def test_faulty_readings_stay_out_until_they_are_released(pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(
        pipeline.read_text().replace("[{kind: rows, count: 1}]", "[{kind: drift}, {kind: rows, count: 900}]")
    )
    plan = draw_fault_plan(Fault("offset", SENSOR, 4.0), 5, later=1)
    files = write_line(tmp_path / "source", rows=300, seed=5, plan=plan)
    home, settings = tmp_path / "home", Settings(home=tmp_path / "home")
    records = run(pipeline, files[:FAULTY], home)
    assert [r["triage"]["cause"] for r in records] == ["none"] * (FAULTY - 1) + ["sensor_fault"]
    assert SENSOR in records[-1]["triage"]["reason"]
    assert records[-1]["triage"]["features"] == [SENSOR]
    assert records[-1]["decision"]["action"] == "none"
    assert "drift says nothing while lehr_2_c cannot be trusted" in records[-1]["decision"]["reason"]
    later = run(pipeline, files[FAULTY:], home, action="update")[0]
    assert later["action_taken"] == "update", "a person may ask for learning; the readings stay out"
    with open_line(pipeline, settings, []) as line:
        memory = lineage_of(line)
        assert memory is not None
        samples = memory.candidate.memory.samples
        kept = samples.inputs()[samples.batches_B == FAULTY].numpy()
        assert len(kept) > 0
        place = list(SENSORS).index(SENSOR)
        assert np.isnan(kept[:, place]).all(), "the update learned from the other sensors alone"
        assert np.isfinite(kept).any(1).all()
        held_out = sound_holdout(line, FAULTY)
        assert held_out.filter(lehr_batch=FAULTY)[SENSOR].null_count() == held_out.filter(lehr_batch=FAULTY).height
        stored = line.store.read(batches=range(FAULTY, FAULTY + 1))
        assert stored[SENSOR].null_count() < 10, "nothing is lost"
        release(open_ledger(settings), "line", FAULTY, "it was right")
        assert sound_rows(line, range(FAULTY, FAULTY + 1))[SENSOR].equals(stored[SENSOR])
        assert FAULTY not in readings_set_aside(line.ledger, line.name)
