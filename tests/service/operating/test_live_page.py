"""The live page in a real Chromium, as far as no loop is needed for it; what needs one is in test_acting.py."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deployments.settings import Settings
from learning.metrics import EpochMetrics
from service.app import create_app
from service.core import Core, make_core
from service.security.access import open_paths
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, listening
from tests.service.operating.browsing import page_of, sign_in, violations
from tests.service.plant import Plant
from tests.service.training.test_epoch_training import begin

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def words() -> tuple[str, str]:
    return f"{HOSTILE}.csv", f"{HOSTILE} drifted"


def training(core: Core, name: str, epochs: int) -> str:
    """A training of which so many epochs are done; the test says what happens in it."""
    run = core.runs.create(name, {"request": {"epochs": 40}}).id
    core.runs.desire(run, "pause")
    core.runs.change_state(run, "running")
    for epoch in range(1, epochs + 1):
        core.runs.append(run, "epoch", done(epoch))
    return run


def done(epoch: int) -> dict[str, Any]:
    """What a training says of an epoch."""
    metrics = EpochMetrics(epoch, 1 / epoch, None, 1.1 / epoch, 0.8, 0.1, 0.01).to_dict()
    return {"metrics": metrics, "total_epochs": 40, "best": {"epoch": epoch, "loss": 1.1 / epoch, "accuracy": 0.8}}


def test_what_anybody_gets_tells_nothing_and_runs_nothing_else(app: FastAPI, address: str) -> None:
    paths = open_paths(app)
    assert {"/", "/page/page.js", "/page/plotly.js", "/page/style.css"} <= paths
    for path in paths:
        answer = httpx.get(f"{address}{path}", trust_env=False)
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert (answer.status_code, policy["script-src"], policy["default-src"]) == (200, "'self'", "'none'")
        assert "unsafe" not in policy["script-src"] + policy["style-src"]
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert httpx.request(method, f"{address}{path}", trust_env=False).status_code == 401
        assert httpx.get(f"{address}{path}", headers={"Host": "evil.example"}, trust_env=False).status_code == 400


def test_a_person_signs_in_and_sees_where_the_plant_stands(browser: Any, address: str, secrets: Secrets) -> None:
    with page_of(browser, address, "lehr_guessed") as page:
        page.get_by_text("The service does not know this token").wait_for()
        sign_in(page, secrets["predict"])
        for figure in ("version 2", "75.0 %", "found"):
            page.get_by_role("definition").filter(has_text=re.compile(f"^{figure}$")).wait_for()
        page.locator('[data-plot="scores"] .scatterlayer').first.wait_for()
        page.locator('[data-plot="drift"] .heatmaplayer').wait_for()
        assert page.get_by_text(f"{HOSTILE} drifted").count() == 3
        assert page.title() == "lehr"
        assert not page.get_by_role("button", name="Retrain…").is_visible()
        page.get_by_text("Drift as a table").click()
        assert "heat" in page.get_by_role("row", name="(drifts)").inner_text()
        assert violations(page) == []
        page.get_by_role("button", name="Sign out").click()
        assert page.get_by_label("Token").is_visible() and page.get_by_text(HOSTILE).count() == 0
        assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_read_on_a_phone_and_by_a_screen_reader(
    browser: Any, address: str, secrets: Secrets, core: Core, dark: bool
) -> None:
    training(core, "a training", 5)
    with page_of(browser, address, secrets["admin"], width=320, dark=dark) as page:
        page.locator('[data-plot="loss"] .scatterlayer').wait_for()
        page.get_by_text("The loop is not up").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        assert violations(page) == []
        headings = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3')].filter(h => h.checkVisibility()).map(h => h.tagName)"
        )
        assert headings[0] == "H1" and headings.count("H1") == 1


def test_a_training_is_followed_paused_resumed_and_cancelled(
    browser: Any, address: str, secrets: Secrets, core: Core
) -> None:
    core.trainings._at_once = 0  # pyright: ignore[reportPrivateUsage]  # the test says what happens in it
    run = core.runs.create("line 3", {"request": {"epochs": 40}}).id
    with page_of(browser, address, secrets["train"]) as page:
        page.get_by_text("pending", exact=True).wait_for()
        core.runs.change_state(run, "running")
        for epoch in range(1, 8):
            core.runs.append(run, "epoch", done(epoch))
        page.get_by_text("epoch 7 of 40").wait_for()
        steer(page)
    assert core.runs.get(run).state == "cancelled"


@pytest.mark.torture
def test_a_real_training_is_followed_paused_resumed_and_cancelled(
    browser: Any, address: str, secrets: Secrets, admin: httpx.Client, core: Core
) -> None:
    run = begin(admin, name="line 3", epochs=20_000, early_stopping_patience=20_000)
    with page_of(browser, address, secrets["train"]) as page:
        page.get_by_text(re.compile(r"epoch \d+ of 20000")).wait_for()
        steer(page, runs=True)
    assert core.runs.get(run).state == "cancelled"


def steer(page: Any, runs: bool = False) -> None:
    """Pause, resume and cancel the training; runs: whether there is a process that takes it up again."""
    page.locator('[data-plot="loss"] .scatterlayer').wait_for()
    page.get_by_role("button", name="Pause line 3").click()
    page.get_by_text("paused", exact=True).first.wait_for()
    page.get_by_role("button", name="Resume line 3").click()
    if runs:
        page.get_by_text("running", exact=True).wait_for()
    page.get_by_role("button", name="Cancel line 3").click()
    page.get_by_role("button", name="End it").click()
    page.get_by_text("cancelled", exact=True).first.wait_for()


def test_a_service_that_is_gone_is_told_of_and_found_again(
    browser: Any, plant: Plant, home: Path, secrets: Secrets
) -> None:
    def app() -> FastAPI:
        return create_app(make_core(Settings(home=home), ServiceSettings(), [plant.pipeline]))

    with ExitStack() as until_it_is_gone:
        address = until_it_is_gone.enter_context(listening(app()))
        with page_of(browser, address, secrets["predict"]) as page:
            page.get_by_text("live", exact=True).wait_for()
            until_it_is_gone.close()
            page.get_by_text("the service does not answer since").wait_for()
            with listening(app(), int(address.rpartition(":")[2])):
                page.get_by_text("live", exact=True).wait_for()


def test_an_empty_plant_says_what_to_do(browser: Any, home: Path, secrets: Secrets) -> None:
    app = create_app(make_core(Settings(home=home), ServiceSettings()))
    with listening(app) as address, page_of(browser, address, secrets["admin"]) as page:
        page.get_by_text("No pipeline is known yet.").wait_for()
        page.get_by_text("Nothing is being trained.").wait_for()
        assert violations(page) == []
