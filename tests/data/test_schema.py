import pytest

from data.config import DataConfig
from data.schema import resolve_schema

COLUMNS = ["time", "s1", "s2", "t1", "defect"]


def config(**keys: object) -> DataConfig:
    return DataConfig.model_validate({"target": "defect", **keys})


def test_all_columns_but_the_roles_are_features() -> None:
    schema = resolve_schema(config(timestamp="time"), "classification", COLUMNS)
    assert schema.features == ("s1", "s2", "t1")
    assert schema.columns == ("s1", "s2", "t1", "defect", "time")


def test_patterns_and_exclusions() -> None:
    schema = resolve_schema(config(features={"include": ["s*", "t1"], "exclude": ["s2"]}), "regression", COLUMNS)
    assert schema.features == ("s1", "t1")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"features": {"include": ["s1", "x*"]}},
            r"data\.features\.include\[1\]: 'x\*' matches no column; the columns are",
        ),
        ({"features": {"exclude": ["q"]}}, r"data\.features\.exclude\[0\]: 'q' matches no column"),
        ({"group": "line"}, r"data\.group: there is no column 'line'; the columns are time, s1"),
        ({"features": {"include": ["s*"], "exclude": ["s?"]}}, "no column is left"),
    ],
)
def test_what_matches_nothing_is_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resolve_schema(config(**keys), "classification", COLUMNS)
