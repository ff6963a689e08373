from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data.feature_store import FeatureStore
from data.late_labels import fill_waiting, repeated_keys, sort_labels, waiting_labels
from data.schema import Schema
from data.windows import make_samples

SCHEMA = Schema(("s1",), "y", None, None, "regression", (), ("piece",))
PIECES = list("abcdefghij")
TRUTH = {piece: float(i) for i, piece in enumerate(PIECES)}


def labels(pieces: list[str], values: list[float | None] | None = None) -> pl.DataFrame:
    values = [TRUTH[piece] for piece in pieces] if values is None else values
    return pl.DataFrame({"piece": pieces, "y": values}, schema={"piece": pl.String, "y": pl.Float32})


def rows(batch: int, pieces: list[str], known: dict[str, float | None]) -> pl.DataFrame:
    frame = labels(pieces, [known.get(piece) for piece in pieces])
    places = pl.int_range(1, frame.height + 1, dtype=pl.Int32).alias("lehr_row")
    return frame.with_columns(pl.lit(batch, pl.Int32).alias("lehr_batch"), places)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), max_size=8), st.integers(0, 8))
def test_however_labels_are_cut_and_repeated_each_row_gets_its_own_once(files: list[list[str]], arrives: int) -> None:
    """The pieces a to e came as batch 1; f to j come as batch 2 after so many files of labels."""
    known: dict[str, float | None] = {}
    kept: list[pl.DataFrame] = []
    stored = rows(1, PIECES[:5], known)
    told, fresh = 0, 0
    for number, pieces in enumerate([*files, PIECES]):
        if number == arrives:
            second, contradicted = fill_waiting(rows(2, PIECES[5:], {}), _waiting(kept, stored), SCHEMA)
            assert not contradicted
            stored = pl.concat([stored, second])
        found = sort_labels(labels(pieces), stored, _waiting(kept, stored), SCHEMA)
        assert not found.refused
        assert found.known + found.fresh.height == len(pieces)
        told, fresh = told + found.known, fresh + found.fresh.height
        kept.append(found.fresh)
        placed = found.fresh.drop_nulls("lehr_batch").select("lehr_batch", "lehr_row", "lehr_label")
        stored = stored.join(placed, on=["lehr_batch", "lehr_row"], how="left", maintain_order="left")
        assert stored.filter(pl.col("y").is_not_null() & pl.col("lehr_label").is_not_null()).is_empty()
        stored = stored.with_columns(pl.coalesce("y", "lehr_label").alias("y")).drop("lehr_label")
    if arrives > len(files):
        assert set(_waiting(kept, stored)["piece"]) == set(PIECES[5:])
    assert dict(stored.select("piece", "y").iter_rows()) == {piece: TRUTH[piece] for piece in stored["piece"]}
    assert fresh == len(PIECES)


def _waiting(kept: list[pl.DataFrame], stored: pl.DataFrame) -> pl.DataFrame:
    return waiting_labels(pl.concat(kept) if kept else None, stored, SCHEMA)


def test_what_is_no_label_is_refused_with_its_reason() -> None:
    stored = pl.concat([rows(1, ["a", "b", "b"], {"a": 0.0}), rows(2, ["c"], {})])
    early = labels(["z"], [1.0]).rename({"y": "lehr_label"})
    found = sort_labels(
        labels(["a", "b", "z", "c", "c", "d", "e"], [5.0, 1.0, 2.0, 2.0, 2.0, float("inf"), None]),
        stored,
        early,
        SCHEMA,
    )
    assert found.refused == {
        0: "it contradicts the label 0.0 of batch 1, row 1",
        1: "the key is that of 2 rows, the first in batch 1, row 2",
        2: "it contradicts the label 1.0 that came before it and waits for its row",
        5: "the label is infinite",
        6: "there is no label",
    }
    assert found.fresh.rows() == [("c", 2.0, 2, 1)]
    assert found.known == 1


def test_a_batch_that_contradicts_a_waiting_label_keeps_its_own() -> None:
    waiting = labels(["a", "b", "c"], [7.0, 8.0, 9.0]).rename({"y": "lehr_label"})
    filled, contradicted = fill_waiting(rows(1, ["a", "b", "c", "c"], {"a": 0.0}), waiting, SCHEMA)
    assert filled["y"].to_list() == [0.0, 8.0, None, None]
    assert contradicted == {
        0: "a label 7.0 waited for the row, which came with 0.0",
        2: "a label 9.0 waited for the row, which shares its key with another row",
        3: "a label 9.0 waited for the row, which shares its key with another row",
    }


def test_only_rows_without_a_label_need_a_key_of_their_own() -> None:
    earlier = rows(1, ["a", "b"], {})
    found = repeated_keys(rows(2, ["a", "b", "c", "c", "d"], {"a": 1.0}), earlier, SCHEMA)
    assert found == {
        1: "the key piece is that of a row of batch 1, so a later label would not find its row",
        2: "the key piece stands more than once in the batch, so a later label would not find its row",
        3: "the key piece stands more than once in the batch, so a later label would not find its row",
    }


def test_windows_that_end_at_late_labels_reach_back_to_rows_without(tmp_path: Path) -> None:
    """Batch 1 came without labels; number 3 brings that of row 6, number 4 those of rows 7 and 8."""
    start = datetime(2026, 1, 1)
    schema = Schema(("s1",), "y", "time", None, "regression", (), ("time",))
    store = FeatureStore(tmp_path / "store", "y")
    for batch in (1, 2):
        frame = pl.DataFrame(
            {
                "s1": pl.Series(np.arange(8) + 10 * batch, dtype=pl.Float32),
                "y": pl.Series([None] * 8 if batch == 1 else [0.5] * 8, dtype=pl.Float32),
                "time": [start + timedelta(hours=8 * batch + i) for i in range(8)],
            }
        )
        place = pl.int_range(1, 9, dtype=pl.Int32).alias("lehr_row")
        frame = frame.with_columns(pl.lit(batch, pl.Int32).alias("lehr_batch"), place, lehr_split=pl.lit("train"))
        store.append(f"id{batch}", frame)
    for number, hours in ((3, [5]), (4, [6, 7])):
        late = pl.DataFrame({"time": [start + timedelta(hours=8 + h) for h in hours], "y": [float(h) for h in hours]})
        stored = store.read(columns=["time", "y"])
        found = sort_labels(late.cast({"y": pl.Float32}), stored, waiting_labels(None, stored, schema), schema)
        for _ in range(2):
            store.labels.append(f"labels{number}", number, found.fresh)
    assert store.read(range(1, 2))["y"].to_list() == [None] * 5 + [5.0, 6.0, 7.0]
    assert store.read(range(1, 2), labels_through=3)["y"].to_list() == [None] * 5 + [5.0, None, None]
    third, fourth = (make_samples(store.read_labelled(range(n, n + 1)), schema, 3, None) for n in (3, 4))
    assert third.inputs()[..., 0].tolist() == [[13, 14, 15]]
    assert fourth.inputs()[..., 0].tolist() == [[14, 15, 16], [15, 16, 17]]
    assert (third.batches_B.tolist(), fourth.batches_B.tolist()) == ([3], [4, 4])
    everything = make_samples(store.read_labelled(range(1, 5)), schema, 3, None)
    assert sorted(everything.batches_B.tolist()) == [2] * 6 + [3, 4, 4]
