"""Signals from a file or a folder of files, as `Signals`: for training from Python, outside the loop."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.bad_batch import BadBatch
from data.npz_files import read_npy, read_npz
from data.signal_checks import broken_signals, signals_of
from data.signal_config import SignalDataConfig
from data.signal_files import KEYPOINT_NAMES, KEYPOINTS, read_signal_batch, without_absent
from data.signals import Signals, make_signals
from data.sources import Arrival, read_arrival

ANNOTATIONS = "keypoints.csv"
SUFFIXES = (".npy", ".csv", ".parquet")
_ANNOTATOR = "annotator"


def read_signals(source: Path, config: SignalDataConfig | None = None, *, labelled: bool = True) -> Signals:
    """Signals of an npz or a Parquet file, or of a folder.

    config: which columns or arrays are what; None takes those named as the fields of `SignalDataConfig` by default,
    and of an npz all its `keypoint_names` and its `annotator`. Keypoints count by the config's weights. labelled: a
    file must have all that the config names; else keypoints, annotator and ids may be missing.
    A folder holds one signal a file, ELEMENT/SESSION/NAME with the ending .npy (C, T) or (T,), .csv or .parquet (a
    column a channel), and beside the elements `keypoints.csv`: a column `file`, one for each keypoint with positions
    in samples (empty: not annotated), and perhaps `annotator`; config is not asked.
    Raises ValueError that names the file, the row (from 1) and what is allowed.
    """
    if source.is_dir():
        return _read_folder(source)
    arrival = read_arrival(source)
    try:
        asked = _config_for(arrival) if config is None else config
        asked = asked if labelled else without_absent(arrival, asked)
        frame, schema = read_signal_batch(arrival, asked, ids_needed=labelled)
    except BadBatch as bad:
        raise ValueError(f"{source}: {bad.reason}") from None
    if not labelled:
        frame = frame.with_columns(pl.col(asked.element, asked.session).fill_null(""))
    broken = broken_signals(frame, schema, asked)
    if broken:
        row, reason = next(iter(broken.items()))
        raise ValueError(f"{source}, row {row + 1}: {reason}")
    return signals_of(frame, schema).weighed(asked.weights)


def _config_for(arrival: Arrival) -> SignalDataConfig:
    if arrival.format != "npz":
        return SignalDataConfig()
    arrays = read_npz(arrival.content)
    named = [str(name) for name in arrays[KEYPOINT_NAMES]] if {KEYPOINTS, KEYPOINT_NAMES} <= set(arrays) else []
    return SignalDataConfig(keypoints=named, annotator=_ANNOTATOR if _ANNOTATOR in arrays else None)


def _read_folder(folder: Path) -> Signals:
    files = sorted(f for f in folder.glob("*/*/*") if f.is_file() and not f.name.startswith("."))
    if not files:
        raise ValueError(f"{folder} holds no signals: they lie under ELEMENT/SESSION/NAME{'|'.join(SUFFIXES)}")
    names = [file.relative_to(folder).as_posix() for file in files]
    values = [_read_one(file) for file in files]
    elements, sessions = [file.parent.parent.name for file in files], [file.parent.name for file in files]
    keypoints, annotators = _read_annotations(folder / ANNOTATIONS, names)
    try:
        return make_signals(values, elements, sessions, keypoints, annotators)
    except ValueError as error:
        listed = f"; signal 0 is {names[0]}, the others follow in order of their names"
        raise ValueError(f"{folder}: {error}{listed}") from None


def _read_one(file: Path) -> NDArray[Any]:
    try:
        match file.suffix:
            case ".npy":
                values = read_npy(file.read_bytes(), file.name)
                values = values[None] if values.ndim == 1 else values
            case ".csv" | ".parquet":
                frame = pl.read_csv(file) if file.suffix == ".csv" else pl.read_parquet(file)
                values = frame.to_numpy().T
            case _:
                raise ValueError(f"a signal's file ends in {', '.join(SUFFIXES)}")
    except (ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{file}: {str(error).splitlines()[0]}") from None
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{file}: it must hold numbers alone, not {values.dtype}")
    return values


def _read_annotations(file: Path, names: list[str]) -> tuple[dict[str, NDArray[Any]], list[str] | None]:
    if not file.exists():
        return {}, None
    try:
        told = pl.read_csv(file, schema_overrides={"file": pl.String, _ANNOTATOR: pl.String})
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{file}: {str(error).splitlines()[0]}") from None
    if "file" not in told.columns:
        raise ValueError(f"{file}: there is no column 'file'; the columns are {', '.join(told.columns)}")
    for row, name in enumerate(told["file"], start=1):
        if name not in names:
            raise ValueError(
                f"{file}, row {row}: there is no signal {name!r}; write ELEMENT/SESSION/NAME with its ending"
            )
    if (twice := told.filter(told["file"].is_duplicated())["file"]).len():
        raise ValueError(f"{file}: {twice[0]!r} stands there more than once")
    joined = pl.DataFrame({"file": names}).join(told, on="file", how="left", maintain_order="left")
    keypoints = [c for c in told.columns if c not in ("file", _ANNOTATOR)]
    for name in keypoints:
        if not (joined[name].dtype.is_numeric() or joined[name].dtype == pl.Null):
            raise ValueError(f"{file}: the column {name!r} must hold positions in samples, or nothing")
    positions = {name: joined[name].cast(pl.Float32).fill_null(np.nan).to_numpy() for name in keypoints}
    return positions, joined[_ANNOTATOR].fill_null("").to_list() if _ANNOTATOR in told.columns else None
