"""What a run of the loop tells other systems."""

import json
from pathlib import Path

import pytest

from deployments.line import open_ledger
from deployments.publishing import BrokerConfig, Event, publish
from deployments.settings import Settings
from tests.flows.test_learn_continuously import run


class Told:
    """A broker in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, events: list[Event]) -> None:
        self.events += events


def test_a_run_leaves_its_events_for_the_broker_even_while_that_is_away(
    pipeline: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEHR_EVENTS_REDIS", "redis://127.0.0.1:1")
    for name in ("line-03.csv", "line-04.csv"):
        (source / name).write_text(f"<!DOCTYPE html><title>{name}</title>")
    home, told = tmp_path / "home", Told()
    records = run(pipeline, source, home)["batches"]
    ledger = open_ledger(Settings(home=home))
    nowhere = BrokerConfig(redis="redis://127.0.0.1:1", topic="lehr.events")
    publish(nowhere, ledger, home / "line", "line", told)
    documents = [json.loads(event.content) for event in told.events]
    by_event = {
        name: [d["payload"] for d in documents if d["event"] == name] for name in {d["event"] for d in documents}
    }
    assert [p["name"] for p in by_event["lehr.batch.accepted"]] == ["line-01.csv", "line-02.csv"]
    assert [p["name"] for p in by_event["lehr.batch.quarantined"]] == ["line-03.csv", "line-04.csv"]
    promoted = [p["version"] for p in by_event["lehr.version.promoted"]]
    assert promoted == [p.version for p in ledger.history("line")]
    assert len(promoted) == sum(r["promoted"] for r in records if r["status"] == "accepted")
    assert len({event.id for event in told.events}) == len(told.events)
