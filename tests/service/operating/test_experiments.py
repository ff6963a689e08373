"""Experiments in the service: what trackers have logged, asked by a client and looked at in a real Chromium."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.files import folder_name
from monitoring.journal import Journal
from monitoring.metrics import MLMetricsTracker
from tests.service.conftest import Secrets
from tests.service.operating.browsing import page_of, violations

HOSTILE = "<img src=x onerror=document.title='owned'>"
NAME = "line 3/recall"


@pytest.fixture
def logged(home: Path) -> str:
    """An experiment of two runs; in the latest a rule is raised, by a value that is no number too."""
    rules = [{"kind": "threshold", "metric": "recall", "below": 0.8}]
    for run, values in (("first", [0.9, 0.95]), (HOSTILE, [0.9, 0.7, float("nan")])):
        with MLMetricsTracker(NAME, run_name=run, home=home, rules=rules, sinks=[]) as tracker:
            for value in values:
                tracker.log_metrics({"recall": value})
            tracker.log_defects(["crack", "ok"], ["ok", "ok"], {"crack": {"ok": 40.0}}, step=9)
    return NAME


def test_a_reader_gets_the_metrics_and_nobody_else(
    logged: str, home: Path, client_of: Callable[[str], httpx.Client], address: str
) -> None:
    client = client_of("predict")
    assert client.get("/api/v1/experiments").json() == {"experiments": [logged]}
    told = client.get("/api/v1/experiments/metrics", params={"experiment": logged}).raise_for_status().json()
    assert [run["name"] for run in told["runs"]] == [HOSTILE, "first"]
    curves = {curve["name"]: curve["figure"]["data"] for curve in told["curves"]}
    assert curves["recall"][0]["y"] == [0.9, 0.95] and curves["recall"][1]["y"] == [0.9, 0.7, None]
    assert [alert["state"] for alert in told["alerts"]] == ["raised"] and told["cost"] == "20"
    assert told["confusion"]["data"][0]["text"] == [[0, 1], [0, 1]]
    answer = client.get("/api/v1/experiments/metrics", params={"experiment": "../line"})
    assert answer.status_code == 404 and "there is no experiment '../line'; there are line 3" in answer.text
    for path in ("experiments", f"experiments/metrics?experiment={logged}"):
        assert httpx.get(f"{address}/api/v1/{path}", trust_env=False).status_code == 401
        assert client_of("node").get(f"/api/v1/{path}").status_code == 403

    path = home / "metrics" / folder_name(logged) / "0123.journal"
    journal = Journal(path)
    journal.append({"t": 1_700_000_000_000, "s": 0, "run": "0123", "name": "killed", "params": {}})
    journal.close()
    again = client.get("/api/v1/experiments/metrics", params={"experiment": logged}).raise_for_status().json()
    assert again == told and not path.with_suffix(".uploaded").exists(), "who looks changes nothing"


def test_a_person_opens_an_experiment(browser: Any, address: str, secrets: Secrets, logged: str) -> None:
    with page_of(browser, address, secrets["predict"]) as page:
        page.get_by_role("heading", name=logged).click()
        page.locator("[data-part=curves] .scatterlayer").first.wait_for()
        page.locator("[data-part=confusion] .heatmaplayer").wait_for()
        page.get_by_text("recall is 0.7; limit below 0.8").wait_for()
        page.get_by_text("Runs as a table").click()
        assert page.get_by_role("rowheader", name=HOSTILE).is_visible()
        assert page.title() == "lehr" and violations(page) == []
        page.set_viewport_size({"width": 320, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth === 320")
