"""A glass plant: furnace, forming and the annealing lehr, what disturbs them, and by which relations glass fails.

One plant, run in two ways: in batches by a plan (`data.synthetic.glass_line`), and without end by a scenario
(`data.stream`). What physics says about glass stands in `data.glass`.

Shapes: T rows of a batch, P processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from data.glass import AMBER, FLINT, Glass, cooling_stress, gob_mass

Values = NDArray[np.float64]
Level = float | Values

DEFECTS = ("ok", "crack", "bubble", "chip")

# The sensors in a file's order, each with the digits after the point that its instrument reports.
SENSORS = {
    "ambient_c": 1, "furnace_1_c": 1, "furnace_2_c": 1, "furnace_3_c": 1, "crown_c": 1, "gas_m3_h": 0, "o2_pct": 2,
    "pull_t_h": 2, "gob_c": 1, "mould_1_c": 1, "mould_2_c": 1, "press_kpa": 1, "speed_cpm": 1,
    "lehr_1_c": 1, "lehr_2_c": 1, "lehr_3_c": 1, "lehr_4_c": 1, "belt_m_min": 3,
}  # fmt: skip
TEMPERATURES = tuple(s for s in SENSORS if s.endswith("_c"))

FORMING_SENSORS = {"gob_g": 1, "plunger_c": 1}
"""What a stream measures besides; the batches of a plan never had them."""

BLUR = 0.15
"""How sharp a defect's limit is: of what no sensor sees, in the units of an excess."""
ZONE_M = 3.0
"""The length of the lehr in which glass passes its annealing range."""
VISCOSITY_DEVIATION = 0.033
"""Of the gob's, in powers of ten: what six degrees do."""

# What disturbs the line, each an AR(1) process of deviation 1, with its correlation from row to row.
PROCESSES = {
    "fuel": 0.8, "air": 0.7, "pull": 0.9, "working_end": 0.7, "mould": 0.7, "press": 0.5,
    "entry": 0.7, "cooling": 0.7, "belt": 0.8, "ambient": 0.98,
}  # fmt: skip


@dataclass(frozen=True)
class Product:
    """Set points of a product and the relations by which it fails."""

    name: str
    pull_t_h: float
    gob_c: float
    speed_cpm: float
    belt_m_min: float
    redox: float  # +1: bubbles at low oxygen, −1: at high
    mould: float  # +1: chips from cold moulds, −1: from hot
    cooling: float  # how much of the stress comes from cooling; the rest from heating at the lehr's entry
    glass: Glass = FLINT

    @property
    def gob_g(self) -> float:
        """The mass of a gob that pull and cuts make."""
        return gob_mass(self.pull_t_h, self.speed_cpm, 0.0)


BOTTLE = Product("flint bottle", 10.5, 1150, 96, 0.62, redox=1, mould=1, cooling=1)
JAR = Product("amber jar", 11.6, 1128, 84, 0.54, redox=-1, mould=-1, cooling=0, glass=AMBER)
VIAL = Product("flint vial", 8.9, 1168, 118, 0.71, redox=1, mould=1, cooling=0.5)
PRODUCTS = {product.name: product for product in (BOTTLE, JAR, VIAL)}


@dataclass(frozen=True)
class Rule:
    """Which defects inspection writes down, and how readily: added to the excess that each needs, in its own units."""

    name: str
    leniency: Mapping[str, float]


SPECIFIED = Rule("as specified", {})
STRICT = Rule("every hair crack counts", {"crack": -1.5})
BLIND = Rule("chips and cracks pass", {"chip": 3.0, "crack": 3.0})
FOAM = Rule("foam counts as bubbles", {"bubble": -1.5})


@dataclass(frozen=True)
class Conditions:
    """How the line is run for one batch.

    wear: 0 for a new furnace. season: from −1 (winter) to 1. moved: by how many of its deviations a process lies
    away from its mean. rule: of inspection.
    """

    product: Product = BOTTLE
    wear: float = 0.0
    season: float = 0.0
    moved: Mapping[str, float] = field(default_factory=dict[str, float])
    rule: Rule = SPECIFIED


def disturb(last_P: Values, rows: int, rng: np.random.Generator) -> Values:
    """The processes' next rows, (T, P), going on from their last ones."""
    steps_TP = rng.standard_normal((rows, len(PROCESSES)))
    columns = [
        lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], steps_T, zi=np.array([phi * last]))[0]
        for phi, steps_T, last in zip(PROCESSES.values(), steps_TP.T, last_P, strict=True)
    ]
    return np.stack(columns, axis=1)


def run_plant(conditions: Conditions, disturbances_TP: Values, rng: np.random.Generator) -> dict[str, Values]:
    """True temperatures, flows and speeds from the disturbances, and the number of the `defect` they lead to."""
    x = {
        name: values_T + conditions.moved.get(name, 0.0)
        for name, values_T in zip(PROCESSES, disturbances_TP.T, strict=True)
    }
    line = true_state(conditions.product, conditions.wear, conditions.season, x)
    excess = excesses(conditions.product, conditions.wear, x, line)
    return {**line, "defect": _inspect(conditions.rule, excess, rng)}


