from typing import Any

import pytest

from monitoring.backtest_markdown import backtest_markdown, frontier, policy_rows


def policy(name: str, trainings: int, score: float, cost: float) -> dict[str, Any]:
    figures = {"trainings": trainings, "samples": 100 * trainings, "score": score, "points": 3.0, "cost": cost}
    return {"name": name, "text": f"what {name} does", "trigger": None, "over_oracle": None, **figures}


def result(metric: str, tried: list[list[float]]) -> dict[str, Any]:
    policies = [policy("always", 4, 0.8, 9), policy("pipeline", 2, 0.7, 6), policy("best trigger", 1, 0.75, 4)]
    told = {"pipeline": "line", "metric": metric, "batches": 5, "searched": 7, "tried": tried, "note": "exact"}
    prices = {"training": 1.0, "sample": 0.0, "point": 1.0}
    best = {"trigger": {"any": [{"kind": "drift"}]}, "name": "best trigger"}
    return {**told, "policies": [*policies, policy("oracle", 3, 0.99, 1)], "prices": prices, "best": best}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", [(0, 0.5), (1, 0.75), (4, 0.8)]), ("rmse", [(0, 0.5), (3, 0.4)])],
)
def test_the_frontier_is_what_nothing_cheaper_reaches(metric: str, expected: list[tuple[int, float]]) -> None:
    tried = [[0, 0.5], [3, 0.75], [3, 0.4]]
    assert frontier(result(metric, tried)) == expected


def test_the_page_names_the_trigger_and_the_policies_on_the_frontier() -> None:
    page = backtest_markdown(result("accuracy", [[0, 0.5]]))
    assert "trigger: {any: [{kind: drift}]}" in page
    assert "| 1 | 0.75 | best trigger |" in page
    assert "oracle" not in page
    assert "at a cost of 4.0, 33.3% less" in page


def test_the_table_is_sorted_by_cost() -> None:
    rows = policy_rows(result("accuracy", []))
    assert [row["policy"] for row in rows] == ["oracle", "best trigger", "pipeline", "always"]
