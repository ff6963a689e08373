import json
from pathlib import Path

import polars as pl
import pytest

from data.schema import Schema
from data.suite import infer_suite, load_suite, save_suite

SCHEMA = Schema(("a", "b"), "y", "t", None, "regression", ())
FRAME = pl.DataFrame(
    {"a": [0.0, 1.0, 10.0], "b": [None, None, None], "y": [-4.0, 0.0, 4.0], "t": [None] * 3},
    schema={"a": pl.Float32, "b": pl.Float32, "y": pl.Float32, "t": pl.Datetime("us")},
)


def ranges(suite: dict[str, list[dict[str, dict[str, object]]]]) -> dict[object, tuple[object, object]]:
    kwargs = [e["kwargs"] for e in suite["expectations"] if e.get("severity") == "warning"]
    return {k["column"]: (k["min_value"], k["max_value"]) for k in kwargs if "min_value" in k}


def test_ranges_are_wider_than_the_data_and_only_warn() -> None:
    assert ranges(infer_suite(FRAME, SCHEMA)) == {"a": (0.0, 15.0), "y": (-8.0, 8.0)}


def test_it_survives_saving_and_loading(tmp_path: Path) -> None:
    suite, path = infer_suite(FRAME, SCHEMA), tmp_path / "suites" / "line.json"
    assert save_suite(path, suite)
    assert load_suite(path) == json.loads(json.dumps(suite))
    assert [f.name for f in path.parent.iterdir()] == ["line.json"]


def test_an_edited_suite_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "line.json"
    path.write_text('{"expectations": []}')
    assert not save_suite(path, infer_suite(FRAME, SCHEMA))
    assert load_suite(path) == {"expectations": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n  oops", "is not JSON: line 2, column 3"),
        ("[]", "must hold a list 'expectations'"),
        ('{"expectations": [3]}', r"expectations\[0\]: must be a mapping"),
        ('{"expectations": [{"type": "expect_magic", "kwargs": {}}]}', r"expectations\[0\]: expect_magic not found"),
        (
            '{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"colum": "a"}}]}',
            r"expectations\[0\]: .*colum",
        ),
        (
            '{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "a"}, "severity": "bad"}]}',
            r"expectations\[0\]: Invalid severity 'bad'",
        ),
        ('{"expectations": [{"kwargs": {}}]}', r"expectations\[0\]: .*type"),
    ],
)
def test_a_broken_suite_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "line.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        load_suite(path)
    assert str(path) in str(caught.value)


def test_a_suite_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read the suite"):
        load_suite(tmp_path / "gone.json")
