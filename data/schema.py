"""The declared columns of a pipeline: what every batch must bring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import polars as pl

from data.config import DataConfig, Task


@dataclass(frozen=True)
class Schema:
    """Columns of one pipeline by role.

    In a frame read against it, features are Float32 (missing values null), the target is Float32 for regression
    and String for classification, the group and the key are String and the timestamp is Datetime, also within the key.
    key: by which labels that come later find their rows; empty where they cannot.
    """

    features: tuple[str, ...]
    target: str
    timestamp: str | None
    group: str | None
    task: Task
    missing: tuple[float | str, ...]
    key: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of a batch, features first; with a key a file may come without the target."""
        roles = (self.target, self.timestamp, self.group, *self.key)
        return tuple(dict.fromkeys([*self.features, *(c for c in roles if c is not None)]))

    @property
    def label_type(self) -> pl.DataType:
        """The type of the target's column."""
        return pl.Float32() if self.task == "regression" else pl.String()

    def of_labels(self) -> "Schema":
        """The columns of a file of labels that come later: the key and the target."""
        timestamp, group = (c if c in self.key else None for c in (self.timestamp, self.group))
        return replace(self, features=(), timestamp=timestamp, group=group)

    def of_receipts(self, receipt: str) -> "Schema":
        """The columns of a file of labels for predictions: the receipt's and the target."""
        return replace(self, features=(), timestamp=None, group=None, key=(receipt,))

    def of_inputs(self, given: Sequence[str]) -> "Schema":
        """What a prediction reads of a file with these columns: the features, and time and group where they are given.

        There is no target to read, so a feature stands in its place.
        """
        timestamp, group = (c if c in given else None for c in (self.timestamp, self.group))
        return replace(self, task="regression", target=self.features[0], timestamp=timestamp, group=group, key=())


def resolve_schema(config: DataConfig, task: Task, columns: Sequence[str]) -> Schema:
    """Apply the feature patterns to the columns of a file.

    Raises ValueError, with the key's path and what is allowed, for a column that is not there and a pattern
    that matches nothing.
    """
    roles = {"target": config.target, "timestamp": config.timestamp, "group": config.group}
    for role, column in roles.items():
        if column is not None and column not in columns:
            raise ValueError(f"data.{role}: there is no column {column!r}; the columns are {', '.join(columns)}")
    for i, column in enumerate(config.key or []):
        if column not in columns:
            raise ValueError(f"data.key[{i}]: there is no column {column!r}; the columns are {', '.join(columns)}")
    taken = {*roles.values(), *config.key_columns}
    included = _matching(config.features.include, columns, "data.features.include")
    excluded = _matching(config.features.exclude, columns, "data.features.exclude")
    features = tuple(c for c in columns if c in included and c not in excluded and c not in taken)
    if not features:
        raise ValueError(f"data.features: no column is left; the columns are {', '.join(columns)}")
    missing, key = tuple(config.missing), config.key_columns
    return Schema(features, config.target, config.timestamp, config.group, task, missing, key)


def _matching(patterns: Sequence[str], columns: Sequence[str], key: str) -> set[str]:
    matched: set[str] = set()
    for i, pattern in enumerate(patterns):
        hits = {c for c in columns if c == pattern or fnmatchcase(c, pattern)}
        if not hits:
            raise ValueError(f"{key}[{i}]: {pattern!r} matches no column; the columns are {', '.join(columns)}")
        matched |= hits
    return matched
