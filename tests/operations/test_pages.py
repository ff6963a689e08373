"""Prefect's pages as an operator uses them, in Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.operations.plant import Plant, until

pytestmark = [pytest.mark.operations, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (on Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def test_a_person_sees_the_schedules_and_starts_a_retrain_from_its_form(
    plant: Plant, page: Any, tmp_path: Path
) -> None:
    site = plant.api.removesuffix("/api")
    for batch, flow in zip(plant.batches, ("learn-continuously", "watch-drift"), strict=False):
        plant.drop(batch)
        assert plant.ended(plant.start(flow))["state_type"] == "COMPLETED"
    page.goto(f"{site}/deployments")
    page.get_by_text("At 03:00 AM every day").wait_for()
    page.get_by_text("Every minute").wait_for()

    retrain = plant.call("GET", "/deployments/name/retrain/line")
    page.goto(f"{site}/deployments/deployment/{retrain['id']}/run")
    page.locator("textarea").nth(1).fill("line 3 complains")
    page.get_by_role("button", name="Submit").click()
    run = until(lambda: next(iter(plant.runs_of("retrain")), None))
    assert plant.ended(run["id"])["state_type"] == "COMPLETED"
    assert "line 3 complains" in plant.journal(), "the form's run put a version into production"

    page.goto(f"{site}/runs/flow-run/{run['id']}")
    page.get_by_role("heading", name="retrain line: line 3 complains").or_(
        page.get_by_text("retrain line: line 3 complains")
    ).first.wait_for()
    page.get_by_text("→ version 2 is in production").wait_for()
    verdict = next(a for a in _artifacts(plant, run["id"]) if (a["key"] or "").startswith("verdict"))
    page.goto(f"{site}/artifacts/artifact/{verdict['id']}")
    page.get_by_role("heading", name="line: version 2 passed").wait_for()
    page.get_by_text("0 held-out rows lie in the candidate's memory; at most 0").wait_for()
    page.screenshot(path=tmp_path / "verdict.png")


def _artifacts(plant: Plant, run_id: str) -> list[dict[str, Any]]:
    return plant.call("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})
