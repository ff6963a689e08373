"""Routes: what trackers have logged of trainings and lines, as the live page shows it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from monitoring.metric_uploads import experiments_of
from service.core import CoreOf
from service.ingestion.deliveries import READERS
from service.problems import Problem, documented
from service.security.access import needs

router = APIRouter(
    prefix="/api/v1/experiments", tags=["watching"], dependencies=[needs(*READERS)], responses=documented()
)


class Experiments(BaseModel):
    """By name; logged with this service's LEHR_HOME."""

    experiments: list[str] = Field(examples=[["lstm_training_v1"]])


class LatestValue(BaseModel):
    """A metric of the latest run."""

    name: str = Field(examples=["recall"])
    value: str = Field(examples=["0.94"])
    detail: str = Field(description="how it compares with the other runs")


class Curve(BaseModel):
    """A metric over steps, a line a run, as a figure for plotly: data and layout."""

    name: str = Field(examples=["recall"])
    figure: dict[str, Any]


class RaisedOrCleared(BaseModel):
    """An alert of the latest run."""

    at: str = Field(examples=["2026-01-05 06:00:00"], description="UTC")
    state: str = Field(examples=["raised"])
    text: str = Field(examples=["recall is 0.7; limit below 0.8"])


class LoggedRun(BaseModel):
    """One run."""

    name: str = Field(examples=["2026-01-05 06:00:00"])
    status: str = Field(examples=["finished"])
    started: str = Field(examples=["2026-01-05 06:00"], description="UTC")
    values: list[tuple[str, str]] = Field(description="by metric, in the order of the columns")


class Dashboard(BaseModel):
    """The runs of an experiment, the latest first."""

    experiment: str = Field(examples=["lstm_training_v1"])
    lede: str
    latest: list[LatestValue]
    curves: list[Curve]
    confusion: dict[str, Any] | None = Field(description="of defects, as a figure; null: none was logged")
    cost: str | None = Field(examples=["0.5"], description="of mistakes, an item")
    alerts: list[RaisedOrCleared]
    columns: list[str]
    runs: list[LoggedRun]


@router.get("")
def experiments(core: CoreOf) -> Experiments:
    """The experiments that `MLMetricsTracker` has logged."""
    return Experiments(experiments=experiments_of(core.settings.home))


@router.get("/metrics", responses=documented(404, 422))
def dashboard(core: CoreOf, experiment: Annotated[str, Query(max_length=250)]) -> Dashboard:
    """An experiment's metrics over steps, its alerts, what mistakes cost, and its runs."""
    known = experiments_of(core.settings.home)
    if experiment not in known:
        raise Problem(404, f"there is no experiment {experiment[:100]!r}; there are {', '.join(known) or 'none'}")
    from monitoring.metrics import MetricsHistory  # MLflow takes seconds, which only who looks at metrics pays for

    settings = core.settings
    history = MetricsHistory(experiment, home=settings.home, tracking_uri=settings.tracking_uri, take_over=False)
    view = history.view()
    return Dashboard(
        experiment=experiment,
        lede=view["lede"],
        latest=view["cards"],
        curves=[Curve(name=name, figure=view["plots"][place]) for place, name in view["metrics"]],
        confusion=view["plots"].get("confusion"),
        cost=view["cost"],
        alerts=view["alerts"],
        columns=view["columns"],
        runs=[LoggedRun.model_validate(row) for row in view["rows"]],
    )
