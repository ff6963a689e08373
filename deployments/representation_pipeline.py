"""`RepresentationPipeline`: a pipeline file whose task is to represent signals."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from data.config import Config, ValidationConfig
from data.signal_config import SignalDataConfig
from deployments.gate_config import AnyGate
from deployments.pipeline import DEFAULT_TRIGGER, ScheduleConfig
from learning.representation_config import RepresentationConfig
from learning.search.config import TuningConfig
from models.config import HierarchicalConfig
from monitoring.config import AdwinTrigger, ClusterDriftConfig, DdmTrigger, PageHinkleyTrigger, TriggerConfig
from monitoring.performance import SignalMetric

REPRESENTATION = "representation"


class RepresentationGate(AnyGate):
    """What a candidate must pass. Losses are in points of the metric; of keypoints' errors a share of the champion's.

    The metric decides; on every other metric of the held-out signals a candidate must not clearly lose.
    """

    metric: SignalMetric = Field(default="element_recall_at_1")
    thresholds: dict[SignalMetric, float] = Field(
        default={}, description="the worst score on held-out signals that may go live, by metric"
    )
    within: float = Field(default=5.0, gt=0, description="samples by which a keypoint may be off for keypoint_within")
    judges: list[str] | None = Field(
        default=None, min_length=1, description="annotators whose keypoints judge; null: all of them"
    )
    baseline: Literal["chance", "none"] = Field(
        default="chance",
        description="what must be beaten: a neighbour drawn at random, a keypoint always at its median",
    )
    resample: Literal["session", "element"] = Field(
        default="session",
        description="what is drawn again whole for the confidence of a comparison, as it errs together",
    )
    max_latency_ms: float = Field(default=50.0, gt=0, description="median for one signal through the exported file")


class RepresentationPipeline(Config):
    """All of a pipeline that represents signals, as `PipelineConfig` has it for rows."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    task: Literal["representation"]
    data: SignalDataConfig = SignalDataConfig()
    validation: ValidationConfig = ValidationConfig()
    model: HierarchicalConfig = HierarchicalConfig()
    training: RepresentationConfig = RepresentationConfig()
    drift: ClusterDriftConfig = ClusterDriftConfig()
    trigger: TriggerConfig = DEFAULT_TRIGGER
    tuning: TuningConfig = TuningConfig()
    gate: RepresentationGate = RepresentationGate()
    schedule: ScheduleConfig = ScheduleConfig()

    @property
    def metric(self) -> SignalMetric:
        """The metric that decides."""
        return self.gate.metric

    @model_validator(mode="before")
    @classmethod
    def _decoding_that_keeps_the_order(cls, document: Any) -> Any:
        """Of keypoints that follow one another, unless the file says otherwise."""
        match document:
            case {"data": {"ordered": True}, "model": {"decoding": _}}:
                return document
            case {"data": {"ordered": True}, "model": {**model}}:
                return {**document, "model": {**model, "decoding": "ordered"}}
            case {"data": {"ordered": True}} if "model" not in document:
                return {**document, "model": {"decoding": "ordered"}}
            case _:
                return document

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.model.decoding == "ordered" and not self.data.ordered:
            raise ValueError("model.decoding: ordered needs data.ordered: true; say so, or take median")
        if not self.data.keypoints:
            for key, metric in [("metric", self.gate.metric), *(("thresholds", m) for m in self.gate.thresholds)]:
                if metric.startswith("keypoint"):
                    raise ValueError(f"gate.{key}: {metric} needs keypoints; name their columns in data.keypoints")
        if self.gate.judges is not None and self.data.annotator is None:
            raise ValueError("gate.judges: nobody is named as annotator; name its column in data.annotator")
        joined = "any" if self.trigger.any else "all"
        for i, trigger in enumerate(self.trigger.any or self.trigger.all or []):
            if isinstance(trigger, AdwinTrigger | PageHinkleyTrigger | DdmTrigger):
                raise ValueError(
                    f"trigger.{joined}[{i}].kind: score_drift does not fit representation; "
                    "allowed are drift, performance, price, rows, schedule, manual"
                )
        return self
