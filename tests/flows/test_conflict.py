from pathlib import Path
from typing import Any

import pytest

from data.ledger import Ledger
from deployments.judging import judge_version
from deployments.line import Line, open_ledger
from deployments.outcomes import Batch, Exported, Judged
from deployments.promotion import roll_back
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously


def test_a_rollback_while_a_candidate_is_judged_stands(
    pipeline: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate was compared with a champion that a person has taken back since: it does not go live."""
    last = "line-04.csv"

    def judge_and_take_back(line: Line, batch: Batch, exported: Exported, wealth: float = 0.0) -> Judged:
        judged = judge_version(line, batch, exported, wealth)
        if batch.name == last and judged.verdict.passed:
            roll_back(line.ledger, line.registry, line.name, "it smells", None)
        return judged

    monkeypatch.setattr("deployments.row_kind.judge_version", judge_and_take_back)
    gate = "{metric: accuracy, threshold: 0.0, max_regression: 1.0, max_forgetting: 1.0}"
    pipeline.write_text(pipeline.read_text().replace("{metric: accuracy, threshold: 0.3}", gate))
    for _ in range(2):
        records: list[dict[str, Any]] = learn_continuously(
            pipeline=str(pipeline), sources=[str(source)], home=str(tmp_path / "home")
        )["batches"]
        history = _history(tmp_path / "home")
        assert history[-1].reason == "rolled back: it smells"
        assert records[-1]["name"] == last
    assert len(history) >= 3


def _history(home: Path) -> list[Any]:
    ledger: Ledger = open_ledger(Settings(home=home))
    return ledger.history("line")
