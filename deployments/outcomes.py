"""What each step of the loop says it did: the values that the ledger's journal keeps."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from data.seals import Seal
from deployments.ladder import Rung
from deployments.verdict import Verdict
from monitoring.drift import DriftReport
from monitoring.estimation import Estimate
from monitoring.score_drift import Scored
from monitoring.wager import ENOUGH, Wager


@dataclass(frozen=True)
class Batch:
    """A batch by its number in the pipeline, the SHA-256 of its content and the name it came under."""

    number: int
    id: str
    name: str


@dataclass(frozen=True)
class Validated:
    """What validation let through; a refusal is the reason why the whole batch was quarantined.

    sensors: columns that break an expectation about a sensor.
    """

    rows: int
    rows_quarantined: int
    refusal: str | None
    warnings: tuple[str, ...]
    sensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelsTaken:
    """What became of labels that came later than their rows.

    rows: labels that found their row, which lie in `batches`. rows_quarantined: what is no label, or not one of a row
    that can be told; a refusal is the reason why the whole file is not. known: told before. waiting: for their rows.
    seal: None where there was nothing to keep.
    """

    rows: int
    rows_quarantined: int
    refusal: str | None
    warnings: tuple[str, ...] = ()
    known: int = 0
    waiting: int = 0
    batches: tuple[int, ...] = ()
    seal: Seal | None = None


@dataclass(frozen=True)
class Stored:
    """The Delta version that holds the batch, how many of its rows are learned from and held out, and their hashes.

    seal: None where the batch was stored before there were seals. rows_labelled: that came with their label, or found
    it waiting. labels_contradicted: labels that waited for the batch and say something else than its own.
    """

    delta_version: int
    rows_train: int
    rows_holdout: int
    seal: Seal | None = None
    rows_labelled: int = 0
    labels_contradicted: int = 0


@dataclass(frozen=True)
class Rivalry:
    """The champion beside another version on the batches that came since, each scored before it was learned from.

    role: `predecessor` was in production before and may take its place again; `shadow` is the newest version that is
    still to prove itself. wager: whether the rival is the better one. scores: the mean of the metric over the batches.
    over: nothing is compared any more, since the deadline passed; ended: the reason, on the batch where it did.
    given_up: the newest version that the shadow's deadline took out of the lineage.
    """

    champion: int
    rival: int
    role: Literal["predecessor", "shadow"]
    wager: Wager
    metric: str = "score"
    score_champion: float = 0.0
    score_rival: float = 0.0
    over: bool = False
    ended: str | None = None
    given_up: int = 0

    @property
    def text(self) -> str:
        """The evidence in a sentence."""
        scores = f"{self.metric} {self.score_rival:.4g} to {self.score_champion:.4g} on {len(self.wager.gains)} batches"
        won = f"a stake of 1 on it has become {self.wager.wealth:.3g}, {ENOUGH:g} is proof"
        return f"version {self.rival} against {self.champion}: {scores}; {won}"


@dataclass(frozen=True)
class Revoked:
    """A champion that was taken back because its predecessor proved to be better."""

    version: int
    champion: int
    reason: str


@dataclass(frozen=True)
class Completed:
    """How the version that served a batch did on the rows whose labels came late, and what had been estimated."""

    batch: int
    champion: int
    rows: int
    score: float
    estimated: float | None


@dataclass(frozen=True)
class Watched:
    """How the champion did on the batch before anything learned from it; None where there is no champion yet.

    detector: the evidence of drift so far, for the next batch. scored: what detectors on the scores need of it.
    score_no_change: the pipeline's metric for predicting that each row's target is the one before it.
    estimate: the score to be expected without the labels. told: expected and realised scores of the latest batches.
    For labels that came late score_before is of the versions that served their rows, `completed` says which, and
    score_now of the champion.
    """

    champion: int | None
    score_before: dict[str, float] | None
    score_no_change: float | None
    drift: DriftReport | None
    unknown_classes: tuple[str, ...]
    drift_page: str | None
    rivalry: Rivalry | None = None
    detector: dict[str, Any] | None = None
    scored: Scored | None = None
    estimate: Estimate | None = None
    told: tuple[tuple[float, float], ...] = ()
    score_now: dict[str, float] | None = None
    completed: tuple[Completed, ...] = ()


WATCHED = TypeAdapter(Watched)  # made once, as that takes longer than reading a hundred outcomes


@dataclass(frozen=True)
class Learned:
    """What making a candidate cost, and what its user should know about it."""

    samples: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """A candidate's version, and how far its exported file is from the network in torch."""

    version: int
    parity_error: float


@dataclass(frozen=True)
class OnEstimate:
    """Batches that are newer than every held-out row with a label, and the score that is expected on them.

    rows: their held-out rows. score: None where too few rows are held out to estimate one.
    """

    batches: tuple[int, ...]
    rows: int
    score: float | None

    @property
    def text(self) -> str:
        """What a promotion rests on, in brackets after its reason."""
        numbers = ", ".join(map(str, self.batches))
        return f"on an estimate: batch{'es' if len(self.batches) > 1 else ''} {numbers} without labels yet"


@dataclass(frozen=True)
class Confirmed:
    """What the gate says of a promotion on an estimate, by its sequence, once the labels have come."""

    version: int
    sequence: int
    passed: bool
    reason: str


@dataclass(frozen=True)
class Judged:
    """The gate's verdict on a candidate, its score on the new hold-out, and whether the champion itself still holds.

    champion: the version that it was compared with, and the only one that it may replace. on_estimate: what the
    verdict could only estimate; None where the newest batches have labels.
    """

    verdict: Verdict
    score: float | None
    champion_holds: bool
    champion: int | None
    on_estimate: OnEstimate | None = None


@dataclass(frozen=True)
class Passed:
    """A candidate that the gate let through, and the rung that it comes from."""

    rung: Rung
    exported: Exported
    judged: Judged


@dataclass(frozen=True)
class Approved:
    """A person's answer to a candidate that passed the gate; a time-out is a refusal."""

    approve: bool
    reason: str


@dataclass(frozen=True)
class Promoted:
    """A version that went into production, as which promotion of its pipeline, and the MLflow run that logged it."""

    version: int
    sequence: int
    run: str | None = None


@dataclass(frozen=True)
class Compared:
    """Scores on the batch of what else one could have done before it came."""

    score_static: float | None
    score_retrained: float | None
    score_sliding: float | None


@dataclass(frozen=True)
class Retrained:
    """What the cumulative retrain after a batch cost."""

    samples: int
    seconds: float
