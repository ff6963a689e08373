"""A plant that a person runs from its page alone: `lehr up` and `lehr serve` beside each other, and a browser."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.operations.plant import ROOT, Plant, free_port, lehr, until
from tests.service.operating.browsing import chromium, page_of, violations


@pytest.mark.operations
@pytest.mark.timeout(900)
def test_a_person_retrains_approves_and_rolls_back_on_the_page(plant: Plant) -> None:
    plant.drop(plant.batches[0])
    assert plant.ended(plant.start("learn-continuously"))["state_type"] == "COMPLETED"
    plant.drop(plant.batches[1])
    assert plant.ended(plant.start("watch-drift"))["state_type"] == "COMPLETED"
    token = lehr("token", "chief", "--role", "promote", "--home", str(plant.home)).strip()
    with chromium() as browser, serving(plant) as address, page_of(browser, address, token) as page:
        page.set_default_timeout(120_000)
        said(page, "version 1")
        page.get_by_role("button", name="Retrain…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill("new mould")
        dialog.get_by_label("ask a person").check()
        dialog.get_by_role("button", name="Retrain").click()
        page.get_by_role("button", name="Approve…").click()
        dialog.get_by_label("Reason").fill("it looks fine")
        dialog.get_by_role("button", name="Approve").click()
        said(page, "version 2")
        page.get_by_text("approved: it looks fine").first.wait_for()
        page.get_by_role("button", name="Roll back…").click()
        dialog.get_by_label("Reason").fill("line 3 complains")
        dialog.get_by_role("button", name="Roll back").click()
        said(page, "version 1")
        page.get_by_text("line 3 complains").first.wait_for()
        assert violations(page) == []
    journal = plant.journal()
    assert "new mould; approved: it looks fine" in journal and "rolled back: line 3 complains" in journal


def said(page: Any, figure: str) -> None:
    """Wait until one of the figures is this."""
    page.get_by_role("definition").filter(has_text=re.compile(f"^{figure}$")).wait_for()


@contextmanager
def serving(plant: Plant) -> Generator[str]:
    """`lehr serve` beside the plant's `lehr up`."""
    port, prefect = free_port(), re.findall(r":(\d+)/", plant.api)[0]
    command = [sys.executable, "lehr.py", "serve", str(plant.pipeline), "--port", str(port), "--home", str(plant.home)]
    environment = {**os.environ, "LEHR_PREFECT_PORT": prefect}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(address))
        yield address
    finally:
        process.terminate()
        assert process.wait(30) in (0, -15)


def answers(address: str) -> bool | None:
    try:
        return httpx.get(address, trust_env=False).status_code == 200 or None
    except httpx.TransportError:
        return None
