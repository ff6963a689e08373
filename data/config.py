"""What a pipeline file says about its data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Task = Literal["classification", "regression"]

Name = Annotated[str, Field(min_length=1)]


class Config(BaseModel):
    """A part of a pipeline file: frozen, and every unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FeaturesConfig(Config):
    """Which columns the network reads, as names or shell-style patterns."""

    include: list[Name] = Field(default=["*"], min_length=1, description="names or patterns such as 's*'")
    exclude: list[Name] = Field(default=[], description="names or patterns taken out again")


class WindowConfig(Config):
    """How many consecutive rows one sample holds."""

    length: int = Field(default=1, ge=1, description="1: rows; more: a window that ends at each labelled row")


class HoldoutConfig(Config):
    """Rows of each batch that no training sees and that judge candidates for ever after."""

    share: float = Field(default=0.2, gt=0, lt=0.9, description="share of a batch's rows")
    max_rows: int = Field(default=200, ge=10, description="at most so many rows of one batch")


class DataConfig(Config):
    """Columns, order, windows and hold-outs of a pipeline's data."""

    features: FeaturesConfig = FeaturesConfig()
    target: Name
    timestamp: Name | None = Field(default=None, description="a column; null: order of arrival is time")
    group: Name | None = Field(default=None, description="line, unit or session: windows never cross it")
    key: list[Name] | None = Field(
        default=None,
        min_length=1,
        description="columns by which labels that come later find their rows; null: timestamp and group",
    )
    missing: list[Annotated[float, Field(allow_inf_nan=True)] | str] = Field(
        default=[], description="values that mean 'no reading', such as -200 or 'n/a'"
    )
    window: WindowConfig = WindowConfig()
    horizon: int = Field(
        default=0, ge=0, description="rows by which the label lies ahead of its window; widens the purge"
    )
    order: Literal["time", "none"] = Field(
        default="time", description="none: rows of one batch have no order in time, so its hold-out is drawn at random"
    )
    holdout: HoldoutConfig = HoldoutConfig()

    @field_validator("key", mode="before")
    @classmethod
    def _one_column_is_a_list_of_one(cls, key: object) -> object:
        return [key] if isinstance(key, str) else key

    @model_validator(mode="after")
    def _roles_are_no_features(self) -> "DataConfig":
        roles = [("target", self.target), ("timestamp", self.timestamp), ("group", self.group)]
        for role, column in [*roles, *(("key", column) for column in self.key or [])]:
            if column is not None and column in self.features.include:
                raise ValueError(f"data.features.include: {column!r} is the {role}; take it out of the features")
        if self.target in (self.key or []):
            raise ValueError(f"data.key: {self.target!r} is the target; name the columns that identify a row")
        return self

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the key; none where labels cannot come later."""
        if self.key is not None:
            return tuple(dict.fromkeys(self.key))
        return () if self.timestamp is None else tuple(c for c in (self.timestamp, self.group) if c is not None)


class ValidationConfig(Config):
    """The Great Expectations suite, and how much of a batch may be refused before all of it is."""

    suite: Name = Field(
        default="auto", description="a suite's JSON file, or auto: inferred from the first batch and saved"
    )
    max_quarantined_share: float = Field(default=0.2, ge=0, le=1, description="above it the batch is quarantined whole")
