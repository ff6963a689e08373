"""What triage needs of a batch: its readings, the stored regimes, and the champion's losses then and now."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from data.files import write_whole
from data.windows import make_samples
from deployments.champions import Version, champion_of
from deployments.line import Line
from deployments.outcomes import Batch, Validated
from deployments.setting_aside import RELEASE, sound_rows
from monitoring.causes import Losses, Triage
from monitoring.performance import CLASS_METRICS, row_losses
from monitoring.reference import values_of
from monitoring.regimes import Regimes
from monitoring.sketches import Floats, sketch_batch
from monitoring.triage import triage

HELD_OUT_BATCHES = 3
"""The latest that the champion learned from say what it may be expected to lose."""


def triage_stored(line: Line, batch: Batch, validated: Validated) -> Triage:
    """Name what happened to a stored batch; the regimes after it are kept in a file of its number."""
    rows = line.store.read(batches=range(batch.number, batch.number + 1))
    ordered = line.config.data.order == "time"
    regimes = _with_released(line, _latest_regimes(line, batch.number), batch.number)
    values_NF = _readings(line, rows, batch.number)
    found, after = triage(
        regimes, batch.number, line.schema.features, values_NF, _losses(line, rows), validated.sensors, ordered
    )
    write_whole(_file(line, batch.number), after.save())
    _forget(line, batch.number)
    row_N = rows["lehr_row"].to_list()
    by_file = tuple(replace(part, first=row_N[part.first], last=row_N[part.last]) for part in found.set_aside)
    return replace(found, set_aside=by_file)


def _readings(line: Line, rows: pl.DataFrame, seed: int) -> Floats:
    """The features side by side, (N, F); rows without an order in time come shuffled."""
    values_NF = np.column_stack([values_of(rows[feature]) for feature in line.schema.features])
    if line.config.data.order == "none":
        return np.random.default_rng(seed).permutation(values_NF)
    return values_NF


def _losses(line: Line, rows: pl.DataFrame) -> Losses | None:
    """The champion's losses on the batch and on rows held out from its latest ones; None where there are none."""
    champion = champion_of(line)
    if champion is None:
        return None
    through = champion.candidate.trained_through
    held_out = sound_rows(line, range(through - HELD_OUT_BATCHES + 1, through + 1), split="holdout")
    now_B, before_B = (_losses_on(line, champion, part) for part in (rows, held_out))
    if min(len(now_B), len(before_B)) < LEAST_LOSSES:
        return None

    def moved_back(feature: int, move: float) -> Floats:
        return _losses_on(line, champion, rows.with_columns(pl.col(line.schema.features[feature]) - move))

    return Losses(now_B, before_B, moved_back)


LEAST_LOSSES = 10


def _losses_on(line: Line, champion: Version, rows: pl.DataFrame) -> Floats:
    whole = rows.with_columns(pl.lit("all").alias("lehr_split")) if line.window_length > 1 else rows
    samples = make_samples(whole, line.schema, line.window_length, champion.classes, keep_unknown=True)
    if len(samples) == 0:
        return np.empty(0)
    metric = "accuracy" if line.config.metric in CLASS_METRICS else line.config.metric
    return row_losses(metric, champion.model.predict_samples(samples), samples.targets_B.numpy())


def _with_released(line: Line, regimes: Regimes | None, number: int) -> Regimes | None:
    """The regimes with what a person has released since: their readings are how the line runs now."""
    if regimes is None:
        return None
    released = [n for n in line.ledger.outcomes(line.name, RELEASE) if n < number and n not in regimes.released]
    for earlier in released:
        rows = line.store.read(batches=range(earlier, earlier + 1))
        regimes = regimes.absorb(earlier, sketch_batch(_readings(line, rows, earlier)), None)
        regimes = replace(regimes, released=np.append(regimes.released, earlier))
    return regimes


def _file(line: Line, number: int) -> Path:
    return line.folder / "regimes" / f"{number}.npz"


def _numbers(line: Line) -> list[int]:
    return sorted(int(path.stem) for path in (line.folder / "regimes").glob("*.npz"))


def _latest_regimes(line: Line, number: int) -> Regimes | None:
    """What was kept after the latest batch before this one: a run that died finds it again."""
    earlier = [n for n in _numbers(line) if n < number]
    return Regimes.load(_file(line, earlier[-1]).read_bytes()) if earlier else None


def _forget(line: Line, number: int) -> None:
    """Keep this file and the one before."""
    for old in _numbers(line)[:-2]:
        if old < number:
            _file(line, old).unlink()
