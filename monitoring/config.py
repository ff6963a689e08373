"""When a pipeline acts: drift statistics and trigger policies."""

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Action = Literal["none", "bootstrap", "patch", "update", "retrain"]
LearningAction = Literal["patch", "update", "retrain"]
TriggerKind = Literal["drift", "performance", "score_drift", "price", "rows", "schedule", "manual"]
Statistic = Literal["wasserstein", "kolmogorov_smirnov", "jensen_shannon", "psi"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


class _MonitoringConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DriftConfig(_MonitoringConfig):
    """What the report measures each feature by, and the budget of false alarms of the evidence that decides."""

    statistic: Statistic = Field(default="wasserstein", description="of each batch alone, for people")
    false_alarms_per_year: float = Field(default=0.05, gt=0, le=365, description="over all features, at a batch a day")
    periods: list[Annotated[float, Field(gt=1)]] = Field(
        default=[], description="of the season, in rows, such as [24, 168]; for batches that follow without gaps"
    )
    report: Literal["on_drift", "always", "never"] = Field(default="on_drift", description="Evidently's page")


class ClusterDriftConfig(_MonitoringConfig):
    """The budget of false alarms of the evidence that elements' clusters have moved."""

    false_alarms_per_year: float = Field(default=0.05, gt=0, le=365, description="over all elements, at a batch a day")


class _Trigger(_MonitoringConfig):
    action: LearningAction = "update"


class DriftTrigger(_Trigger):
    """A batch's features, target or predictions differ from the champion's reference."""

    kind: Literal["drift"]


class PerformanceTrigger(_Trigger):
    """The champion's score on the new batch is worse than when it was promoted."""

    kind: Literal["performance"]
    drop: float = Field(default=0.05, gt=0, description="in points of the metric; for rmse and mae as a share")


class RowsTrigger(_Trigger):
    """So many labelled rows have come since the line last learned."""

    kind: Literal["rows"]
    count: int = Field(ge=1)


class ScheduleTrigger(_Trigger):
    """A time of the cron expression has passed since the last decision to learn."""

    kind: Literal["schedule"]
    cron: str

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, cron: str) -> str:
        return check_cron(cron)


def check_cron(text: str) -> str:
    """The same text; raises ValueError where it is no cron expression."""
    try:
        CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression such as '0 3 * * *' ({error})") from None
    return text


class PriceTrigger(_Trigger):
    """The points of score lost since the line last learned are worth a training, or a training is due.

    Lost is what the champion's scores fall short of that when it was promoted, added up over batches. Where nothing
    can be seen to be lost it is due after 2·√points batches: as a version that ages by half a point a batch would want.
    """

    kind: Literal["price"]
    points: float = Field(
        default=1.0, ge=0, description="of score on one batch that a training is worth; hundredths of rmse and mae"
    )


class ManualTrigger(_Trigger):
    """A person asked for it (`lehr run --action update`)."""

    kind: Literal["manual"]


class _ScoreDriftTrigger(_Trigger):
    """The champion's losses have risen since its promotion, by a detector of river."""

    kind: Literal["score_drift"]


class AdwinTrigger(_ScoreDriftTrigger):
    """Adaptive windowing (Bifet and Gavaldà 2007) on losses."""

    detector: Literal["adwin"]
    delta: float = Field(default=0.002, gt=0, lt=1, description="the probability of a false alarm at each test")
    clock: int = Field(default=32, ge=1, description="losses from one test to the next")
    grace_period: int = Field(default=10, ge=1, description="losses before the first test")


class PageHinkleyTrigger(_ScoreDriftTrigger):
    """Page's and Hinkley's test (1954) on losses."""

    detector: Literal["page_hinkley"]
    min_instances: int = Field(default=30, ge=1, description="losses before the first test")
    delta: float = Field(default=0.005, ge=0, description="a rise that is allowed")
    threshold: float = Field(default=50.0, gt=0, description="the sum of rises beyond it that is drift")
    alpha: float = Field(default=0.9999, gt=0, le=1, description="how much of the sum stays from loss to loss")


class DdmTrigger(_ScoreDriftTrigger):
    """The drift detection method (Gama et al. 2004) on errors; for classification.

    Of 60 streams of 3,000 rows without a change 29 alarm by river's defaults (30 rows, 3 deviations), by these none.
    """

    detector: Literal["ddm"]
    warm_start: int = Field(default=300, ge=1, description="rows before the first test")
    drift_threshold: float = Field(default=4.0, gt=0, description="in deviations")


ScoreDriftTrigger = AdwinTrigger | PageHinkleyTrigger | DdmTrigger

Trigger = Annotated[
    DriftTrigger
    | PerformanceTrigger
    | RowsTrigger
    | PriceTrigger
    | ScheduleTrigger
    | ManualTrigger
    | Annotated[ScoreDriftTrigger, Field(discriminator="detector")],
    Field(discriminator="kind"),
]


class TriggerConfig(_MonitoringConfig):
    """Triggers joined by any or by all, and how long to wait between two decisions to learn."""

    any: list[Trigger] | None = Field(default=None, min_length=1)
    all: list[Trigger] | None = Field(default=None, min_length=1)
    cooldown_batches: int = Field(
        default=0, ge=0, description="batches after a decision to learn in which none follows"
    )

    @model_validator(mode="after")
    def _one_of(self) -> "TriggerConfig":
        if (self.any is None) == (self.all is None):
            raise ValueError("give either 'any' or 'all', each a list of triggers")
        return self
