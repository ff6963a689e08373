"""What every version of a history would have shown on every later batch. Shapes: B labelled samples of one batch."""

from dataclasses import replace
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from data.files import write_whole
from data.samples import Samples
from deployments.exporting import REFERENCE_ROWS, reference_of
from deployments.history import History
from deployments.past_versions import PastVersion, digest
from deployments.scoring import NetworkModel
from monitoring.detector import DetectorState, check
from monitoring.drift import BATCHES_PER_YEAR
from monitoring.evidence import DriftEvidence
from monitoring.evidently_rule import drifted_share
from monitoring.past import Cell
from monitoring.performance import Predictions, score
from monitoring.reference import TARGET, series_of
from monitoring.score_drift import scored_rows

FORMAT = 2

Shown = tuple[float | None, dict[int, Cell]]
"""A version's score on the held-out rows of its newest batch, and its cell for each later place."""

_SHOWN: TypeAdapter[Shown] = TypeAdapter(Shown)


def cells_of(history: History, version: PastVersion, folder: Path) -> Shown:
    """All that a version shows, from the folder where it was kept there, else measured and kept."""
    later = [(batch.number, batch.id) for batch in history.batches[version.place + 1 :]]
    config = history.config
    key = digest([FORMAT, version.key, later, config.metric, config.drift.model_dump(mode="json")])
    path = folder / f"{key}.json"
    if not path.exists():
        write_whole(path, _SHOWN.dump_json(_measure(history, version)))
    return _SHOWN.validate_json(path.read_bytes())


def _measure(history: History, version: PastVersion) -> Shown:
    model = NetworkModel(version.candidate.served())
    places = range(version.place + 1, len(history))
    cells: dict[int, Cell] = {}
    watcher = _Watcher(history, version, model) if places else None
    for place in places:
        assert watcher is not None
        cells[place] = watcher.look(place)
    return _then(history, version, model), cells


def _then(history: History, version: PastVersion, model: NetworkModel) -> float | None:
    samples = history.held_out_samples(version.place, version.classes)
    if not len(samples):
        return None
    return score(history.config.metric, model.predict_samples(samples), samples.targets_B.numpy())


class _Watcher:
    """A version as champion: each look adds a batch to its evidence of drift."""

    def __init__(self, history: History, version: PastVersion, model: NetworkModel) -> None:
        self._history, self._version, self._model = history, version, model
        self._latest = _latest_rows(history, version.place)
        config, schema = history.config, history.schema
        self._reference = reference_of(config, schema, self._latest, model, version.classes)
        self._state = DetectorState.start(self._reference.calibration)

    def look(self, place: int) -> Cell:
        """What the version shows on the batch at a place; places are looked at in order."""
        history, classes = self._history, self._version.classes
        frame = history.batches[place].rows
        samples = history.scored_samples(range(place, place + 1), classes)
        if not len(samples):
            return Cell(None, None, None, None, ())
        predictions, targets_B = self._model.predict_samples(samples), samples.targets_B.numpy()
        found = set[str]() if classes is None else set(frame[history.schema.target].drop_nulls().unique())
        columns = [*history.schema.features, history.schema.target]
        return Cell(
            score(history.config.metric, predictions, targets_B),
            self._evidence(frame, samples, predictions),
            drifted_share(self._latest, frame, columns),
            scored_rows(history.config.metric, predictions, targets_B),
            tuple(sorted(found - set(classes or ()))),
        )

    def _evidence(self, frame: pl.DataFrame, samples: Samples, predictions: Predictions) -> DriftEvidence:
        """As `check_drift` finds it; what a policy does not read is left out."""
        calibration, labels = self._reference.calibration, self._reference.channels[TARGET].labels
        ends_B = (samples.starts_B + samples.length - 1).numpy()
        series = series_of(frame, self._history.schema, predictions, ends_B, labels)
        limit = BATCHES_PER_YEAR / self._history.config.drift.false_alarms_per_year
        self._state, evidence = check(calibration, self._state, series, limit, contiguous=calibration.ordered)
        return replace(evidence, detectable={}, muted={}, silent=())


def _latest_rows(history: History, through: int) -> pl.DataFrame:
    """The rows that a reference is sketched from."""
    first, rows = through, history.batches[through].rows.height
    while first > 0 and rows < REFERENCE_ROWS:
        first -= 1
        rows += history.batches[first].rows.height
    return history.rows(range(first, through + 1)).tail(REFERENCE_ROWS)
