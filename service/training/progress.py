"""What a training's events say, in the words of the epoch-training interface."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from fastapi.sse import format_sse_event
from pydantic import BaseModel, Field

from data.training_runs import NEXT_STATES, TrainingEvent, TrainingRun

State = Literal["pending", "running", "paused", "completed", "cancelled", "failed"]
SOON = 3
"""A best epoch this early is worth a word: either the training stopped too soon, or it had nothing to learn."""


class EpochRecord(BaseModel):
    """One epoch; losses in the network's units, accuracies null for values, validation null where none was."""

    epoch: int = Field(examples=[12])
    train_loss: float = Field(examples=[0.41])
    train_accuracy: float | None = Field(examples=[0.86])
    val_loss: float | None = Field(examples=[0.47])
    val_accuracy: float | None = Field(examples=[0.83])
    learning_rate: float = Field(examples=[0.001])
    time_per_epoch: float = Field(examples=[0.21], description="seconds")


class BestMetrics(BaseModel):
    """The epoch with the lowest validation loss, whose weights are kept; null where nothing is validated."""

    epoch: int | None = Field(default=None, examples=[10])
    loss: float | None = Field(default=None, examples=[0.46])
    accuracy: float | None = Field(default=None, examples=[0.84])


class Progress(BaseModel):
    """How far a training is."""

    current_epoch: int = Field(examples=[12])
    total_epochs: int = Field(examples=[100])
    training_state: State = Field(examples=["running"])
    latest_metrics: EpochRecord | None
    best_metrics: BestMetrics
    reason: str | None = Field(default=None, examples=["stopped early"], description="of the state, where there is one")
    scores: dict[str, float] | None = Field(default=None, description="of the model on rows no training has seen")
    advice: list[str] = []


def progress_of(run: TrainingRun, events: Sequence[TrainingEvent]) -> Progress:
    """How far a run with these events is."""
    epochs = [event.payload for event in events if event.kind == "epoch"]
    scores = [event.payload["scores"] for event in events if event.kind == "scores"]
    latest = epochs[-1] if epochs else None
    return Progress(
        current_epoch=latest["metrics"]["epoch"] if latest else 0,
        total_epochs=run.config["request"]["epochs"],
        training_state=run.state,  # pyright: ignore[reportArgumentType]  # the ledger knows these states alone
        latest_metrics=EpochRecord(**latest["metrics"]) if latest else None,
        best_metrics=_best(latest),
        reason=run.reason,
        scores=scores[-1] if scores else None,
        advice=_advice(run, events, latest),
    )


def history_of(events: Sequence[TrainingEvent]) -> list[EpochRecord]:
    """Every epoch, in order."""
    return [EpochRecord(**event.payload["metrics"]) for event in events if event.kind == "epoch"]


def wire_of(event: TrainingEvent) -> bytes:
    """An event as it goes to those who stream; its number is its id."""
    return format_sse_event(data_str=json.dumps(_message(event)), id=str(event.sequence))


def is_last(event: TrainingEvent) -> bool:
    """Whether nothing comes after it."""
    return event.kind == "state" and not NEXT_STATES[event.payload["state"]]


def _message(event: TrainingEvent) -> dict[str, Any]:
    payload = event.payload
    match event.kind:
        case "epoch":
            progress = {
                "current_epoch": payload["metrics"]["epoch"],
                "total_epochs": payload["total_epochs"],
                "training_state": "running",
                "latest_metrics": payload["metrics"],
                "best_metrics": _best(payload).model_dump(),
            }
            return {"type": "progress", "progress": progress}
        case "warning":
            return {"type": "warning", "message": payload["note"]}
        case "state":
            return _state_message(payload["state"], payload["reason"])
        case kind:
            return {"type": kind, **payload}


def _state_message(state: str, reason: str | None) -> dict[str, Any]:
    said = {"training_state": state, "message": reason}
    if state == "completed":
        return {"type": "complete", **said}
    return {"type": "error" if state in ("failed", "cancelled") else "state", **said}


def _best(latest: dict[str, Any] | None) -> BestMetrics:
    return BestMetrics() if latest is None or latest["best"] is None else BestMetrics(**latest["best"])


def _advice(run: TrainingRun, events: Sequence[TrainingEvent], latest: dict[str, Any] | None) -> list[str]:
    notes = [event.payload["note"] for event in events if event.kind == "warning"]
    best = _best(latest).epoch
    if run.reason == "stopped early" and best is not None and best <= SOON:
        notes.append(
            f"it stopped early and was best after epoch {best}: a lower learning_rate, a larger "
            f"early_stopping_patience or a smaller min_delta may find more"
        )
    return list(dict.fromkeys(notes))
