"""A promotion that ends between the ledger's swap and the prediction through MLflow's alias."""

from pathlib import Path
from typing import Any

import pytest

from deployments.line import Line, open_ledger
from deployments.promotion import SmokeTestError, smoke_test
from deployments.registry import Registry
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously


class Ended(BaseException):
    """What ends the run, as a cancellation does."""


def run(pipeline: Path, source: Path, home: Path) -> list[dict[str, Any]]:
    return learn_continuously(pipeline=str(pipeline), sources=[str(source)], home=str(home))["batches"]


def state(home: Path) -> tuple[list[tuple[int, str]], int | None]:
    history = open_ledger(Settings(home=home)).history("line")
    return [(p.version, p.reason) for p in history], Registry(Settings(home=home).tracking_uri, "line").champion()


@pytest.fixture
def two(source: Path, pipeline: Path) -> Path:
    gate = "{metric: accuracy, threshold: 0.0, max_regression: 1.0, max_forgetting: 1.0, baseline: none}"
    pipeline.write_text(pipeline.read_text().replace("{metric: accuracy, threshold: 0.3}", gate))
    for file in sorted(source.iterdir())[2:]:
        file.unlink()
    return source


def test_ended_by_a_person_the_version_before_is_back(
    pipeline: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(line: Line, version: int) -> None:
        if version == 2:
            raise Ended
        smoke_test(line, version)

    with monkeypatch.context() as patched:
        patched.setattr("deployments.row_kind.smoke_test", end)
        with pytest.raises(Ended):
            run(pipeline, two, tmp_path / "home")
    history, alias = state(tmp_path / "home")
    assert [version for version, _ in history] == [1, 2, 1]
    assert history[-1][1] == "rolled back: its promotion was not completed"
    assert alias == 1
    record = run(pipeline, two, tmp_path / "home")[-1]
    assert not record["promoted"]
    assert "version 2 is no longer in production" in record["warnings"][-1]
    assert state(tmp_path / "home") == (history, 1)


def test_killed_after_the_swap_the_prediction_is_made_up_for(
    pipeline: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is rolled back by a run that is dead; the one that follows finds the alias wanting."""

    def kill(line: Line, version: int) -> None:
        raise Ended

    def fail(line: Line, version: int) -> None:
        raise SmokeTestError("it does not load")

    with monkeypatch.context() as patched:
        patched.setattr("tasks.promote.take_promotion_back", lambda *swap: None)
        patched.setattr("deployments.row_kind.smoke_test", lambda line, version: version == 1 or kill(line, version))
        with pytest.raises(Ended):
            run(pipeline, two, tmp_path / "home")
    assert [version for version, _ in state(tmp_path / "home")[0]] == [1, 2]
    monkeypatch.setattr("deployments.row_kind.smoke_test", fail)
    record = run(pipeline, two, tmp_path / "home")[-1]
    assert not record["promoted"] and "it does not load" in record["warnings"][-1]
    history, alias = state(tmp_path / "home")
    assert ([version for version, _ in history], alias) == ([1, 2, 1], 1)
