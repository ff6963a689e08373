"""The language of scenarios: how a glass line runs without end, what drifts, which instruments fail, what labels say.

    line: {products: [flint bottle, amber jar], campaign_rows: 4000}
    events:
      - {kind: gradual, process: fuel, start: 5000, duration: 3000, strength: 1.5}
      - {kind: stuck, sensor: mould_1_c, start: 9000, duration: 400}
      - {kind: poisoned_labels, start: 12000, duration: 600, strength: 0.3}

Starts and durations are in rows. The kinds of drift are those of Gama et al. (2014, A survey on concept drift
adaptation, ACM Computing Surveys 46).
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from data.config import Config
from data.documents import load_document
from data.plant import FORMING_SENSORS, PROCESSES, PRODUCTS, SENSORS, TEMPERATURES

LINE_SENSORS = {**SENSORS, **FORMING_SENSORS}
LINE_TEMPERATURES = (*TEMPERATURES, "plunger_c")
DEFECT_TYPES = ("crack", "bubble", "chip", "deformation", "stone", "cord", "thin_wall")
SOUND = "ok"
MOST_EVENTS = 63

MOST_ROWS, MOST = 10**12, 1e6
Row = Annotated[int, Field(ge=0, le=MOST_ROWS)]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Amount = Annotated[float, Field(ge=0, le=MOST)]
Strength = Annotated[float, Field(ge=-MOST, le=MOST)]


def _one_of(what: str, name: str, allowed: tuple[str, ...]) -> str:
    if name not in allowed:
        raise ValueError(f"there is no {what} {name!r}; allowed are {', '.join(allowed)}")
    return name


class LineConfig(Config):
    """How the line runs: its products in turn, its wear and repairs, the weather, and how its sensors measure."""

    products: list[str] = Field(default=["flint bottle"], min_length=1, description="run one after the other")
    campaign_rows: Rows = Field(default=4320, description="rows until the next product")
    row_minutes: int = Field(default=10, ge=1, le=1440)
    wear_per_day: Amount = Field(default=0.004, description="of the furnace; 0 is new, 1 the end of its life")
    maintenance_days: float | None = Field(
        default=60.0, ge=1e-3, le=MOST, description="between two repairs; null: none"
    )
    mended: float = Field(default=0.8, ge=0, le=1, description="the share of the wear that a repair takes back")
    year: Amount = Field(default=1.0, description="how strongly the seasons turn")
    day: Amount = Field(default=0.4, description="how strongly the weather turns from noon to night")
    noise: Amount = Field(default=0.08, description="of a sensor, in deviations of what it measures")
    missing: float = Field(default=0.002, ge=0, lt=1, description="the share of readings that never come")

    @field_validator("products")
    @classmethod
    def _known_products(cls, names: list[str]) -> list[str]:
        return [_one_of("product", name, tuple(PRODUCTS)) for name in names]


class Event(Config):
    """What happens from a row on, for so many rows; duration null: for ever."""

    start: Row = 0
    duration: Rows | None = None

    @property
    def end(self) -> int | None:
        """The first row after it; None: there is none."""
        return None if self.duration is None else self.start + self.duration

    @property
    def ends_itself(self) -> bool:
        """Whether all is as before once it is over."""
        return True


class _Drift(Event):
    """A process of the plant moves, or a sensor's readings do, by `strength` of its deviations."""

    process: str | None = None
    sensor: str | None = None
    strength: Strength = 1.0

    @model_validator(mode="after")
    def _moves_one_thing(self) -> Self:
        if (self.process is None) == (self.sensor is None):
            raise ValueError("give either the process or the sensor that moves")
        if self.process is not None:
            _one_of("process", self.process, tuple(PROCESSES))
        if self.sensor is not None:
            _one_of("sensor", self.sensor, tuple(LINE_SENSORS))
        return self


class Abrupt(_Drift):
    """There at once, and gone at once."""

    kind: Literal["abrupt"]


class _Transition(_Drift):
    duration: Rows | None = Field(default=1000, description="rows until the new level is reached; it then stays")

    @property
    def ends_itself(self) -> bool:
        return False

    @model_validator(mode="after")
    def _arrives(self) -> Self:
        if self.duration is None:
            raise ValueError("a transition needs a duration")
        return self


class Gradual(_Transition):
    """Old and new alternate, the new ever more often."""

    kind: Literal["gradual"]


class Incremental(_Transition):
    """In many small steps."""

    kind: Literal["incremental"]
    steps: Rows = 100


