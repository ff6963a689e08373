from typing import Any

from deployments.report import build_report, summarise


def record(score: float | None, samples: int, **more: Any) -> dict[str, Any]:
    before = None if score is None else {"accuracy": score}
    return {"score_before": before, "cost": {"samples": samples, "seconds": 1.0}, **more}


def test_means_are_over_the_batches_that_a_champion_scored() -> None:
    records = [
        record(None, 100, score_static=None),
        record(0.8, 10, score_static=0.6, score_retrained=0.9, cost_retrained={"samples": 500, "seconds": 2.0}),
        record(0.6, 10, score_static=0.4, score_retrained=0.7, cost_retrained={"samples": 700, "seconds": 3.0}),
    ]
    summary = summarise(records, "accuracy")
    assert abs(summary["score"] - 0.7) < 1e-12
    assert abs(summary["score_static"] - 0.5) < 1e-12
    assert summary["score_sliding"] is None
    assert summary["cost"] == {"samples": 120, "seconds": 3.0}
    assert summary["cost_retrained"] == {"samples": 1200, "seconds": 5.0}


def test_without_a_champion_there_is_no_score() -> None:
    report = build_report("line", "classification", "accuracy", [record(None, 0)])
    assert report["summary"]["score"] is None
    assert report["summary"]["cost_retrained"] is None  # nothing was retrained to compare with
    assert report["batches"][0]["score_before"] is None
