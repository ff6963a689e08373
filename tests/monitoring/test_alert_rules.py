from typing import Any

import numpy as np
import pytest

from monitoring.alert_rules import Watch, parse_rules


def run(rule: dict[str, Any], values: list[float]) -> list[tuple[int, str]]:
    """At which value the rule changed, and to what."""
    (parsed,) = parse_rules([{"metric": "m", **rule}]).values()
    watch = Watch(parsed)
    changes = [(place, watch.observe(value)) for place, value in enumerate(values)]
    return [(place, change[0]) for place, change in changes if change is not None]


@pytest.mark.parametrize(
    ("rule", "values", "changes"),
    [
        (
            {"kind": "threshold", "below": 0.8},
            [0.9, 0.79, 0.7, 0.8, 0.79],
            [(1, "raised"), (3, "cleared"), (4, "raised")],
        ),
        ({"kind": "threshold", "below": 0.8, "clear": 0.85}, [0.79, 0.81, 0.79, 0.86], [(0, "raised"), (3, "cleared")]),
        ({"kind": "threshold", "above": 5.0, "hold": 3}, [6, 6, 4, 6, 6, 6, 6], [(5, "raised")]),
        ({"kind": "threshold", "above": 5.0}, [1, float("nan"), 1], [(1, "raised"), (2, "cleared")]),
        ({"kind": "change", "drop": 0.1}, [0.9, 0.9, 0.79, 0.84, 0.86], [(2, "raised"), (4, "cleared")]),
        ({"kind": "change", "drop": 0.1}, [0.9, 0.9, 1.2, 1.3], []),
        ({"kind": "change", "rise": 0.1, "least": 3}, [1.0, 9.0, 1.0, 1.0, 9.0], [(4, "raised")]),
    ],
)
def test_a_rule_rings_once_and_again_only_after_it_was_over(
    rule: dict[str, Any], values: list[float], changes: list[tuple[int, str]]
) -> None:
    assert run(rule, values) == changes


def test_an_anomaly_is_one_against_its_own_history() -> None:
    usual = (5 + np.random.default_rng(0).normal(0, 0.1, 400)).tolist()
    rule = {"kind": "anomaly", "deviations": 7.0}
    assert run(rule, usual) == []
    assert run(rule, [*usual[:100], 6.5, *usual[100:110]]) == [(100, "raised"), (101, "cleared")]
    assert run(rule, [*usual[:10], 50.0]) == [], "ten values tell nothing"
    assert run({"kind": "anomaly"}, [1.0] * 30 + [1.001]) == [(30, "raised")], "what never moved has moved"


def test_a_new_level_that_lasts_becomes_usual() -> None:
    usual = (5 + np.random.default_rng(1).normal(0, 0.1, 100)).tolist()
    higher = [value + 3 for value in usual]
    changes = run({"kind": "anomaly", "deviations": 7.0, "window": 20}, [*usual, *higher, *usual])
    assert changes == [(100, "raised"), (119, "cleared"), (200, "raised"), (219, "cleared")]


def test_a_noisy_value_at_the_limit_rings_less_with_hysteresis() -> None:
    values = (0.8 + np.random.default_rng(2).normal(0, 0.01, 300)).tolist()
    rings = [len(run({"kind": "threshold", "below": 0.8, **how}, values)) for how in ({}, {"clear": 0.82, "hold": 3})]
    assert rings[0] > 100
    assert rings[1] < 20


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"kind": "threshold", "metric": "m"}, "rules.0.threshold: give either below or above"),
        ({"kind": "threshold", "metric": "m", "below": 0.8, "clear": 0.7}, "clear: 0.7 lies on the wrong side of 0.8"),
        ({"kind": "change", "metric": "m", "drop": 0.1, "rise": 0.1}, "give either drop or rise"),
        ({"kind": "change", "metric": "m", "drop": -1.0}, "greater than 0"),
        ({"kind": "guess", "metric": "m"}, "guess"),
        ({"kind": "threshold", "metric": "m", "below": 1.0, "colour": "red"}, "rules.0.threshold.colour: Extra inputs"),
    ],
)
def test_a_bad_rule_is_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_rules([rule])
    assert said in str(refused.value)


def test_rules_of_one_kind_have_names_of_their_own() -> None:
    twice = [{"kind": "threshold", "metric": "m", "below": limit} for limit in (0.8, 0.6)]
    assert list(parse_rules(twice)) == ["threshold of m, 1", "threshold of m, 2"]
