"""What was watched in every cell of a history, and the trigger policies as matrices over it.

Shapes: T batches, V = T versions; cell (v, t): version v serves, batch t has just come.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from monitoring.backtest import Flags, Floats, Numbers, Scores
from monitoring.config import (
    AdwinTrigger,
    DriftTrigger,
    PerformanceTrigger,
    PriceTrigger,
    RowsTrigger,
    ScheduleTrigger,
    TriggerConfig,
)
from monitoring.drift import DriftReport
from monitoring.evidence import DriftEvidence
from monitoring.evidently_rule import DRIFT_SHARE
from monitoring.performance import gain
from monitoring.policies import Decision, Situation, decide
from monitoring.score_drift import Scored


@dataclass(frozen=True)
class Cell:
    """What a version shows on a later batch before anything learns from it; None where it could not be measured.

    evidently_share: of the columns that Evidently's defaults call drifted. scored: for the detectors on scored rows.
    """

    score: float | None
    evidence: DriftEvidence | None
    evidently_share: float | None
    scored: Scored | None
    unknown_classes: tuple[str, ...]


@dataclass(frozen=True)
class Past:
    """A history with all its cells. numbers_T: of the batches in the pipeline; times_T: of their last rows.

    then_V: each version's score on the held-out rows of its newest batch.
    """

    scores: Scores
    numbers_T: Numbers
    rows_T: Numbers
    times_T: tuple[datetime | None, ...]
    then_V: tuple[float | None, ...]
    cells: Mapping[tuple[int, int], Cell]

    def matrix(self, ask: Callable[[int, int], bool]) -> Flags:
        """The answer in every cell, False where there is none: (V, T)."""
        batches = len(self.rows_T)
        answers_VT = np.zeros((batches, batches), np.bool_)
        for v, t in self.cells:
            answers_VT[v, t] = ask(v, t)
        return answers_VT

    def part(self, places: range) -> "Past":
        """The past as if these batches were all there was; its first version is the first one learned in them."""
        start, stop = places.start, places.stop
        cut, scores = slice(start, stop), self.scores
        cells = {(v - start, t - start): c for (v, t), c in self.cells.items() if v in places and t in places}
        return Past(
            replace(
                scores,
                scores_VT=scores.scores_VT[cut, cut],
                learnable_T=scores.learnable_T[cut],
                samples_T=scores.samples_T[cut],
            ),
            self.numbers_T[cut],
            self.rows_T[cut],
            self.times_T[cut],
            self.then_V[cut],
            cells,
        )

    @property
    def rows_since_VT(self) -> Numbers:
        """Rows that came since the version learned, the batch included."""
        through_T = self.rows_T.cumsum()
        return through_T[None, :] - through_T[:, None]

    @property
    def waited_VT(self) -> Numbers:
        """Batches since the version learned, the batch included."""
        return self.numbers_T[None, :] - self.numbers_T[:, None]

    @property
    def drop_VT(self) -> Floats:
        """How far the score on the batch lies below that on held-out rows at the start; −∞ where one is missing."""
        drops_VT = np.full((len(self.rows_T),) * 2, -np.inf)
        for (v, t), cell in self.cells.items():
            then = self.then_V[v]
            if cell.score is not None and then is not None:
                drops_VT[v, t] = -gain(self.scores.metric, cell.score, then)
        return drops_VT

    @property
    def lost_VT(self) -> Floats:
        """The points that the version has lost by then against its score at the start, as triggers count them."""
        return 100 * np.maximum(0, self.drop_VT).cumsum(1)

    def situation(self, v: int, t: int) -> Situation:
        """What the loop's policies may know in a cell."""
        cell = self.cells[v, t]
        now, learned_at = self.times_T[t], self.times_T[v]
        return Situation(
            champion=v,
            drift=None if cell.evidence is None else _drift(cell.evidence),
            metric=self.scores.metric,
            score_then=self.then_V[v],
            score_now=cell.score,
            rows_since=int(self.rows_T[v + 1 : t + 1].sum()),
            batches_since=int(self.numbers_T[t] - self.numbers_T[v]),
            now=_as_utc(now),
            learned_at=_as_utc(learned_at),
            manual=None,
            unknown_classes=cell.unknown_classes,
            scored=tuple(scored for s in range(v + 1, t + 1) if (scored := self.cells[v, s].scored) is not None),
            scores_since=self._scores_since(v, t),
        )

    def _scores_since(self, v: int, t: int) -> tuple[float, ...]:
        scores = self.scores.scores_VT[v, v + 1 : t + 1]
        return tuple(scores[np.isfinite(scores)].tolist())

    def decide(self, trigger: TriggerConfig, v: int, t: int) -> Decision:
        """What the trigger decides in a cell."""
        return decide(trigger, self.situation(v, t))

    def by_trigger(self, trigger: TriggerConfig) -> Flags:
        """Where the trigger decides to learn.

        Raises ValueError for a schedule where the batches have no times.
        """
        kinds = trigger.any or trigger.all or []
        if any(isinstance(t, ScheduleTrigger) for t in kinds) and None in self.times_T:
            raise ValueError("trigger: a schedule can be tested on history only where data.timestamp names a column")
        return self.matrix(lambda v, t: self.decide(trigger, v, t).action != "none")

    def by_evidently(self) -> Flags:
        """Where Evidently's defaults say drift, or a class is new."""
        return self.matrix(lambda v, t: (self.cells[v, t].evidently_share or 0) >= DRIFT_SHARE or self._new_class(v, t))

    def _new_class(self, v: int, t: int) -> bool:
        return bool(self.cells[v, t].unknown_classes)


def _drift(evidence: DriftEvidence) -> DriftReport:
    return DriftReport(evidence.drifted, {}, None, None, "", evidence)


def _as_utc(moment: datetime | None) -> datetime:
    """Schedules are told by these times; a pipeline without times has none."""
    return (moment or datetime(1970, 1, 1)).replace(tzinfo=UTC)


def every(batches: int) -> TriggerConfig:
    """The trigger that learns from every so many batches."""
    return TriggerConfig(any=[RowsTrigger(kind="rows", count=1)], cooldown_batches=batches - 1)


def on_rows(count: int) -> TriggerConfig:
    """The trigger that learns once so many rows have come."""
    return TriggerConfig(any=[RowsTrigger(kind="rows", count=count)])


def on_drift() -> TriggerConfig:
    """The trigger that learns on evidence of drift."""
    return TriggerConfig(any=[DriftTrigger(kind="drift")])


def on_price(points: float) -> TriggerConfig:
    """The trigger that learns once so many points are lost."""
    return TriggerConfig(any=[PriceTrigger(kind="price", points=points)])


def on_adwin() -> TriggerConfig:
    """The trigger that learns once ADWIN finds the version's losses risen."""
    return TriggerConfig(any=[AdwinTrigger(kind="score_drift", detector="adwin")])


def on_drop(drop: float) -> TriggerConfig:
    """The trigger that learns once the score has fallen so far."""
    return TriggerConfig(any=[PerformanceTrigger(kind="performance", drop=drop)])
