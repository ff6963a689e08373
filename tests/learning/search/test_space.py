import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.search.parsing import parse_space
from learning.search.space import LogRange, Range

SPACES: list[dict[str, Any]] = [
    {"units": [64, 8, 32], "dropout": {"low": 0.0, "high": 0.4}, "rate": LogRange(1e-5, 1e-1)},
    {"layers": {"low": 1, "high": 9, "step": 2}, "wide": {"low": 1, "high": 1000, "log": True}, "flag": [True, False]},
    {"kind": ["lstm", "mlp"], "units": {"values": [1, 2], "when": {"kind": "lstm"}}, "shape": [[1], [2, 3]]},
    {
        "deep": {"values": [1, 2], "when": {"units": [2]}},
        "units": {"values": [1, 2], "when": {"kind": ["a"]}},
        "kind": ["a", "b"],
    },
    {"x": Range(0.0, 1.0, 0.25)},
]  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.sampled_from(SPACES))
def test_what_is_drawn_lies_in_the_space(seed: int, document: dict[str, Any]) -> None:
    space = parse_space(document)
    point = space.draw(np.random.default_rng(seed))
    assert space.holds(point)
    assert space.holds(json.loads(json.dumps(point)))
    assert space.part_of({**point, "more": 1}) == point
    assert not space.holds({**point, "more": 1})
    listed = space.listed()
    assert listed is None or point in listed


@pytest.mark.parametrize(("place", "count"), [(0, None), (1, None), (2, 6), (3, 4), (4, 5)])
def test_all_points_each_once(place: int, count: int | None) -> None:
    listed = parse_space(SPACES[place]).listed(100)
    assert (None if listed is None else len(listed)) == count
    assert listed is None or len({json.dumps(point, sort_keys=True) for point in listed}) == count


def test_a_space_of_too_many_points_is_not_listed() -> None:
    assert parse_space({"a": list(range(200)), "b": list(range(200))}).listed() is None


def test_a_value_outside_is_taken_in_where_it_can_be_had() -> None:
    space = parse_space(
        {
            "units": [32, 64],
            "shape": [[1]],
            "dropout": {"low": 0.0, "high": 0.4},
            "rate": LogRange(1e-3, 1e-2),
            "step": Range(0.0, 1.0, 0.5),
            "count": Range(1, 3),
        }
    )
    wide = space.with_values({"units": 48, "shape": [2], "dropout": 0.5, "rate": 5e-2, "step": 0.3, "count": 2.5})
    assert (wide.parameters["units"].points(), wide.parameters["shape"].points()) == ([32, 64, 48], [[1], [2]])
    assert wide.holds({"units": 48, "shape": [2], "dropout": 0.5, "rate": 5e-2, "step": 0.5, "count": 3})
    assert wide.parameters["step"] == space.parameters["step"]
    assert wide.parameters["count"] == space.parameters["count"]
    assert space.with_values({"rate": 0.0, "units": 32}) == space
