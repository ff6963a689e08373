"""The landing: a batch's bytes, and its sound rows, until the loop is done with it."""

from collections.abc import Container
from io import BytesIO
from pathlib import Path

import polars as pl

from data.files import write_whole
from data.sources import FORMATS, Arrival


def land(folder: Path, arrival: Arrival) -> None:
    """Keep the bytes as they came; landing the same batch again changes nothing."""
    path = folder / f"{arrival.id}.{arrival.format}"
    if not path.exists():
        write_whole(path, arrival.content)


def landed(folder: Path, batch_id: str, name: str) -> Arrival:
    """The arrival that was landed; raises FileNotFoundError where there is none."""
    for path in folder.glob(f"{batch_id}.*"):
        suffix = path.name.removeprefix(f"{batch_id}.")
        if suffix in FORMATS:
            return Arrival(name, path.read_bytes(), suffix)
    raise FileNotFoundError(f"the batch {name} ({batch_id[:12]}) is not in {folder}")


def stage(folder: Path, batch_id: str, frame: pl.DataFrame, group: str | None, quarantined: Container[int]) -> int:
    """Keep the sound rows as `sound_rows` gives them; returns how many they are."""
    sound = sound_rows(frame, group, quarantined)
    content = BytesIO()
    sound.write_parquet(content)
    write_whole(folder / f"{batch_id}.staged", content.getvalue())
    return sound.height


def sound_rows(frame: pl.DataFrame, group: str | None, quarantined: Container[int]) -> pl.DataFrame:
    """The rows of a batch that are not quarantined, with `lehr_row`.

    Rows of one group come together, in their order in the file, so that windows can follow them. `lehr_row` counts
    from 1 before the quarantined rows are taken out, so that a gap shows.
    """
    numbered = frame.with_row_index("lehr_index")
    ordered = numbered if group is None else numbered.sort(group, maintain_order=True)
    counted = ordered.with_columns(pl.int_range(1, frame.height + 1, dtype=pl.Int32).alias("lehr_row"))
    return counted[[i for i, row in enumerate(ordered["lehr_index"]) if row not in quarantined]].drop("lehr_index")


def staged(folder: Path, batch_id: str) -> pl.DataFrame:
    """The sound rows that were staged."""
    return pl.read_parquet(folder / f"{batch_id}.staged")


def clear_landing(folder: Path, batch_id: str) -> None:
    """Forget a batch that the loop is done with."""
    for path in folder.glob(f"{batch_id}.*"):
        path.unlink()