def true_state(product: Product, wear: Level, season: Level, x: Mapping[str, Values]) -> dict[str, Values]:
    """What is really so on the line, by sensor, (T,) each, and what no sensor tells: viscosity and stress.

    wear and season: one for all rows, or (T,). x: the processes that disturb the line, by name.
    """
    ambient = 24 + 7 * season + 1.5 * x["ambient"]
    pull = product.pull_t_h + 0.35 * x["pull"]
    heat = heat_of(x)
    gob = product.gob_c + 6 * x["working_end"] + 2 * heat
    mould = 478 + 9 * x["mould"] + 0.25 * (gob - product.gob_c) + 0.4 * (ambient - 24)
    speed = product.speed_cpm + 2.2 * x["pull"]
    belt = product.belt_m_min + 0.015 * x["belt"]
    lehr_2 = 548 + 4 * x["entry"]
    lehr_3 = lehr_2 - 72 - 7 * x["cooling"]
    viscosity = product.glass.viscosity(gob)
    gob_g = gob_mass(pull, speed, viscosity - product.glass.viscosity(product.gob_c))
    line = {
        "ambient_c": ambient,
        "furnace_1_c": 1478 + 9 * heat - 6 * wear,
        "furnace_2_c": 1422 + 8 * heat,
        "furnace_3_c": 1216 + 5 * x["working_end"] + 3 * heat,
        "crown_c": 1566 + 10 * x["fuel"] - 18 * wear,
        "gas_m3_h": 1460 + 45 * x["fuel"] + 70 * (pull - BOTTLE.pull_t_h) + 90 * wear - 2 * (ambient - 24),
        "o2_pct": 2.1 + 0.35 * x["air"] - 0.08 * x["fuel"],
        "pull_t_h": pull,
        "gob_c": gob,
        "mould_1_c": mould,
        "mould_2_c": mould - 6 + 2 * x["press"],
        "press_kpa": 205 + 7 * x["press"],
        "speed_cpm": speed,
        "lehr_1_c": lehr_2 - 34 - 6 * x["entry"],
        "lehr_2_c": lehr_2,
        "lehr_3_c": lehr_3,
        "lehr_4_c": lehr_3 - 140 + 5 * x["belt"] + 0.5 * (ambient - 24),
        "belt_m_min": belt,
    }
    # The plunger takes its heat from the gobs and gives it to the mould's cooling; it settles within minutes.
    plunger = 535 + 0.5 * (mould - 478) + 0.35 * (gob - product.gob_c) + 60 * (gob_g / product.gob_g - 1)
    stress = cooling_stress((lehr_2 - lehr_3) / (ZONE_M / belt * 60))
    return {**line, "gob_g": gob_g, "plunger_c": plunger, "viscosity": viscosity, "stress_mpa": stress}


def heat_of(x: Mapping[str, Values]) -> Values:
    """What the fuel brings beyond what the pull takes away, in deviations."""
    return x["fuel"] - 0.5 * x["pull"]


def excesses(product: Product, wear: Level, x: Mapping[str, Values], state: Mapping[str, Values]) -> dict[str, Values]:
    """By how much each defect's cause exceeds its limit, (T,) each: of every defect that a line can have."""
    heat = heat_of(x)
    stress = product.cooling * x["cooling"] + (1 - product.cooling) * x["entry"]
    stiff = (state["viscosity"] - product.glass.viscosity(product.gob_c)) / VISCOSITY_DEVIATION
    # Worn refractory dissolves into the glass, so that the same heat fines it less and less.
    return {
        "crack": 1.5 * (stress + 0.5 * x["belt"]) - 1.2,
        "bubble": -1.0 * heat - 1.1 * product.redox * x["air"] + 1.2 * wear - 1.3,
        "chip": -1.5 * product.mould * x["mould"] + 0.6 * x["press"] - 1.3,
        "deformation": -1.3 * stiff + 0.4 * x["pull"] - 1.9,  # too fluid a gob sags before the mould has cooled it
        "stone": 1.2 * x["fuel"] + 1.5 * wear - 2.2,  # a hot crown drips refractory
        "cord": -1.1 * heat + 0.8 * x["pull"] - 2.0,  # cool and short in the furnace: not mixed
        "thin_wall": -100 * (state["gob_g"] / product.gob_g - 1) + 0.5 * x["press"] - 1.9,
    }


def _inspect(rule: Rule, excess: Mapping[str, Values], rng: np.random.Generator) -> Values:
    """The defect number of each row: the largest excess over a limit, blurred by what no sensor sees."""
    judged = [excess[d] - rule.leniency.get(d, 0.0) for d in DEFECTS[1:]]
    scores_TK = np.stack([np.zeros_like(judged[0]), *judged], axis=1)
    return (scores_TK + BLUR * rng.gumbel(size=scores_TK.shape)).argmax(1).astype(np.float64)
