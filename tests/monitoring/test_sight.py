from typing import Any

from monitoring.sight import sight_of


def record(detectable: dict[str, float], muted: dict[str, str]) -> dict[str, Any]:
    return {"drift": {"evidence": {"detectable": detectable, "muted": muted}}}


def test_people_are_told_which_shifts_show_and_what_cannot_be_seen() -> None:
    told = sight_of([{"drift": None}, record({"a": 0.2, "b": 1.75}, {"c": "the reference is short", "d": "it moves"})])
    assert told == [
        "drift: a lasting shift shows from so many deviations on: b 1.8, a 0.2",
        "drift not seen in c: the reference is short",
        "drift not seen in d: it moves",
    ]


def test_of_many_features_the_least_visible_are_named() -> None:
    told = sight_of([record({f"s{i}": i / 10 for i in range(1, 31)}, {f"m{i}": "short" for i in range(10)})])
    assert told[0].endswith(
        "s30 3, s29 2.9, s28 2.8, s27 2.7, s26 2.6, s25 2.5, s24 2.4, s23 2.3 and 22 more from 2.2 down"
    )
    assert told[1] == "drift not seen in m0, m1, m2, m3, m4, m5, m6, m7 and 2 more: short"


def test_nothing_is_said_before_any_check() -> None:
    assert sight_of([{"drift": None}, {}]) == []
    assert sight_of([record({}, {})]) == ["drift: no shift of level could have been seen"]
