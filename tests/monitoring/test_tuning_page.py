"""What a search found, as its page, its table and its plots tell it."""

from pathlib import Path
from typing import Any

import pytest

from monitoring.tuning_page import tuning_view, write_tuning_page
from monitoring.tuning_plots import plot_history
from monitoring.tuning_terminal import trial_rows


def trial(number: int, epochs: int, score: float, point: int | None = None) -> dict[str, Any]:
    layers = number if point is None else point
    return {
        "number": number, "point": {"layers": layers}, "epochs": epochs, "values": {"score": score}, "details": {},
        "error": None,
    }  # fmt: skip


OWN, LUCKY, STOPPED = trial(0, 9, 0.80), trial(1, 9, 0.95), trial(2, 3, 0.70)
FINALS = [trial(i, 9, score, point) for i, (point, score) in enumerate([(0, 0.8), (0, 0.9), (1, 0.7), (1, 0.8)])]
RESULT: dict[str, Any] = {
    "pipeline": "line", "task": "classification", "metric": "accuracy", "rows": 100, "seconds": 3.0,
    "objectives": [{"name": "score", "lower_is_better": False}], "why": "its mean is the best", "notes": (),
    "best": {**OWN, "values": {"score": 0.85}}, "baseline": {**OWN, "values": {"score": 0.85}}, "front": [LUCKY],
    "trials": [OWN, trial(3, 3, 0.5, 0), LUCKY, STOPPED], "finals": FINALS, "importance": {}, "changed": False,
    "snippet": "", "record": None,
}  # fmt: skip


def test_every_point_is_told_with_what_decided() -> None:
    rows = trial_rows(RESULT)
    assert [row["trial"] for row in rows] == ["picked own 0", "1", "2"]
    assert [(row["score"], row["again"], row["epochs"]) for row in rows] == [
        ("0.8", "0.85", "9"),
        ("0.95", "0.75", "9"),
        ("0.7", "", "3"),
    ]
    assert "again" not in trial_rows({**RESULT, "finals": []})[0]


def test_the_plot_tells_a_trials_own_score_from_the_mean_that_decided() -> None:
    dots = {trace["name"]: (trace["x"], trace["y"]) for trace in plot_history(RESULT)["data"]}
    assert dots["picked"] == ([0], [0.8])
    assert dots["trained again, mean"] == ([0, 1], pytest.approx([0.85, 0.75]))
    assert "trained again, mean" not in {t["name"] for t in plot_history({**RESULT, "finals": []})["data"]}


def test_the_page_says_what_the_score_is_worth(tmp_path: Path) -> None:
    for finals, said in ((FINALS, "the pick has the best mean"), ([], "It flatters the pick")):
        write_tuning_page({**RESULT, "finals": finals}, tmp_path / "tune.html")
        assert said in (tmp_path / "tune.html").read_text()
    assert len(tuning_view(RESULT)["rows"]) == 3
