import json
from pathlib import Path

from flows.backtest_policy import backtest_policy
from tests.flows.artifacts import shown


def test_what_the_inbox_has_taken_is_backtested_and_shown(pipeline: Path, source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "line" / "inbox").mkdir(parents=True)
    source.rename(home / "line" / "inbox" / "taken")
    result = backtest_policy(str(pipeline), home=str(home))
    assert result["batches"] == 4
    assert [path.name for path in home.iterdir()] == ["line"], "no ledger and no registry is needed, or made"
    assert "Of " in shown("backtest-line")
    assert len(json.loads(shown("policies-line"))) == len(result["policies"])
