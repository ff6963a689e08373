"""Which signals are learned from, and which are held out to judge: whole sessions or elements, for ever.

Shapes: N signals.
"""

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.signal_checks import BATCH
from data.signal_config import SignalHoldout, SignalSchema
from data.signals import Signals, Texts


def split_signals(signals: Signals, holdout: SignalHoldout) -> tuple[Signals, Signals]:
    """The signals to learn from, and those held out."""
    held_N = held_out(signals.element_ids_N, signals.session_ids_N, holdout)
    return signals.take(~held_N), signals.take(held_N)


def mark_signals(rows: pl.DataFrame, schema: SignalSchema, holdout: SignalHoldout, number: int) -> pl.DataFrame:
    """A batch's sound rows as the feature store holds them: with its number and the part that each signal plays."""
    element_ids_N, session_ids_N = (np.array(rows[c].to_list(), np.str_) for c in (schema.element, schema.session))
    split_N = np.where(held_out(element_ids_N, session_ids_N, holdout), "holdout", "train")
    return rows.with_columns(pl.lit(number, pl.Int32).alias(BATCH), pl.Series("lehr_split", split_N))


def held_out(element_ids_N: Texts, session_ids_N: Texts, holdout: SignalHoldout) -> NDArray[np.bool_]:
    """Which signals judge: those of the sessions or elements whose ids hash into the share.

    It follows from the ids alone, so a session that goes on in a later batch, or comes again, stays where it is.
    """
    sessions = session_ids_N.tolist() if holdout.by == "session" else [""] * len(element_ids_N)
    named = list(zip(element_ids_N.tolist(), sessions, strict=True))
    drawn = {ids: _draw(*ids) < holdout.share for ids in set(named)}
    return np.array([drawn[ids] for ids in named], np.bool_)


def _draw(element: str, session: str) -> float:
    """A number in [0, 1) that follows from the ids."""
    digest = hashlib.sha256(f"{len(element)}:{element}{session}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
