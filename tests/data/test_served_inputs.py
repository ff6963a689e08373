import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from data.served_inputs import AT, ID, STEP, VERSION, Answered, chosen, keep_inputs, read_inputs_served, read_requests

AT_NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
RNG = np.random.default_rng(0)


def answered(request: str, *shapes: tuple[int, ...], version: int = 1, at: datetime = AT_NOON) -> Answered:
    parts = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    return Answered(request, at, version, ["heat", "speed"], parts)


def test_rows_and_windows_are_kept_under_their_receipts_in_order_of_time(tmp_path: Path) -> None:
    rows = answered("a" * 20, (2, 2), (1, 2))
    rows.parts[1][0, 1] = np.nan
    windows = answered("b" * 20, (2, 3, 2), version=2, at=AT_NOON.replace(hour=11))
    assert (keep_inputs(tmp_path, rows, 1.0), keep_inputs(tmp_path, windows, 1.0)) == (3, 2)
    kept = read_inputs_served(tmp_path, AT_NOON.replace(hour=0))
    assert kept is not None
    assert kept.columns == [ID, STEP, "heat", "speed", VERSION, AT]
    assert kept[ID].to_list() == [f"{'b' * 20}-{n}" for n in (1, 1, 1, 2, 2, 2)] + [
        f"{'a' * 20}-{n}" for n in (1, 2, 3)
    ]
    assert kept[STEP].to_list() == [1, 2, 3, 1, 2, 3, 1, 1, 1]
    assert np.array_equal(kept["heat"][:6].to_numpy(), windows.parts[0][..., 0].ravel())
    assert kept["speed"][-1] is None
    only = read_inputs_served(tmp_path, AT_NOON.replace(hour=0), version=2)
    assert only is not None
    assert only.height == 6
    assert read_inputs_served(tmp_path, AT_NOON.replace(hour=13)) is None
    assert read_inputs_served(tmp_path / "nowhere", AT_NOON) is None
    of_one = read_requests(tmp_path, ["a" * 20, "c" * 20])
    assert of_one is not None
    assert of_one.height == 3


def test_of_very_many_records_the_newest_are_read(tmp_path: Path) -> None:
    for number in range(5):
        keep_inputs(tmp_path, answered(f"{number:020x}", (1, 2), at=AT_NOON.replace(minute=number)), 1.0)
        file = next(tmp_path.rglob(f"{number:020x}.parquet"))
        os.utime(file, ns=(number, number))
    kept = read_inputs_served(tmp_path, AT_NOON.replace(hour=0), most_files=2)
    assert kept is not None
    assert [name[18:] for name in kept[ID]] == ["03-1", "04-1"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_is_kept_by_the_receipts_hash_whatever_was_asked(tmp_path: Path, share: float) -> None:
    found = np.concatenate([chosen(f"{i:020x}", 1000, share) for i in range(10)])
    assert abs(found.mean() - share) < 0.02
    first = answered("d" * 20, (300, 2), (700, 2))
    assert keep_inputs(tmp_path, first, share) == chosen("d" * 20, 1000, share).sum()
    kept = read_requests(tmp_path, ["d" * 20])
    assert kept is not None
    numbers = [int(name.split("-")[1]) for name in kept[ID]]
    assert numbers == (np.flatnonzero(chosen("d" * 20, 1000, share)) + 1).tolist()
    assert np.array_equal(kept["heat"].to_numpy(), np.concatenate(first.parts)[np.array(numbers) - 1, 0])


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    assert keep_inputs(tmp_path, answered("e" * 20, (5, 2)), 0.0) == 0
    assert read_requests(tmp_path, ["e" * 20]) is None
    assert list(tmp_path.iterdir()) == []
