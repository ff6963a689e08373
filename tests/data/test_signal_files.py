import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.bad_batch import BadBatch
from data.npz_files import read_npz, write_npz
from data.signal_checks import broken_signals, signals_frame, signals_of
from data.signal_config import SamplesConfig, SignalDataConfig, SignalHoldout
from data.signal_files import read_signal_batch
from data.signal_sources import read_signals
from data.signal_splits import held_out, mark_signals, split_signals
from data.sources import Arrival, iter_arrivals
from data.synthetic_signals import SignalPlan, synthetic_signals

CONFIG = SignalDataConfig(
    signals=["u", "v"], element="machine", session="shift", keypoints=["on", "off"], annotator="by", ordered=True
)
ROWS: dict[str, Any] = {
    "u": [[1.0] * 9, [2.0] * 12],
    "v": [[3] * 9, [4] * 12],
    "machine": [7, 8],
    "shift": ["a ", "b"],
    "on": [1.5, None],
    "off": [8, -1],
    "by": ["hand", None],
    "more": [0, 0],
}


def parquet(rows: dict[str, Any]) -> Arrival:
    buffer = BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return Arrival("x.parquet", buffer.getvalue(), "parquet")


def npz(**arrays: Any) -> Arrival:
    return Arrival("x.npz", write_npz({name: np.asarray(a) for name, a in arrays.items()}), "npz")


def refusal(arrival: Arrival, config: SignalDataConfig = CONFIG) -> str:
    with pytest.raises(BadBatch) as caught:
        read_signal_batch(arrival, config)
    return caught.value.reason


def test_list_columns_become_channels() -> None:
    frame, schema = read_signal_batch(parquet(ROWS), CONFIG)
    assert frame.columns == ["u", "v", "machine", "shift", "on", "off", "by"] == list(schema.columns)
    signals = signals_of(frame, schema)
    assert signals.lengths_N.tolist() == [9, 12]
    assert signals.signal(1).tolist() == [[2.0] * 12, [4.0] * 12]
    assert signals.element_ids_N.tolist() == ["7", "8"]
    assert signals.session_ids_N.tolist() == ["a", "b"]
    assert signals.annotators_N.tolist() == ["hand", ""]
    np.testing.assert_array_equal(signals.keypoints["on"], np.array([1.5, np.nan], np.float32))
    np.testing.assert_array_equal(signals.keypoints["off"], np.array([8, np.nan], np.float32))


@pytest.mark.parametrize("kind", [pl.List(pl.List(pl.Int16)), pl.Array(pl.Array(pl.Float64, 9), 2)])
def test_lists_of_channels_are_the_same(kind: pl.DataType) -> None:
    nested = pl.Series([[[1] * 9, [3] * 9]], dtype=kind)
    config = SignalDataConfig(element="machine", session="shift")
    frame, schema = read_signal_batch(parquet({"signals": nested, "machine": ["7"], "shift": ["a"]}), config)
    assert schema.channels == ("signals_0", "signals_1")
    assert signals_of(frame, schema).signal(0).tolist() == [[1.0] * 9, [3.0] * 9]


def test_arrays_of_an_npz_are_the_same() -> None:
    values = np.arange(2 * 2 * 12, dtype=np.float16).reshape(2, 2, 12)
    arrival = npz(
        signals=values, lengths=[9, 12], element_ids=[7, 8], session_ids=["a", "b"], by=["hand", ""],
        keypoints=[[1, 8], [-1, 3]], keypoint_names=["on", "off"],
    )  # fmt: skip
    config = SignalDataConfig(keypoints=["off"], annotator="by")
    signals = signals_of(*read_signal_batch(arrival, config))
    np.testing.assert_array_equal(signals.signal(0), values[0, :, :9])
    assert signals.keypoints["off"].tolist() == [8, 3]
    whole = npz(
        u=values[:, 0], v=values[:, 1], machine=[7, 8], shift=[1, 2], on=[1.0, np.nan], off=[2, -1], by=["", ""]
    )
    two = signals_of(*read_signal_batch(whole, CONFIG))
    np.testing.assert_array_equal(two.values_NCT, values)
    assert np.isnan(two.keypoints["off"][1])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"v": None}, "missing column 'v'; the file has 'u'"),
        ({"u": [1.0, 2.0]}, "the column 'u' must hold lists of numbers, not Float64"),
        ({"u": [["a"], ["b"]]}, "must hold lists of numbers, not List"),
        ({"on": ["1", "2"]}, "the keypoint 'on' must hold positions in samples, not String"),
        ({"machine": [[1], [2]]}, "the column 'machine' must hold names or numbers"),
    ],
)
def test_a_file_that_is_not_what_was_agreed_is_refused(changed: dict[str, Any], said: str) -> None:
    rows = {name: column for name, column in {**ROWS, **changed}.items() if column is not None}
    assert said in refusal(parquet(rows))


