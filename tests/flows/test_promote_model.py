"""A version of an earlier batch, asked for by a person, through the same gate as any other."""

import threading
from pathlib import Path
from typing import Any

import pytest

from deployments.line import open_ledger, read_line
from deployments.promotion import roll_back
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously
from flows.promote_model import promote_model


@pytest.fixture
def plant(pipeline: Path, source: Path, tmp_path: Path) -> dict[str, str]:
    """Two versions were promoted, and the second was taken back."""
    for batch in sorted(source.glob("*.csv"))[2:]:
        batch.unlink()
    home = tmp_path / "home"
    learn_continuously(pipeline=str(pipeline), sources=[str(source)], home=str(home))
    line = read_line(pipeline, Settings(home=home))
    roll_back(line.ledger, line.registry, line.name, "line 3 complains", None)
    return {"pipeline": str(pipeline), "home": str(home)}


def test_why_a_person_approved_is_kept_in_the_history(plant: dict[str, str]) -> None:
    with Answering(approve=False, reason="not before the holidays"):
        promote_model(**plant, version=2, reason="it was the mould", require_approval=True, approval_minutes=1)
    assert [p.version for p in history(plant)] == [1, 2, 1]
    with Answering(approve=True, reason="it looks fine"):
        promote_model(**plant, version=2, reason="it was the mould", require_approval=True, approval_minutes=1)
    assert [p.version for p in history(plant)] == [1, 2, 1, 2]
    assert history(plant)[-1].reason.endswith("it was the mould; approved: it looks fine")


def history(plant: dict[str, str]) -> list[Any]:
    return open_ledger(Settings(home=Path(plant["home"]))).history("line")


class Answering:
    """A person who answers the question of the run that waits."""

    def __init__(self, approve: bool, reason: str) -> None:
        self._said = {"approve": approve, "reason": reason}
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _answer(self) -> None:
        import httpx
        from prefect.settings import PREFECT_API_URL

        from tests.service.training.test_epoch_training import wait_for

        api, waiting = str(PREFECT_API_URL.value()), {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
        found: list[dict[str, Any]] = []
        wait_for(lambda: bool(found.extend(httpx.post(f"{api}/flow_runs/filter", json=waiting).json()) or found))
        httpx.post(f"{api}/flow_runs/{found[0]['id']}/resume", json={"run_input": self._said}).raise_for_status()
