"""What triage needs of a batch of signals: what its channels read, and what those of earlier batches did.

Shapes: N signals, C channels.
"""

from dataclasses import replace

import polars as pl

from data.signal_config import SignalSchema
from deployments.outcomes import Batch, Watched
from deployments.setting_aside import RELEASE, faulty_batches
from deployments.signal_line import SignalLine
from deployments.signal_versions import signal_champion_of
from monitoring.causes import Triage
from monitoring.signal_triage import Described, triage_signals

EARLIER_BATCHES = 10
"""The latest sound ones, which say what channels usually read."""


def triage_stored_signals(line: SignalLine, batch: Batch, watched: Watched) -> Triage:
    """Name what happened to a stored batch that was watched."""
    rows = line.store.read(range(batch.number, batch.number + 1))
    before, champion = _earlier(line, batch), signal_champion_of(line)
    known = None if champion is None else set(champion.reference.elements)
    elements = rows[line.schema.element].unique(maintain_order=True).to_list()
    new = [] if known is None else [element for element in elements if element not in known]
    moved = watched.drift.summary if watched.drift is not None and watched.drift.drifted else None
    found = triage_signals(line.schema.channels, before, describe_channels(rows, line.schema), new, moved)
    row_N = rows["lehr_row"].to_list()
    by_file = tuple(replace(part, first=row_N[part.first], last=row_N[part.last]) for part in found.set_aside)
    return replace(found, set_aside=by_file)


def _earlier(line: SignalLine, batch: Batch) -> Described | None:
    """What the latest batches before this one read, the sound ones and those released; None before the first."""
    stored = line.ledger.outcomes(line.name, "store")
    faulty = set(faulty_batches(line.ledger, line.name)) - set(line.ledger.outcomes(line.name, RELEASE))
    sound = [number for number in stored if number < batch.number and number not in faulty][-EARLIER_BATCHES:]
    if not sound:
        return None
    rows = line.store.read(range(sound[0], batch.number)).filter(pl.col("lehr_batch").is_in(sound))
    return describe_channels(rows, line.schema)


def describe_channels(rows: pl.DataFrame, schema: SignalSchema) -> Described:
    """What the channels of stored signals read."""
    still = pl.element().diff().drop_nulls() == 0
    figures = {
        "means": [pl.col(c).list.mean() for c in schema.channels],
        "deviations": [pl.col(c).list.std(ddof=0) for c in schema.channels],
        "still": [pl.col(c).list.eval(still).list.mean().fill_null(0.0) for c in schema.channels],
    }
    sessions = rows.select(pl.concat_str(schema.element, schema.session, separator="\n")).to_series()
    return Described(
        rows[schema.element].to_numpy().astype(str),
        sessions.to_numpy().astype(str),
        *(rows.select(of).cast(pl.Float64).to_numpy() for of in figures.values()),
    )
