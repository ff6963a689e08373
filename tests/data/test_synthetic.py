import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from polars.testing import assert_frame_equal
from sklearn.linear_model import LogisticRegression

from data.synthetic import DEFECTS, SENSORS, TEMPERATURES, Truth, glass_line, write_line

Line = list[tuple[str, pl.DataFrame, Truth]]


@pytest.fixture(scope="module")
def line() -> Line:
    return list(glass_line(seed=3))


def readings(frame: pl.DataFrame) -> NDArray[np.float64]:
    filled = frame.select(pl.col(list(SENSORS)).fill_null(strategy="forward").fill_null(strategy="backward"))
    return filled.to_numpy()


def test_every_batch_has_the_same_columns_and_known_defects(line: Line) -> None:
    for _, frame, _ in line:
        assert frame.columns == ["time", *SENSORS, "defect"]
        assert frame.height == 600
        assert frame["time"].is_sorted()
        assert set(frame["defect"]) <= set(DEFECTS)
        assert frame["time"].null_count() == frame["defect"].null_count() == 0


def test_batches_follow_each_other_in_time_and_name(line: Line) -> None:
    names = [name for name, _, _ in line]
    assert names == sorted(names)
    for (_, earlier, _), (_, later, _) in pairwise(line):
        assert earlier["time"][-1] < later["time"][0]


@settings(max_examples=15, deadline=None)
@given(batches=st.integers(1, 6), rows=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_a_line_is_reproducible_whatever_its_length(batches: int, rows: int, seed: int) -> None:
    short, longer = list(glass_line(batches, rows, seed)), list(glass_line(batches + 2, rows, seed))
    for (name, frame, truth), (name_again, frame_again, truth_again) in zip(short, longer, strict=False):
        assert (name, truth) == (name_again, truth_again)
        assert_frame_equal(frame, frame_again)


def test_another_seed_is_another_line() -> None:
    (_, first, _), (_, second, _) = next(glass_line(seed=0)), next(glass_line(seed=1))
    assert not first.equals(second)


def test_what_is_planted(line: Line) -> None:
    events = {t.batch: t.events for _, _, t in line if t.events}
    assert events == {5: ("abrupt",), 7: ("stuck sensor",), 9: ("recurring",), 11: ("unit change",), 13: ("recurring",)}
    wear = [t.wear for _, _, t in line]
    assert wear == sorted(wear)
    assert wear[0] == 0


def test_a_stuck_sensor_says_one_value(line: Line) -> None:
    stuck = [(frame, t.stuck) for _, frame, t in line if t.stuck]
    assert len(stuck) == 1
    frame, sensor = stuck[0]
    assert frame[sensor].drop_nulls().n_unique() == 1
    assert all(frame[s].drop_nulls().n_unique() > 10 for s in SENSORS if s != sensor)


def test_a_unit_change_is_exact_and_reaches_every_temperature(line: Line) -> None:
    medians = {t.batch: frame.select(pl.col(list(SENSORS)).median()).row(0, named=True) for _, frame, t in line}
    for sensor in SENSORS:
        expected = medians[10][sensor] * 1.8 + 32 if sensor in TEMPERATURES else medians[10][sensor]
        assert medians[11][sensor] == pytest.approx(expected, rel=0.2), sensor
    assert medians[11]["crown_c"] > 2500


def test_what_was_learned_from_one_batch_is_lost_by_the_next_product_but_can_be_learned_again(line: Line) -> None:
    def accuracy(learned_from: int, judged_on: int) -> float:
        (_, seen, _), (_, judged, _) = line[learned_from - 1], line[judged_on - 1]
        middle, spread = readings(seen).mean(0), readings(seen).std(0) + 1e-9
        model = LogisticRegression(max_iter=500).fit((readings(seen) - middle) / spread, seen["defect"].to_numpy())
        return float(model.score((readings(judged) - middle) / spread, judged["defect"].to_numpy()))

    assert accuracy(1, 2) > 0.75
    assert accuracy(1, 6) < 0.5
    assert accuracy(5, 6) > 0.75
    assert accuracy(2, 10) < accuracy(9, 10)


def test_written_files_hold_the_line(tmp_path: Path) -> None:
    paths = write_line(tmp_path / "inbox", batches=3, rows=50, seed=1)
    assert [p.name for p in paths] == ["line-01.csv", "line-02.csv", "line-03.csv"]
    for path, (_, frame, _) in zip(paths, glass_line(3, 50, 1), strict=True):
        assert_frame_equal(pl.read_csv(path, try_parse_dates=True), frame, check_dtypes=False)
    planted = json.loads((tmp_path / "inbox" / "truth.json").read_text())
    assert [t["name"] for t in planted] == [p.name for p in paths]


@pytest.mark.parametrize(("batches", "rows"), [(0, 10), (10, 0)])
def test_an_empty_line_is_refused(batches: int, rows: int) -> None:
    with pytest.raises(ValueError, match="at least one batch of one row"):
        list(glass_line(batches, rows))
