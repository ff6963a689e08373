"""When a pipeline acts: drift statistics and trigger policies."""

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Action = Literal["none", "bootstrap", "patch", "update", "retrain"]
LearningAction = Literal["patch", "update", "retrain"]
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
    """So many rows have come since the line last learned."""

    kind: Literal["rows"]
    count: int = Field(ge=1)


class ScheduleTrigger(_Trigger):
    """A time of the cron expression has passed since the last decision to learn."""

    kind: Literal["schedule"]
    cron: str

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, cron: str) -> str:
        try:
            CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"{cron!r} is no cron expression such as '0 3 * * *' ({error})") from None
        return cron


class ManualTrigger(_Trigger):
    """A person asked for it (`lehr run --action update`)."""

    kind: Literal["manual"]


Trigger = Annotated[
    DriftTrigger | PerformanceTrigger | RowsTrigger | ScheduleTrigger | ManualTrigger, Field(discriminator="kind")
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