def test_channels_that_differ_from_row_to_row_are_refused() -> None:
    rows = {"signals": [[[1.0], [2.0]], [[1.0]]], "element_ids": ["a", "a"], "session_ids": ["1", "1"]}
    assert "have 1, 2 channels" in refusal(parquet(rows), SignalDataConfig())


@pytest.mark.parametrize(
    ("arrival", "said"),
    [
        (Arrival("x.csv", b"a\n1\n", "csv"), "delivered as Parquet with lists, or as npz, not as csv"),
        (Arrival("x.npz", b"PK\x03\x04 cut", "npz"), "not a readable npz file"),
        (Arrival("x.npz", parquet(ROWS).content, "npz"), "not a readable npz file"),
        (Arrival("x.npz", npz(a=np.arange(99)).content[:-30], "npz"), "not a readable npz file"),
        (Arrival("x.parquet", b"", "parquet"), "not a readable Parquet file"),
        (npz(u=[1.0]), "missing 6 arrays 'v', 'machine'"),
    ],
)
def test_a_broken_file_is_refused(arrival: Arrival, said: str) -> None:
    assert said in refusal(arrival)


def unpickled() -> None:
    raise AssertionError("it was unpickled")


class Bomb:
    def __reduce__(self) -> Any:
        return unpickled, ()


def test_objects_are_never_unpickled() -> None:
    buffer = BytesIO()
    objects = np.empty(1, object)
    objects[0] = Bomb()
    np.savez(buffer, signals=objects, allow_pickle=True)
    with pytest.raises(BadBatch, match=r"signals.npy holds Python objects, which are never opened"):
        read_npz(buffer.getvalue())


def test_an_array_that_claims_more_than_it_holds_is_refused() -> None:
    buffer, array = BytesIO(), BytesIO()
    np.save(array, np.arange(16))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", array.getvalue().replace(b"(16,)", b"(99,)"))
    with pytest.raises(BadBatch, match=r"a.npy claims the shape \(99,\) of int64, which its bytes do not hold"):
        read_npz(buffer.getvalue())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"u": [None, [2.0] * 12]}, "no sample in u"),
        ({"v": [[3.0] * 8, [4.0] * 12]}, "u has 9 samples, v 8"),
        ({"u": [[1.0] * 5, [2.0] * 12], "v": [[1.0] * 5, [2.0] * 12]}, "5 samples; allowed are 8 to 100"),
        ({"v": [[3.0] * 8 + [None], [4.0] * 12]}, "a value in v that is no finite number"),
        ({"v": [[3.0] * 8 + [float("inf")], [4.0] * 12]}, "a value in v that is no finite number"),
        ({"machine": ["", "8"]}, "no machine"),
        ({"shift": [None, "b"]}, "no shift"),
        ({"off": [8.5, 1]}, "off lies at sample 8.5 of a signal of 9"),
        ({"on": [-3, 1]}, "on lies at sample -3.0 of a signal of 9"),
        ({"on": [6, None], "off": [5, 1]}, "off lies at sample 5.0, before a keypoint that precedes it"),
    ],
)
def test_a_row_that_is_no_signal_says_why(changed: dict[str, Any], said: str) -> None:
    config = CONFIG.model_copy(update={"samples": SamplesConfig(min=8, max=100)})
    frame, schema = read_signal_batch(parquet({**ROWS, **changed}), config)
    assert broken_signals(frame, schema, config) == {0: said}


@pytest.mark.parametrize(
    ("length", "said"), [(-3, "row 2 has the length -3; allowed is 1 to 9"), (10, "row 2 has the length 10; allowed")]
)
def test_a_length_that_lies_outside_its_signal_is_refused(length: int, said: str) -> None:
    ids = {"element_ids": ["a", "a"], "session_ids": ["1", "1"]}
    assert said in refusal(npz(signals=np.ones((2, 1, 9)), lengths=[9, length], **ids), SignalDataConfig())


@pytest.mark.filterwarnings("error")
def test_a_value_that_float32_cannot_hold_is_that_rows_reason() -> None:
    ids = {"element_ids": ["a", "a"], "session_ids": ["1", "1"]}
    frame, schema = read_signal_batch(npz(signals=np.full((2, 9), [[1.0], [1e300]]), **ids), SignalDataConfig())
    assert list(broken_signals(frame, schema, SignalDataConfig())) == [1]


@pytest.mark.parametrize("one_length", [False, True])
def test_a_frame_gives_back_the_signals_it_was_made_of(one_length: bool) -> None:
    signals = synthetic_signals(SignalPlan(), seed=0).of_batch(3)
    if one_length:
        signals = signals.take(signals.lengths_N == signals.lengths_N[0])
    schema = SignalDataConfig(keypoints=list(signals.keypoints), annotator="by").schema_for(2)
    back = signals_of(signals_frame(signals, schema), schema)
    np.testing.assert_array_equal(back.values_NCT, signals.values_NCT[:, :, : signals.lengths_N.max()])
    np.testing.assert_array_equal(back.sessions_N, signals.sessions_N)
    np.testing.assert_array_equal(back.batches_N, signals.batches_N)
    for name, positions_N in signals.keypoints.items():
        np.testing.assert_array_equal(back.keypoints[name], positions_N)


