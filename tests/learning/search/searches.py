"""A search over a function that is known, for the tests; also in processes of their own."""

import time
from dataclasses import dataclass
from pathlib import Path

from learning.search.halving import Halving
from learning.search.objectives import Objective
from learning.search.parsing import parse_space
from learning.search.samplers import Sampler
from learning.search.space import LogRange, Point, Range
from learning.search.study import Measured, Search, Study

ONE = (Objective("score", lower_is_better=False),)
TWO = (*ONE, Objective("cost", lower_is_better=True))
SPACE = parse_space({"x": Range(-2.0, 2.0), "rate": LogRange(1e-4, 1.0), "units": [1, 2, 4, 8]})


def make_search(
    folder: Path,
    trials: int = 20,
    sampler: Sampler = "auto",
    halving: Halving | None = None,
    objectives: tuple[Objective, ...] = ONE,
    seed: int = 0,
    space: object = None,
) -> Search:
    chosen = SPACE if space is None else parse_space(space)  # pyright: ignore
    place = folder / "studies.journal"
    return Search("bowl", chosen, objectives, 9, place, folder / "bowl", trials, sampler, halving, seed=seed)


@dataclass(frozen=True)
class Bowl:
    """Best at x = 1 and few units; more epochs come nearer to the truth. Notes each call in a folder."""

    folder: Path
    seconds: float = 0.0

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        self.folder.mkdir(parents=True, exist_ok=True)
        calls = self.folder / f"{time.time_ns()}"
        time.sleep(self.seconds)
        if point.get("x", 0.0) < -1.9:
            raise FloatingPointError("too far left")
        score = -((point.get("x", 0.0) - 1) ** 2) - 1 / epochs
        calls.write_text(f"{point} {epochs}")
        return Measured({"score": score, "cost": float(point.get("units", 1))}, {"epochs": epochs})

    @property
    def calls(self) -> int:
        return len(list(self.folder.glob("*")))


def work(search: Search, bowl: Bowl, worker: int) -> None:
    """What one worker does, in a process of its own."""
    Study(search, worker).work(bowl)
