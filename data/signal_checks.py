"""Which rows of a frame of signals cannot be meant, and why; and the sound ones as `Signals`.

Shapes: N signals, C channels, T samples.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.signal_config import SignalDataConfig, SignalSchema
from data.signals import Signals

BATCH = "lehr_batch"


def broken_signals(frame: pl.DataFrame, schema: SignalSchema, config: SignalDataConfig) -> dict[int, str]:
    """For each row that is no signal (index from 0) the first reason why not.

    That is: a channel without samples or of another length than its neighbours, more or fewer samples than allowed, a
    value that is not finite, no element or session, a keypoint outside the signal or, where they are ordered, before
    the one that precedes it.
    """
    found = frame.select(_first_reason(schema, config).alias("reason"))["reason"]
    return {row: reason for row, reason in enumerate(found) if reason is not None}


def signals_of(frame: pl.DataFrame, schema: SignalSchema) -> Signals:
    """Sound rows as signals, each with its batch's number where the frame has `lehr_batch`."""
    lengths_N = frame[schema.channels[0]].list.len().to_numpy().astype(np.int64)
    longest, count = int(lengths_N.max(initial=1)), frame.height
    values_NCT = np.zeros((count, len(schema.channels), longest), np.float32)
    there_NT = np.arange(longest) < lengths_N[:, None]
    for place, channel in enumerate(schema.channels):
        values_NCT[:, place][there_NT] = frame[channel].explode(empty_as_null=False).to_numpy()
    return Signals(
        values_NCT,
        lengths_N,
        _texts(frame, schema.element),
        _texts(frame, schema.session),
        {name: frame[name].fill_null(float("nan")).to_numpy().copy() for name in schema.keypoints},
        np.full(count, "", np.str_) if schema.annotator is None else _texts(frame, schema.annotator),
        np.ones(count, np.float32),
        frame[BATCH].to_numpy().astype(np.int64) if BATCH in frame.columns else np.zeros(count, np.int64),
    )


def signals_frame(signals: Signals, schema: SignalSchema) -> pl.DataFrame:
    """The frame that `signals_of` reads, `lehr_batch` among its columns."""
    channels = [  # cast, as arrays of one length would become a column of arrays
        pl.Series(name, [signals.signal(n)[c] for n in range(len(signals))]).cast(pl.List(pl.Float32))
        for c, name in enumerate(schema.channels)
    ]
    keypoints = [pl.Series(name, signals.keypoints[name]).fill_nan(None) for name in schema.keypoints]
    ids = {schema.element: signals.element_ids_N, schema.session: signals.session_ids_N}
    texts = ids if schema.annotator is None else {**ids, schema.annotator: signals.annotators_N}
    columns = [*(pl.Series(name, list(ids_N), pl.String) for name, ids_N in texts.items()), *keypoints]
    batch = pl.Series(BATCH, signals.batches_N, pl.Int32)
    return pl.DataFrame([*channels, *columns]).select(schema.columns).with_columns(batch)


def _first_reason(schema: SignalSchema, config: SignalDataConfig) -> pl.Expr:
    reasons = [
        *(_unless(_samples(c) > 0, pl.lit(f"no sample in {c}")) for c in schema.channels),
        *(_unless(_samples(c) == _samples(schema.channels[0]), _uneven(c, schema)) for c in schema.channels[1:]),
        _unless(_samples(schema.channels[0]).is_between(config.samples.min, config.samples.max), _too(schema, config)),
        *(_unless(_finite(c), pl.lit(f"a value in {c} that is no finite number")) for c in schema.channels),
        *(_unless(pl.col(c).is_not_null(), pl.lit(f"no {c}")) for c in (schema.element, schema.session)),
        *(_unless(_inside(c, schema), _outside(c, schema)) for c in schema.keypoints),
        *(_misplaced(schema) if config.ordered else []),
    ]
    return pl.coalesce(reasons)


def _unless(sound: pl.Expr, reason: pl.Expr) -> pl.Expr:
    return pl.when(~sound.fill_null(False)).then(reason)


def _samples(channel: str) -> pl.Expr:
    return pl.col(channel).list.len().fill_null(0)


def _uneven(channel: str, schema: SignalSchema) -> pl.Expr:
    first = schema.channels[0]
    return pl.format(f"{first} has {{}} samples, {channel} {{}}", _samples(first), _samples(channel))


def _too(schema: SignalSchema, config: SignalDataConfig) -> pl.Expr:
    allowed = f"allowed are {config.samples.min} to {config.samples.max}"
    return pl.format(f"{{}} samples; {allowed}", _samples(schema.channels[0]))


def _finite(channel: str) -> pl.Expr:
    return pl.col(channel).list.eval(pl.element().is_finite().fill_null(False)).list.all()


def _inside(keypoint: str, schema: SignalSchema) -> pl.Expr:
    position = pl.col(keypoint)
    return position.is_null() | ((position >= 0) & (position <= _samples(schema.channels[0]) - 1.0))


def _outside(keypoint: str, schema: SignalSchema) -> pl.Expr:
    where = f"{keypoint} lies at sample {{}} of a signal of {{}}"
    return pl.format(where, pl.col(keypoint), _samples(schema.channels[0]))


def _misplaced(schema: SignalSchema) -> list[pl.Expr]:
    """A keypoint before the latest that is annotated among those listed before it."""
    found: list[pl.Expr] = []
    for place, name in enumerate(schema.keypoints[1:], start=1):
        before = pl.max_horizontal(schema.keypoints[:place])
        in_order = (pl.col(name) >= before) | pl.col(name).is_null() | before.is_null()
        text = pl.format(f"{name} lies at sample {{}}, before a keypoint that precedes it", pl.col(name))
        found.append(_unless(in_order, text))
    return found


def _texts(frame: pl.DataFrame, column: str) -> NDArray[np.str_]:
    return np.array(frame[column].fill_null("").to_list(), np.str_)