def test_a_folder_of_files_holds_one_signal_each(tmp_path: Path) -> None:
    for place in ("m1/s1/a.npy", "m1/s2/b.csv", "m2/s1/c.parquet"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    np.save(tmp_path / "m1/s1/a.npy", np.ones((2, 4)))
    (tmp_path / "m1/s2/b.csv").write_text("u,v\n1,2\n3,4\n5,6\n")
    pl.DataFrame({"u": [1.0], "v": [2.0]}).write_parquet(tmp_path / "m2/s1/c.parquet")
    (tmp_path / "keypoints.csv").write_text("file,top,annotator\nm1/s2/b.csv,1.5,hand\nm1/s1/a.npy,,auto\n")
    signals = read_signals(tmp_path)
    assert signals.element_ids_N.tolist() == ["m1", "m1", "m2"]
    assert signals.signal(1).tolist() == [[1, 3, 5], [2, 4, 6]]
    assert signals.annotators_N.tolist() == ["auto", "hand", ""]
    np.testing.assert_array_equal(signals.keypoints["top"], np.array([np.nan, 1.5, np.nan], np.float32))
    (tmp_path / "keypoints.csv").write_text("file,top\nm1/s2/gone.csv,1.5\n")
    with pytest.raises(ValueError, match=r"keypoints.csv, row 1: there is no signal 'm1/s2/gone.csv'"):
        read_signals(tmp_path)
    (tmp_path / "m2/s1/d.txt").write_text("")
    with pytest.raises(ValueError, match=r"d.txt: a signal's file ends in .npy, .csv, .parquet"):
        read_signals(tmp_path)


def test_a_file_is_read_without_a_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    values = np.ones((2, 1, 9))
    arrays = {"signals": values, "element_ids": ["a", "b"], "session_ids": ["1", "1"]}
    named = {"keypoints": [[1], [-1]], "keypoint_names": ["top"], "annotator": ["hand", "auto"]}
    file.write_bytes(npz(**arrays, **named).content)
    signals = read_signals(file)
    assert (list(signals.keypoints), signals.annotators_N.tolist()) == (["top"], ["hand", "auto"])
    file.write_bytes(npz(**{**arrays, "signals": np.where(np.arange(9) == 8, np.nan, values)}).content)
    with pytest.raises(ValueError, match=r"x.npz, row 1: a value in signals that is no finite number"):
        read_signals(file)


def test_a_long_npz_is_cut_by_signals(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(npz(signals=np.arange(5.0)[:, None], names=["a", "b"]).content)
    parts = [read_npz(a.content) for a in iter_arrivals([tmp_path], 2)]
    assert [part["signals"].ravel().tolist() for part in parts] == [[0, 1], [2, 3], [4]]
    assert all(part["names"].tolist() == ["a", "b"] for part in parts)


def test_whole_sessions_or_elements_are_held_out_by_their_ids() -> None:
    signals = synthetic_signals(SignalPlan(elements=tuple(range(40)), signals=2), seed=0)
    for by in ("session", "element"):
        holdout = SignalHoldout(by=by, share=0.3)
        learned, held = split_signals(signals, holdout)
        ids = "session_ids_N" if by == "session" else "element_ids_N"
        assert not set(getattr(learned, ids)) & set(getattr(held, ids))
        assert 0.15 < len(held) / len(signals) < 0.45
        shuffled_N = np.random.default_rng(0).permutation(len(signals))
        again_N = held_out(signals.element_ids_N[shuffled_N], signals.session_ids_N[shuffled_N], holdout)
        np.testing.assert_array_equal(
            again_N, held_out(signals.element_ids_N, signals.session_ids_N, holdout)[shuffled_N]
        )


def test_stored_rows_have_their_part_and_number() -> None:
    frame, schema = read_signal_batch(parquet(ROWS), CONFIG)
    marked = mark_signals(frame, schema, SignalHoldout(share=0.5), 3)
    assert marked["lehr_batch"].to_list() == [3, 3]
    assert set(marked["lehr_split"]) <= {"train", "holdout"}


@pytest.mark.parametrize("absent", [["off"], ["on", "off", "by"], ["machine", "shift", "on", "off", "by"]])
def test_what_is_only_looked_at_needs_neither_keypoints_nor_ids(tmp_path: Path, absent: list[str]) -> None:
    file = tmp_path / "asked.parquet"
    file.write_bytes(parquet({name: values for name, values in ROWS.items() if name not in absent}).content)
    with pytest.raises(ValueError, match="missing"):
        read_signals(file, CONFIG)
    signals = read_signals(file, CONFIG, labelled=False)
    assert list(signals.keypoints) == [name for name in ("on", "off") if name not in absent]
    assert signals.element_ids_N.tolist() == (["", ""] if "machine" in absent else ["7", "8"])
    assert signals.signal(1).tolist() == [[2.0] * 12, [4.0] * 12]
