"""Whatever is changed, missing or put in among the stored rows is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from data.feature_store import FeatureStore
from data.seals import Seal, check_seals, seal_batch
from tests.data.test_feature_store import batch


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, dict[int, Seal]]:
    """Three batches and their seals."""
    folder, seals = tmp_path / "store", dict[int, Seal]()
    for number in (1, 2, 3):
        rows = batch(number)
        seals[number] = seal_batch(folder, FeatureStore(folder).append(f"id{number}", rows), rows)
    return folder, seals


def said(folder: Path, seals: dict[int, Seal]) -> list[str]:
    return [f"{change.where.removeprefix(str(folder))} {change.what}" for change in check_seals(folder, seals, [])]


def test_what_was_stored_is_as_it_was_sealed(store: tuple[Path, dict[int, Seal]]) -> None:
    assert said(*store) == []
    DeltaTable(str(store[0])).create_checkpoint()
    assert said(*store) == []
    (store[0] / "_delta_log" / f"{0:020}.json").unlink()  # as Delta Lake does a month after a checkpoint
    assert said(*store) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [flip, Path.unlink])
@pytest.mark.parametrize("kind", [".parquet", ".json"])
def test_every_file_counts(store: tuple[Path, dict[int, Seal]], harm: Callable[[Path], None], kind: str) -> None:
    folder, seals = store
    for number, seal in seals.items():
        for name in seal.files:
            if name.endswith(kind):
                copied = folder.with_name(f"{number}-{kind}-{Path(name).stem}")
                shutil.copytree(folder, copied)
                harm(copied / name)
                assert any(name in text and f"batch {number}" in text for text in said(copied, seals)), name


def test_a_row_that_was_rewritten_by_delta_itself_is_named_with_its_column(
    store: tuple[Path, dict[int, Seal]],
) -> None:
    folder, seals = store
    DeltaTable(str(folder)).update(updates={"s1": "99.0"}, predicate="lehr_batch = 2 and lehr_row = 7")
    assert ", batch 2 was changed in s1" in said(folder, seals)
    DeltaTable(str(folder)).delete("lehr_batch = 3")
    assert ", batch 3 has no rows any more" in said(folder, seals)


def test_a_batch_that_was_put_in_is_named(store: tuple[Path, dict[int, Seal]]) -> None:
    folder, seals = store
    write_deltalake(str(folder), batch(9).to_arrow(), mode="append", partition_by=["lehr_split"])
    assert said(folder, seals) == [", batch 9 was put in by other means than lehr's"]


def test_a_store_that_is_gone_is_named(store: tuple[Path, dict[int, Seal]]) -> None:
    folder, seals = store
    shutil.rmtree(folder)
    assert " holds no table any more" in said(folder, seals)


def test_a_seal_is_plain_json(store: tuple[Path, dict[int, Seal]]) -> None:
    from dataclasses import asdict

    from pydantic import TypeAdapter

    for seal in store[1].values():
        assert TypeAdapter(Seal).validate_python(json.loads(json.dumps(asdict(seal)))) == seal


def test_columns_of_all_types_come_back_from_delta_with_the_same_hash(tmp_path: Path) -> None:
    from datetime import datetime

    rows = batch(1).with_columns(
        pl.Series("label", ["ok", None] * 25),
        pl.Series("time", [datetime(2026, 1, 1), None] * 25),
        pl.Series("s2", [None, 0.5] * 25, dtype=pl.Float32),
    )
    seal = seal_batch(tmp_path / "store", FeatureStore(tmp_path / "store").append("id1", rows), rows)
    assert said(tmp_path / "store", {1: seal}) == []


def test_the_rows_of_an_adopted_model_are_sealed_under_zero(tmp_path: Path) -> None:
    """They have batch numbers up to 0, which may repeat a row's number."""
    folder = tmp_path / "store"
    adopted = pl.concat([batch(0), batch(-1), batch(0).with_columns(s1=pl.lit(5.0, pl.Float32))])
    seals = {0: seal_batch(folder, FeatureStore(folder).append("adopted", adopted), adopted)}
    seals[1] = seal_batch(folder, FeatureStore(folder).append("id1", batch(1)), batch(1))
    assert said(folder, seals) == []
    DeltaTable(str(folder)).update(updates={"s1": "7.0"}, predicate="lehr_batch = -1 and lehr_row = 3")
    assert ", batch 0 was changed in s1" in said(folder, seals)
