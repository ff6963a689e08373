from pathlib import Path

import polars as pl
import pytest

from data.landing import clear_landing, land, landed, stage, staged
from data.sources import Arrival


def test_what_landed_is_there_until_it_is_cleared(tmp_path: Path) -> None:
    arrival = Arrival("a.csv.gz", b"bytes", "csv.gz")
    land(tmp_path, arrival)
    land(tmp_path, arrival)
    assert landed(tmp_path, arrival.id, "a.csv.gz") == arrival
    clear_landing(tmp_path, arrival.id)
    with pytest.raises(FileNotFoundError, match=r"the batch a\.csv\.gz"):
        landed(tmp_path, arrival.id, "a.csv.gz")


def test_sound_rows_keep_their_number_and_groups_come_together(tmp_path: Path) -> None:
    frame = pl.DataFrame({"s": [0.0, 1.0, 2.0, 3.0, 4.0], "unit": ["b", "a", "b", "a", "b"]})
    assert stage(tmp_path, "id", frame, "unit", {2}) == 4
    rows = staged(tmp_path, "id")
    assert rows["s"].to_list() == [1.0, 3.0, 0.0, 4.0]
    assert rows["lehr_row"].to_list() == [1, 2, 3, 5]
