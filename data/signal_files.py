"""Reading a delivered file of signals: Parquet with lists, or npz, into one frame; what does not fit is refused.

Shapes: N signals, C channels, T samples, K keypoints.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import polars as pl

from data.bad_batch import BadBatch
from data.npz_files import Arrays, read_npz
from data.parquet_files import broken_parquet
from data.signal_checks import broken_signals
from data.signal_config import SignalDataConfig, SignalSchema
from data.sources import Arrival

NOT_ANNOTATED = -1.0
LENGTHS, KEYPOINTS, KEYPOINT_NAMES = "lengths", "keypoints", "keypoint_names"
_WHOLE = r"^(-?\d+)\.0+$"


def read_signal_batch(
    arrival: Arrival, config: SignalDataConfig, *, ids_needed: bool = True
) -> tuple[pl.DataFrame, SignalSchema]:
    """The batch as a frame of `SignalSchema`'s columns, one row a signal in the file's order; other columns are left.

    A keypoint that is empty, NaN or −1 is null. ids_needed: element and session must be there; else absent ones are "".
    Rows are not judged here (`data.signal_checks`).
    Raises BadBatch with the reason where anything would have to be guessed: a column that is not there or of another
    type, signals of different numbers of channels, a broken file.
    """
    if arrival.format == "parquet":
        return _from_parquet(arrival.content, config, ids_needed=ids_needed)
    if arrival.format == "npz":
        return signal_frame(read_npz(arrival.content), config, ids_needed=ids_needed)
    raise BadBatch(f"signals are delivered as Parquet with lists, or as npz, not as {arrival.format}")


def read_signal_inputs(arrival: Arrival, config: SignalDataConfig) -> tuple[pl.DataFrame, SignalSchema]:
    """The signals of a file that are to be represented, as `read_signal_batch` gives them, but without keypoints.

    Ids that are not there are "". Raises ValueError that names the file, and the row (from 1) that is no signal.
    """
    bare = config.model_copy(update={"keypoints": [], "annotator": None, "weights": {}})
    try:
        frame, schema = read_signal_batch(arrival, bare, ids_needed=False)
    except BadBatch as bad:
        raise ValueError(f"{arrival.name}: {bad.reason}") from None
    frame = frame.with_columns(pl.col(bare.element, bare.session).fill_null(""))
    for row, reason in broken_signals(frame, schema, bare).items():
        raise ValueError(f"{arrival.name}, row {row + 1}: {reason}")
    return frame, schema


def without_absent(arrival: Arrival, config: SignalDataConfig) -> SignalDataConfig:
    """The config without the keypoints and the annotator that a file lacks; raises BadBatch where it is broken."""
    if arrival.format == "npz":
        arrays = read_npz(arrival.content)
        there = {*arrays, *_split_keypoints(arrays)}
    else:
        there = {name.strip() for name in _read_parquet(arrival.content).columns}
    annotator = config.annotator if config.annotator in there else None
    kept = {"keypoints": [name for name in config.keypoints if name in there], "annotator": annotator}
    return config.model_copy(update={**kept, "weights": config.weights if annotator else {}})


def signal_frame(
    arrays: Arrays, config: SignalDataConfig, *, ids_needed: bool = True
) -> tuple[pl.DataFrame, SignalSchema]:
    """The same from arrays named as those of an npz file.

    signals: one array (N, C, T), or one (N, T) a channel; `lengths` (N,) where they are padded. keypoints: `keypoints`
    (N, K) with `keypoint_names` (K,), or an array (N,) each. ids_needed: element and session must be there.
    """
    named = {**arrays, **_split_keypoints(arrays)}
    others = _others(config, None if ids_needed else list(named))
    _refuse_absent([*config.signals, *others], list(named), "array")
    channels = _array_channels(named, config.signals)
    if LENGTHS in named:
        lengths = _one_each(named, LENGTHS)
        channels = [_cut(channel, lengths) for channel in channels]
    return _frame(channels, {name: _one_each(named, name) for name in others}, config)


def _cut(channel: pl.Series, lengths: pl.Series) -> pl.Series:
    if len(lengths) != len(channel) or not lengths.dtype.is_integer():
        raise BadBatch(f"the array {LENGTHS!r} must hold one whole number a signal")
    outside = (lengths < 0) | (lengths > channel.list.len())  # of no sample: the row is no signal, as of any file
    if (row := outside.arg_max()) is not None and outside[row]:
        raise BadBatch(f"row {row + 1} has the length {lengths[row]}; allowed is 1 to {channel.list.len()[row]}")
    found = pl.DataFrame([channel, lengths.alias(LENGTHS)])
    return found.select(pl.col(channel.name).list.head(pl.col(LENGTHS))).to_series()


def _split_keypoints(arrays: Arrays) -> Arrays:
    if KEYPOINTS not in arrays or KEYPOINT_NAMES not in arrays:
        return {}
    positions_NK, names_K = arrays[KEYPOINTS], arrays[KEYPOINT_NAMES]
    if positions_NK.ndim != 2 or names_K.shape != positions_NK.shape[1:]:
        raise BadBatch(
            f"{KEYPOINTS} of shape {positions_NK.shape} need as many {KEYPOINT_NAMES} as columns, got {names_K.shape}"
        )
    return {str(name): positions_NK[:, k] for k, name in enumerate(names_K)}


def _array_channels(arrays: Arrays, names: Sequence[str]) -> list[pl.Series]:
    found: list[pl.Series] = []
    for name in names:
        values = arrays[name]
        if values.dtype.kind not in "fiu" or values.ndim != (3 if len(names) == 1 and values.ndim == 3 else 2):
            expected = "numbers (N, channels, samples) or (N, samples)" if len(names) == 1 else "numbers (N, samples)"
            raise BadBatch(f"the array {name!r} must hold {expected}, not {values.dtype} {values.shape}")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and its row is refused
            values = values.astype(np.float32)
        parts = [values] if values.ndim == 2 else [values[:, c] for c in range(values.shape[1])]
        found += [pl.Series(name, part).cast(pl.List(pl.Float32)) for part in parts]
    if len({len(series) for series in found}) != 1:
        raise BadBatch(f"the arrays {_listed(names)} hold different numbers of signals")
    return found


def _one_each(arrays: Arrays, name: str) -> pl.Series:
    values = arrays[name]
    if values.ndim != 1 or values.dtype.kind not in "fiuU":
        raise BadBatch(f"the array {name!r} must hold one number or text a signal, not {values.dtype} {values.shape}")
    return pl.Series(name, values.astype(np.float32) if values.dtype == np.float16 else values)


def _from_parquet(
    content: bytes, config: SignalDataConfig, *, ids_needed: bool = True
) -> tuple[pl.DataFrame, SignalSchema]:
    frame = _read_parquet(content).rename(lambda name: name.strip())
    others = _others(config, None if ids_needed else frame.columns)
    _refuse_absent([*config.signals, *others], frame.columns, "column")
    channels = [channel for name in config.signals for channel in _list_channels(frame[name], len(config.signals))]
    return _frame(channels, {name: frame[name] for name in others}, config)


def _read_parquet(content: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(BytesIO(content))
    except (pl.exceptions.PolarsError, OSError):
        raise BadBatch(broken_parquet(content)) from None


def _list_channels(column: pl.Series, columns: int) -> list[pl.Series]:
    column = column.cast(_lists_for(column.dtype))
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else None
    if isinstance(inner, pl.List) and inner.inner.is_numeric() and columns == 1:
        counts = column.list.len().drop_nulls().unique().sort().to_list()
        if len(counts) != 1 or counts[0] == 0:
            raise BadBatch(f"the signals in {column.name!r} have {_listed(counts)} channels; all need the same number")
        return [_floats(column.list.get(c)) for c in range(counts[0])]
    if inner is None or not inner.is_numeric():
        allowed = "lists of numbers, or lists of channels" if columns == 1 else "lists of numbers"
        raise BadBatch(f"the column {column.name!r} must hold {allowed}, not {column.dtype}")
    return [_floats(column)]


def _lists_for(dtype: pl.DataType) -> pl.DataType:
    """The type with lists where it has arrays of a fixed length."""
    if isinstance(dtype, pl.Array | pl.List):
        inner = dtype.inner
        return pl.List(_lists_for(inner if isinstance(inner, pl.DataType) else inner()))
    return dtype


def _floats(column: pl.Series) -> pl.Series:
    return column.cast(pl.List(pl.Float32))


def _frame(
    channels: Sequence[pl.Series], others: Mapping[str, pl.Series], config: SignalDataConfig
) -> tuple[pl.DataFrame, SignalSchema]:
    schema = config.schema_for(len(channels))
    columns = [channel.rename(name) for channel, name in zip(channels, schema.channels, strict=True)]
    columns += [_positions(s) if name in config.keypoints else _ids(s) for name, s in others.items()]
    absent = [name for name in (config.element, config.session) if name not in others]
    columns += [pl.Series(name, [""] * columns[0].len(), pl.String) for name in absent]
    if (counts := {len(column) for column in columns}) != {columns[0].len()}:
        raise BadBatch(f"the arrays are of different lengths: {_listed(sorted(counts))} entries")
    if columns[0].len() == 0:
        raise BadBatch("the file holds no signals")
    return pl.DataFrame(columns).select(schema.columns), schema


def _positions(column: pl.Series) -> pl.Series:
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise BadBatch(f"the keypoint {column.name!r} must hold positions in samples, not {column.dtype}")
    found = pl.col(column.name).cast(pl.Float32).fill_nan(None)
    return column.to_frame().select(pl.when(found != NOT_ANNOTATED).then(found)).to_series()


def _ids(column: pl.Series) -> pl.Series:
    if not (column.dtype.is_numeric() or isinstance(column.dtype, pl.String | pl.Categorical | pl.Null)):
        raise BadBatch(f"the column {column.name!r} must hold names or numbers, not {column.dtype}")
    return column.cast(pl.String).str.strip_chars().str.replace(_WHOLE, "$1").replace("", None)


def _others(config: SignalDataConfig, there: Sequence[str] | None = None) -> list[str]:
    """The columns beside the signals; there: of those that a file has (None: all)."""
    annotator = [] if config.annotator is None else [config.annotator]
    wanted = [config.element, config.session, *config.keypoints, *annotator]
    return wanted if there is None else [name for name in wanted if name in there]


def _refuse_absent(wanted: Sequence[str], there: Sequence[str], what: str) -> None:
    absent = [name for name in wanted if name not in there]
    if absent:
        noun = what if len(absent) == 1 else f"{len(absent)} {what}s"
        raise BadBatch(f"missing {noun} {_listed(absent)}; the file has {_listed(there)}")


def _listed(names: Sequence[object], most: int = 8) -> str:
    shown = ", ".join(repr(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
