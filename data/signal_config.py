"""What a pipeline file says about signals, and what the first file says about the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.config import Config, Name


class SamplesConfig(Config):
    """How long a signal may be, in samples."""

    min: int = Field(default=8, ge=1)
    max: int = Field(default=100_000, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> "SamplesConfig":
        if self.min > self.max:
            raise ValueError(f"min: {self.min} is more than max, {self.max}")
        return self


class SignalHoldout(Config):
    """Whole sessions or elements that no training sees and that judge candidates for ever after."""

    by: Literal["session", "element"] = Field(
        default="session", description="element: what judges are elements that no version has ever seen"
    )
    share: float = Field(default=0.3, gt=0, lt=0.9, description="share of all sessions or elements, drawn by their ids")


class SignalDataConfig(Config):
    """Columns of a Parquet file or arrays of an npz file: signals, what they belong to, and their keypoints."""

    signals: list[Name] = Field(
        default=["signals"],
        min_length=1,
        description="a column of lists each channel, or one whose entries are channels × samples",
    )
    element: Name = Field(default="element_ids", description="what was measured: a machine, a line, a person")
    session: Name = Field(default="session_ids", description="a stretch of measuring one element without a change")
    keypoints: list[Name] = Field(default=[], description="positions of key events in samples; empty: not annotated")
    ordered: bool = Field(default=False, description="the keypoints of a signal follow one another as they are listed")
    annotator: Name | None = Field(default=None, description="a column: who annotated the keypoints")
    weights: dict[Name, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="how much the keypoints of an annotator count in training; others count 1"
    )
    samples: SamplesConfig = SamplesConfig()
    holdout: SignalHoldout = SignalHoldout()

    @model_validator(mode="after")
    def _each_column_has_one_role(self) -> "SignalDataConfig":
        roles = [
            *(("signals", c) for c in self.signals),
            ("element", self.element),
            ("session", self.session),
            *(("keypoints", c) for c in self.keypoints),
            *([("annotator", self.annotator)] if self.annotator is not None else []),
        ]
        taken: dict[str, str] = {}
        for role, column in roles:
            if column in taken:
                raise ValueError(f"{role}: {column!r} is already named by {taken[column]}; a column has one role")
            taken[column] = role
        if self.weights and self.annotator is None:
            raise ValueError("weights: nobody is named as annotator; name its column, or leave the weights out")
        return self

    def schema_for(self, channels: int) -> "SignalSchema":
        """The columns of the frames that files with so many channels become."""
        names = self.signals if len(self.signals) == channels else [f"{self.signals[0]}_{i}" for i in range(channels)]
        return SignalSchema(tuple(names), self.element, self.session, tuple(self.keypoints), self.annotator)


@dataclass(frozen=True)
class SignalSchema:
    """The columns of a frame of signals, one row a signal.

    channels: List(Float32). element, session, annotator: String. keypoints: Float32, null where not annotated.
    """

    channels: tuple[str, ...]
    element: str
    session: str
    keypoints: tuple[str, ...]
    annotator: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order."""
        annotator: Sequence[str] = () if self.annotator is None else (self.annotator,)
        return (*self.channels, self.element, self.session, *self.keypoints, *annotator)
