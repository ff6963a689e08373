"""A line without end by a scenario: the same whatever the batches, and nothing planted touches anything else."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data.glass import FLINT, cooling_stress, gob_mass
from data.plant import PRODUCTS
from data.scenario import DEFECT_TYPES, LINE_SENSORS, Scenario
from data.stream import BLOCK_ROWS, LineBatch, line_batches, usual_deviations
from data.synthetic import SyntheticTrainingDataGenerator
from lehr import app

BUSY: list[dict[str, Any]] = [
    {"kind": "gradual", "process": "fuel", "start": 300, "duration": 900, "strength": 2.0},
    {"kind": "incremental", "process": "air", "start": 10, "duration": 500, "strength": -1.0},
    {"kind": "recurring", "sensor": "crown_c", "start": 40, "period": 100, "strength": 1.0},
    {"kind": "stuck", "sensor": "mould_1_c", "start": 90, "duration": 120},
    {"kind": "noisy", "sensor": "gob_g", "start": 50, "duration": 500, "strength": 2.0},
    {"kind": "swapped", "sensor": "gob_c", "other": "lehr_1_c", "start": 200, "duration": 200},
    {"kind": "missing", "start": 350, "duration": 200, "strength": 0.3},
    {"kind": "late_labels", "start": 100, "duration": 300, "delay": 250},
    {"kind": "poisoned_labels", "start": 500, "duration": 300, "strength": 0.5},
]


def scenario(*events: dict[str, Any], **how: Any) -> Scenario:
    return Scenario.model_validate({"events": list(events), **how})


def first(made: Scenario, rows: int) -> LineBatch:
    return next(line_batches(made, rows))


def joined(batches: Sequence[LineBatch]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return (
        pl.concat([b.rows for b in batches]),
        pl.concat([b.truth for b in batches]),
        pl.concat([b.late_labels for b in batches]),
    )


@settings(max_examples=12, deadline=None)
@given(sizes=st.tuples(st.integers(1, 700), st.integers(1, 700)), seed=st.integers(0, 2**32))
def test_a_line_does_not_depend_on_the_size_of_its_batches(sizes: tuple[int, int], seed: int) -> None:
    busy = scenario(*BUSY, seed=seed)
    rows = 900
    one, other = (joined(list(islice(line_batches(busy, size), -(-rows // size)))) for size in sizes)
    for left, right in zip(one[:2], other[:2], strict=True):
        assert_frame_equal(left.head(rows), right.head(rows))


def test_batches_of_100_and_200_are_one_of_300_across_blocks() -> None:
    busy = scenario(*BUSY, {"kind": "stuck", "sensor": "gob_c", "start": BLOCK_ROWS - 5, "duration": 50})
    thirds = list(islice(line_batches(busy, 100), 90))
    wholes = list(islice(line_batches(busy, 300), 30))
    for left, right in zip(joined(thirds), joined(wholes), strict=True):
        assert_frame_equal(left, right)
    assert joined(wholes)[0].height > BLOCK_ROWS


def test_the_rows_are_those_of_another_line_with_another_seed() -> None:
    assert not first(scenario(seed=1), 50).rows.equals(first(scenario(seed=2), 50).rows)
    assert first(scenario(seed=1), 50).rows.equals(first(scenario(seed=1), 50).rows)


def test_every_row_has_its_truth() -> None:
    batch = first(scenario(*BUSY), 1200)
    assert batch.rows.columns == ["time", *LINE_SENSORS, "defect"]
    assert batch.truth["row"].to_list() == list(range(1200))
    assert batch.truth.null_count().sum_horizontal()[0] == 0
    for number, event in enumerate(scenario(*BUSY).events):
        active = ((batch.truth["events"].to_numpy() >> np.uint64(number)) & np.uint64(1)).astype(bool)
        assert np.flatnonzero(active)[0] == event.start
        assert event.end is None or not event.ends_itself or not active[event.end :].any()
    drawn = batch.truth.select((pl.col("defect") != "ok").mean(), pl.col("risk").mean()).row(0)
    assert drawn[0] == pytest.approx(drawn[1], abs=0.03), "defects come as often as the state makes them likely"


def test_the_line_has_autocorrelation_seasons_days_wear_and_repairs() -> None:
    batch = first(scenario(line={"maintenance_days": 20.0, "wear_per_day": 0.01, "missing": 0.0}), 144 * 365)
    heat, ambient = (batch.rows[name].to_numpy().astype(float) for name in ("crown_c", "ambient_c"))
    assert np.corrcoef(heat[1:], heat[:-1])[0, 1] > 0.7
    by_month = ambient.reshape(-1, 144 * 73).mean(1)
    assert by_month[2] - by_month[0] > 8, "summer is warmer"
    by_hour = ambient.reshape(365, 144).mean(0)
    assert (by_hour.max() - by_hour.min()) == pytest.approx(5.6, abs=1.0)
    wear = batch.truth["wear"].to_numpy()
    assert (np.diff(wear) < -0.1).sum() == 18, "a repair every twenty days"
    assert wear.max() < 0.3


def test_defects_follow_from_the_state() -> None:
    made = scenario({"kind": "abrupt", "process": "cooling", "start": 2000, "strength": 2.0}, seed=3)
    batch = first(made, 4000)
    stress, cracks = batch.truth["stress_mpa"].to_numpy(), (batch.truth["defect"] == "crack").to_numpy()
    assert stress[2000:].mean() > stress[:2000].mean() * 1.1
    assert cracks[2000:].mean() > cracks[:2000].mean() + 0.2
    for defect in DEFECT_TYPES:
        assert (first(scenario(defects=[defect]), 8000).truth["defect"] == defect).mean() > 0.02, defect


def test_glass_has_the_viscosity_of_its_points_and_falls_in_drops_of_the_right_size() -> None:
    for temperature, power in ((1030.0, 4.0), (720.0, 7.6), (545.0, 13.0)):
        assert FLINT.viscosity(temperature) == pytest.approx(power)
    assert 3.0 < FLINT.viscosity(1150.0) < 3.5, "a gob's"
    assert gob_mass(10.5, 96.0, 0.0) == pytest.approx(607.6, abs=0.1)
    assert gob_mass(10.5, 96.0, 0.1) < gob_mass(10.5, 96.0, 0.0)
    assert 0.1 < cooling_stress(72 / (3 / 0.62 * 60)) < 1.0


QUIET = scenario(seed=5)


@pytest.mark.parametrize(
    ("event", "sensors"),
    [
        ({"kind": "stuck", "sensor": "mould_1_c"}, {"mould_1_c"}),
        ({"kind": "noisy", "sensor": "gob_g", "strength": 2.0}, {"gob_g"}),
        ({"kind": "offset", "sensor": "crown_c", "strength": -2.0}, {"crown_c"}),
        ({"kind": "scaled", "sensor": "press_kpa", "strength": 1.2}, {"press_kpa"}),
        ({"kind": "swapped", "sensor": "gob_c", "other": "crown_c"}, {"gob_c", "crown_c"}),
        ({"kind": "fahrenheit", "sensor": "lehr_2_c"}, {"lehr_2_c"}),
        ({"kind": "missing", "sensor": "o2_pct"}, {"o2_pct"}),
        ({"kind": "abrupt", "sensor": "plunger_c", "strength": 3.0}, {"plunger_c"}),
        ({"kind": "poisoned_labels", "strength": 0.5}, {"defect"}),
    ],
)
def test_an_event_changes_what_it_names_where_it_acts_and_nothing_else(
    event: dict[str, Any], sensors: set[str]
) -> None:
    faulty, sound = first(scenario({**event, "start": 100, "duration": 60}, seed=5), 300), first(QUIET, 300)
    assert_frame_equal(faulty.rows.drop(sensors), sound.rows.drop(sensors))
    assert_frame_equal(faulty.truth.drop("events"), sound.truth.drop("events"))
    for name in sensors:
        changed = ~faulty.rows[name].eq_missing(sound.rows[name]).to_numpy()
        assert changed[100:160].mean() > 0.3, name
        assert not changed[:100].any()
        assert not changed[160:].any()


def test_what_each_instrument_says() -> None:
    sound = first(QUIET, 300).rows
    said = first(scenario({"kind": "stuck", "sensor": "gob_c", "start": 100, "duration": 60}, seed=5), 300).rows
    assert said["gob_c"][100:160].drop_nulls().n_unique() == 1
    offset = first(scenario({"kind": "offset", "sensor": "gob_c", "strength": 2.0}, seed=5), 300).rows
    assert (offset["gob_c"] - sound["gob_c"]).median() == pytest.approx(2 * usual_deviations()["gob_c"], abs=0.1)
    swap, whole = {"kind": "swapped", "sensor": "gob_c", "other": "crown_c"}, {"missing": 0.0}
    swapped, sound = (first(scenario(*e, seed=5, line=whole), 300).rows for e in ((swap,), ()))
    assert_frame_equal(swapped.select(a="gob_c"), sound.select(a="crown_c"))


def test_drift_moves_as_its_kind_says() -> None:
    def moved(**event: Any) -> np.ndarray:
        made = scenario({"process": "fuel", "strength": 3.0, "start": 200, **event}, seed=5, line={"noise": 0.0})
        quiet = first(scenario(seed=5, line={"noise": 0.0}), 1000).rows["crown_c"]
        return (first(made, 1000).rows["crown_c"] - quiet).fill_null(strategy="forward").to_numpy()

    abrupt, step = moved(kind="abrupt", duration=300), moved(kind="incremental", duration=400, steps=4)
    assert set(np.round(abrupt[200:500], 0)) == {30.0}
    assert not abrupt[:200].any()
    assert not abrupt[500:].any()
    assert [round(float(step[row])) for row in (250, 350, 450, 550, 900)] == [0, 8, 15, 22, 30]
    gradual, recurring = moved(kind="gradual", duration=600), moved(kind="recurring", period=100, duration=400)
    new = gradual > 15
    assert new[200:400].mean() < new[600:800].mean()
    assert new[800:].all()
    assert 0 < new[300:700].mean() < 1
    assert [bool(recurring[row] > 15) for row in (210, 260, 310, 360, 700)] == [True, False, True, False, False]


def test_a_concept_change_leaves_the_sensors_alone() -> None:
    sound, changed = (
        first(made, 2000)
        for made in (QUIET, scenario({"kind": "concept", "defect": "chip", "strength": 2.0, "start": 1000}, seed=5))
    )
    assert_frame_equal(sound.rows.drop("defect"), changed.rows.drop("defect"))
    chips = [(batch.truth["defect"][1000:] == "chip").mean() for batch in (sound, changed)]
    assert chips[1] > chips[0] + 0.15
    assert sound.truth["defect"][:1000].equals(changed.truth["defect"][:1000])


def test_late_labels_come_once_and_are_those_of_their_rows() -> None:
    made = scenario({"kind": "late_labels", "start": 100, "duration": 300, "delay": 250}, seed=5)
    batches = list(islice(line_batches(made, 150), 6))
    rows, _, late = joined(batches)
    sound = first(QUIET, 900).rows
    assert rows["defect"].is_null().to_numpy().nonzero()[0].tolist() == list(range(100, 400))
    assert [batch.late_labels.height for batch in batches] == [0, 0, 100, 150, 50, 0]
    assert_frame_equal(late, sound[100:400].select("time", "defect"))


def test_products_take_turns_and_time_goes_on() -> None:
    batch = first(scenario(line={"products": ["flint bottle", "amber jar"], "campaign_rows": 100}), 350)
    assert batch.truth["product"].unique(maintain_order=True).to_list() == ["flint bottle", "amber jar"]
    assert [batch.truth["product"][row] for row in (99, 100, 200, 300)] == [
        "flint bottle", "amber jar", "flint bottle", "amber jar",
    ]  # fmt: skip
    assert batch.rows["pull_t_h"][100:200].mean() > batch.rows["pull_t_h"][:100].mean() + 0.5  # type: ignore[operator]
    assert set(batch.rows["time"].diff().drop_nulls()) == {timedelta(minutes=10)}
    assert set(batch.truth["product"]) <= set(PRODUCTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("events: [{kind: stuk}]", "stuk"),
        ("events: [{kind: stuck, sensor: mould}]", "there is no sensor 'mould'; allowed are ambient_c"),
        ("events: [{kind: abrupt, strength: 1}]", "give either the process or the sensor that moves"),
        ("events: [{kind: gradual, process: fuel, duration: null}]", "a transition needs a duration"),
        ("events: [{kind: stuck, sensor: gob_c, colour: red}]", "events[0].colour: unknown key; allowed are duration"),
        ("events: [{kind: concept, defect: cord}]", "'cord' is none of the line's ok, crack, bubble, chip"),
        ("defects: [scratch]", "defects: there is no defect 'scratch'; allowed are crack, bubble"),
        ("line: {products: [mug]}", "line.products: there is no product 'mug'"),
        ("speed: 3", "speed: unknown key; allowed are defects, events"),
        ("events: [{kind: offset, sensor: gob_c, strength: .nan}]", "events[0].strength: input should be a finite"),
        ("events: [{kind: abrupt, process: fuel, strength: .inf}]", "events[0].strength: input should be a finite"),
        (
            "events: [{kind: offset, sensor: gob_c, strength: 1.0e+300}]",
            "strength: input should be less than or equal to",
        ),
        (
            "events: [{kind: stuck, sensor: gob_c, start: 10000000000000000000}]",
            "events[0].start: input should be less",
        ),
        ("events: [{kind: swapped, sensor: gob_c, other: gob_c}]", "other: 'gob_c' is the sensor itself"),
        ("line: {noise: .inf}", "line.noise: input should be a finite number, got inf"),
        ("line: {row_minutes: 99999999999}", "line.row_minutes: input should be less than or equal to 1440"),
        ("[", "is not YAML"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "line.yaml").write_text(text)
    with pytest.raises(ValueError) as refused:
        Scenario.load(tmp_path / "line.yaml")
    assert said in str(refused.value)
    assert "line.yaml" in str(refused.value)


def test_an_empty_scenario_is_a_quiet_line(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text("# nothing happens\n")
    assert Scenario.load(tmp_path / "line.yaml") == Scenario()


def test_the_generator_makes_windows_that_the_next_parts_take() -> None:
    generator = SyntheticTrainingDataGenerator()
    data = generator.generate_lstm_training_data(sequence_length=12, num_samples=500, defect_types=["stone", "cord"])
    assert data.inputs().shape == (500, 12, len(LINE_SENSORS))
    assert data.classes == ("cord", "ok", "stone")
    assert [data.classes[code] for code in data.targets_B.tolist()] == data.frame["defect"][11:].to_list()
    assert torch.equal(data.targets_B, generator.generate_lstm_training_data(12, 500, ["stone", "cord"]).targets_B)
    windows, last = data.inputs(), data.frame.select(list(LINE_SENSORS)).to_numpy()[11:]
    assert np.array_equal(windows[:, -1].numpy(), last, equal_nan=True)
    frame = next(SyntheticTrainingDataGenerator(seed=4).frames(rows=20))
    assert frame.columns == ["time", *LINE_SENSORS, "defect"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"num_samples": 0}, "there is nothing in 0 windows of 30 rows"),
        ({"sequence_length": 0}, "windows of 0 rows"),
        ({"defect_types": ["scratch"]}, "there is no defect 'scratch'; allowed are"),
        ({"defect_types": []}, "defects: list should have at least 1 item"),
    ],
)
def test_a_bad_call_of_the_generator_is_refused(how: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as refused:
        SyntheticTrainingDataGenerator().generate_lstm_training_data(**how)
    assert said in str(refused.value)


def test_the_command_writes_files(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text("events: [{kind: late_labels, start: 10, duration: 30, delay: 40}]")
    scenario_file = str(tmp_path / "line.yaml")
    app(["synthesise", scenario_file, "--rows", "120", "--out", str(tmp_path / "a.parquet"), "--truth",
         str(tmp_path / "truth.csv")], result_action="return_value")  # fmt: skip
    assert pl.read_parquet(tmp_path / "a.parquet").height == pl.read_csv(tmp_path / "truth.csv").height == 120
    app(["synthesise", scenario_file, "--rows", "120", "--batch-rows", "40", "--out", str(tmp_path / "line")],
        result_action="return_value")  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "line").iterdir())
    assert names == ["line-0001.csv", "line-0002-labels.csv", "line-0002.csv", "line-0003.csv"]
    with pytest.raises(ValueError, match=r"ends in \.csv or \.parquet"):
        app(
            ["synthesise", scenario_file, "--rows", "9", "--out", str(tmp_path / "a.xml")], result_action="return_value"
        )


@pytest.mark.parametrize("batch_rows", [0, -1])
def test_files_of_no_rows_are_refused(tmp_path: Path, batch_rows: int) -> None:
    (tmp_path / "line.yaml").write_text("")
    call = ["synthesise", str(tmp_path / "line.yaml"), "--rows", "10", "--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match=f"batch_rows must be at least 1, got {batch_rows}"):
        app([*call, f"--batch-rows={batch_rows}"], result_action="return_value")