class Recurring(_Drift):
    """Half of each period moved, half as before."""

    kind: Literal["recurring"]
    period: Rows = Field(default=2000, ge=2, description="rows")


class Concept(Event):
    """The same state of the plant leads to another defect more (or less) readily."""

    kind: Literal["concept"]
    defect: str
    strength: Strength = Field(
        default=1.5, description="added to the defect's excess, which has a deviation of about 1.5"
    )

    @field_validator("defect")
    @classmethod
    def _known_defect(cls, name: str) -> str:
        return _one_of("defect", name, DEFECT_TYPES)


class _OfSensor(Event):
    sensor: str

    @field_validator("sensor", "other", check_fields=False)
    @classmethod
    def _known_sensor(cls, name: str) -> str:
        return _one_of("sensor", name, tuple(LINE_SENSORS))


class Stuck(_OfSensor):
    """It goes on saying what it said at the first row."""

    kind: Literal["stuck"]


class Noisy(_OfSensor):
    """Noise of `strength` deviations more."""

    kind: Literal["noisy"]
    strength: Amount = Field(default=1.0, gt=0)


class Offset(_OfSensor):
    """`strength` deviations too high."""

    kind: Literal["offset"]
    strength: Strength = 1.0


class Scaled(_OfSensor):
    """`strength` times what it should say."""

    kind: Literal["scaled"]
    strength: Strength = 1.1


class Swapped(_OfSensor):
    """It says what another one should, and that one what it should."""

    kind: Literal["swapped"]
    other: str

    @model_validator(mode="after")
    def _two_sensors(self) -> Self:
        if self.sensor == self.other:
            raise ValueError(f"other: {self.other!r} is the sensor itself")
        return self


class Fahrenheit(Event):
    """A temperature in the other unit; sensor null: all of them."""

    kind: Literal["fahrenheit"]
    sensor: str | None = None

    @field_validator("sensor")
    @classmethod
    def _known_temperature(cls, name: str | None) -> str | None:
        return None if name is None else _one_of("temperature", name, LINE_TEMPERATURES)


class Missing(Event):
    """A share of readings does not come; sensor null: of every sensor."""

    kind: Literal["missing"]
    sensor: str | None = None
    strength: float = Field(default=1.0, gt=0, le=1, description="the share")

    @field_validator("sensor")
    @classmethod
    def _known_sensor(cls, name: str | None) -> str | None:
        return None if name is None else _one_of("sensor", name, tuple(LINE_SENSORS))


class LateLabels(Event):
    """Labels come so many rows after theirs."""

    kind: Literal["late_labels"]
    delay: Rows = 600


class PoisonedLabels(Event):
    """A share of labels says another defect; to null: any other."""

    kind: Literal["poisoned_labels"]
    strength: float = Field(default=0.2, gt=0, le=1, description="the share")
    to: str | None = None


AnyEvent = Annotated[
    Abrupt
    | Gradual
    | Incremental
    | Recurring
    | Concept
    | Stuck
    | Noisy
    | Offset
    | Scaled
    | Swapped
    | Fahrenheit
    | Missing
    | LateLabels
    | PoisonedLabels,
    Field(discriminator="kind"),
]
Drift = Abrupt | Gradual | Incremental | Recurring


class Scenario(Config):
    """A line and what happens on it, reproducible by its seed. Events act in their order."""

    name: str = "a glass line"
    seed: int = Field(default=0, ge=0)
    line: LineConfig = LineConfig()
    defects: list[str] = Field(default=["crack", "bubble", "chip"], min_length=1)
    events: list[AnyEvent] = Field(default=[], max_length=MOST_EVENTS)

    @field_validator("defects")
    @classmethod
    def _known_defects(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError("a defect stands twice")
        return [_one_of("defect", name, DEFECT_TYPES) for name in names]

    @model_validator(mode="after")
    def _events_speak_of_the_defects(self) -> Self:
        for event in self.events:
            named = (
                event.defect if isinstance(event, Concept) else event.to if isinstance(event, PoisonedLabels) else None
            )
            if named is not None and named not in self.labels:
                raise ValueError(f"events: {named!r} is none of the line's {', '.join(self.labels)}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What inspection may write down."""
        return (SOUND, *self.defects)

    @classmethod
    def load(cls, path: Path) -> "Scenario":
        """Read a YAML file; raises ValueError, with the key's path and what is allowed, for a mistake in it."""
        return load_document(cls, path, "scenario")
