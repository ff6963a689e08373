"""When a metric deserves a person: rules over its own values, with hysteresis so that none rings twice for one thing.

{kind: threshold, metric: recall, below: 0.8, clear: 0.85}
{kind: change, metric: accuracy, drop: 0.05}
{kind: anomaly, metric: loss, deviations: 5}
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from data.config import Config

MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class Alert:
    """Something that a rule has seen. state: `raised`, or `cleared` once it is over."""

    experiment: str
    run: str
    rule: str
    metric: str
    state: Literal["raised", "cleared"]
    value: float
    text: str
    step: int
    at: datetime


class _Rule(Config):
    metric: str
    hold: int = Field(default=1, ge=1, description="so many values in a row before it is raised")

    @property
    def name(self) -> str:
        """The rule in a word, and its metric."""
        return f"{type(self).__name__.lower()} of {self.metric}"


class Threshold(_Rule):
    """The value lies below or above a limit, and has come back once it passes `clear`."""

    kind: Literal["threshold"]
    below: float | None = None
    above: float | None = None
    clear: float | None = Field(default=None, description="null: the limit itself")

    @model_validator(mode="after")
    def _has_one_side(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("give either below or above")
        side = 1 if self.above is None else -1
        if self.clear is not None and side * (self.clear - self.limit) < 0:
            raise ValueError(f"clear: {self.clear:g} lies on the wrong side of {self.limit:g}")
        return self

    @property
    def limit(self) -> float:
        """The limit of either side."""
        limit = self.above if self.below is None else self.below
        assert limit is not None, "one is given"
        return limit


class Change(_Rule):
    """The value lies this far below or above the median of the ones before; cleared at half of it."""

    kind: Literal["change"]
    drop: float | None = Field(default=None, gt=0)
    rise: float | None = Field(default=None, gt=0)
    window: int = Field(default=20, ge=1, description="values before that are looked at")
    least: int = Field(default=1, ge=1, description="fewer say nothing")

    @model_validator(mode="after")
    def _has_one_side(self) -> Self:
        if (self.drop is None) == (self.rise is None):
            raise ValueError("give either drop or rise")
        return self


class Anomaly(_Rule):
    """The value lies so many deviations from the median of the ones before; cleared at half of it.

    The deviation is 1.4826 times the median distance from the median, which few wild values do not move (Hampel 1974).
    """

    kind: Literal["anomaly"]
    deviations: float = Field(default=5.0, gt=0)
    window: int = Field(default=50, ge=5)
    least: int = Field(default=15, ge=5, description="fewer values say nothing")


Rule = Annotated[Threshold | Change | Anomaly, Field(discriminator="kind")]
_RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])


def parse_rules(rules: Sequence[Rule | Mapping[str, Any]]) -> dict[str, Rule]:
    """Rules from documents, by name; raises ValueError, naming what is wrong, for a mistake."""
    if isinstance(rules, str) or not isinstance(rules, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"rules: a list of them, not {rules!r}")
    documents = [rule.model_dump() if isinstance(rule, _Rule) else rule for rule in rules]
    try:
        found = _RULES.validate_python(documents)
    except ValidationError as error:
        said = [
            f"rules.{'.'.join(map(str, m['loc']))}: {m['msg'].removeprefix('Value error, ')}" for m in error.errors()
        ]
        raise ValueError("; ".join(said)) from None
    names = [rule.name for rule in found]
    numbered = [name if names.count(name) == 1 else f"{name}, {place}" for place, name in enumerate(names, start=1)]
    return dict(zip(numbered, found, strict=True))


@dataclass
class Watch:
    """One rule over the values of one run, in order.

    While it is raised the values before it stay what is compared with; one that lasts as long as the window is the new
    usual, and clears it.
    """

    rule: Rule
    raised: bool = False
    _beyond: int = 0
    _before: deque[float] = field(default_factory=deque[float])
    _since: deque[float] = field(default_factory=deque[float])

    def observe(self, value: float) -> tuple[Literal["raised", "cleared"], str] | None:
        """What the next value changes, and why; None: nothing."""
        beyond, back, text = _judge(self.rule, value, self._before)
        self._beyond = self._beyond + 1 if beyond else 0
        changed = self._change(beyond, back)
        self._remember(value)
        if changed is None and self.raised and self._accepted():
            changed, text = "cleared", f"{self.rule.metric} has stayed near {value:.4g}: that is usual now"
        if changed is not None:
            self.raised = changed == "raised"
        return None if changed is None else (changed, text)

    def _change(self, beyond: bool, back: bool) -> Literal["raised", "cleared"] | None:
        if not self.raised and self._beyond >= self.rule.hold:
            return "raised"
        return "cleared" if self.raised and back and not beyond else None

    def _remember(self, value: float) -> None:
        if isinstance(self.rule, Threshold) or not math.isfinite(value):
            return
        kept = self._since if self.raised or self._beyond else self._before
        kept.append(value)
        while len(kept) > self.rule.window:
            kept.popleft()
        if not self.raised and not self._beyond:
            self._since.clear()

    def _accepted(self) -> bool:
        if isinstance(self.rule, Threshold) or len(self._since) < self.rule.window:
            return False
        self._before, self._since, self._beyond = self._since, deque(), 0
        return True


def _judge(rule: Rule, value: float, before: Sequence[float] | deque[float]) -> tuple[bool, bool, str]:
    """Whether a value is beyond the rule's limit, whether it has come back, and both in words; NaN is beyond any."""
    said = f"{rule.metric} is {value:.4g}"
    if not math.isfinite(value):
        return True, False, f"{said}: no number"
    match rule:
        case Threshold():
            side = 1 if rule.above is None else -1
            cleared = rule.limit if rule.clear is None else rule.clear
            word = "below" if side > 0 else "above"
            return (
                side * (rule.limit - value) > 0,
                side * (value - cleared) >= 0,
                f"{said}; limit {word} {rule.limit:g}",
            )
        case Change():
            if len(before) < rule.least:
                return False, True, said
            usual, most = median(before), rule.drop or rule.rise or 0.0
            moved = usual - value if rule.drop is not None else value - usual
            return moved > most, moved <= most / 2, f"{said}, {moved:.4g} from the usual {usual:.4g}; limit {most:g}"
        case Anomaly():
            if len(before) < rule.least:
                return False, True, said
            usual = median(before)
            deviation = MAD_TO_DEVIATION * median(abs(v - usual) for v in before)
            away = abs(value - usual) / max(deviation, 1e-9 * max(1.0, abs(usual)))
            text = f"{said}, {away:.3g} deviations from the usual {usual:.4g}; limit {rule.deviations:g}"
            return away > rule.deviations, away <= rule.deviations / 2, text
