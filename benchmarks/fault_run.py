"""Planted faults, kinds in turn, a line after the other: is a version ever promoted that is worse than the champion?

What is planted, and in what loop, is a `FaultRun`'s; `benchmarks.fault_injection` has rows, `benchmarks.signal_faults`
signals.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from benchmarks.fault_summary import SOUND, Planted, draw, is_bad, summary
from benchmarks.results import FOLDER, write_json
from data.files import write_whole

Rng = np.random.Generator


class AnyAnswer(Protocol):
    """What the loop made of a delivery: the candidate that went live, or what the next delivery finds."""

    @property
    def promoted(self) -> Any: ...

    @property
    def stopped_by(self) -> str: ...

    @property
    def after(self) -> Any: ...


class AnyScene(Protocol):
    """A line with a champion; lost: what a candidate has less than it on what is true, by metric."""

    def delivery(self, number: int) -> Any: ...

    def take(self, delivery: Any) -> AnyAnswer: ...

    def lost(self, candidate: Any) -> dict[str, float]: ...

    def taken_back_after(self, candidate: Any, number: int) -> int | None: ...


@dataclass(frozen=True)
class FaultRun:
    """name: of the files that it leaves. margins: what a promoted version may have lost, by metric.

    inject: one fault of a kind on a scene. Functions are of modules, so that other processes find them.
    """

    name: str
    kinds: tuple[str, ...]
    margins: Mapping[str, float]
    open_scene: Callable[[int], Any]
    inject: Callable[[Any, str, Rng], Planted]

    def run(
        self, faults: int, lines: int, first_seed: int, kept: Path | None = None, processes: int = 1
    ) -> list[Planted]:
        """kept: a folder of lines that are done, from which a run that was killed goes on."""
        started, found = time.perf_counter(), list[Planted]()
        of_line = partial(self.run_line, faults, lines, first_seed, kept)
        with ProcessPoolExecutor(processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
            for planted in map(of_line, range(lines)) if processes == 1 else pool.map(of_line, range(lines)):
                found += planted
                bad = sum(is_bad(p, self.margins) for p in found if p.kind != SOUND)
                print(f"{len(found):>6} faults, {bad} bad, {time.perf_counter() - started:,.0f} s", flush=True)
        return found

    def run_line(self, faults: int, lines: int, first_seed: int, kept: Path | None, line: int) -> list[Planted]:
        """The faults of one line, from its file in the folder if it is done."""
        path = None if kept is None else kept / f"{first_seed + line}-{faults}-{lines}.json"
        if path is not None and path.exists():
            return [Planted(**planted) for planted in json.loads(path.read_text())]
        scene = self.open_scene(first_seed + line)
        found = [self._inject(scene, first_seed, number, lines) for number in range(line, faults, lines)]
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps([asdict(planted) for planted in found]).encode())
        return found

    def _inject(self, scene: AnyScene, first_seed: int, number: int, lines: int) -> Planted:
        kind = self.kinds[number // lines % len(self.kinds)]
        return self.inject(scene, kind, np.random.default_rng((first_seed, number)))

    def main(self, text: str | None, faults: int, lines: int, first_seed: int) -> None:
        """The command; its defaults are given."""
        parser = argparse.ArgumentParser(description=text)
        parser.add_argument("--faults", type=int, default=faults)
        parser.add_argument("--lines", type=int, default=lines)
        parser.add_argument("--first-seed", type=int, default=first_seed)
        parser.add_argument("--processes", type=int, default=1)
        options = parser.parse_args()
        torch.set_num_threads(1)
        found = self.run(options.faults, options.lines, options.first_seed, FOLDER / self.name, options.processes)
        told = summary(found, self.margins)
        for kind, row in told["kinds"].items():
            lost = ", ".join(f"{metric} {most:+.3f}" for metric, most in row["most_lost"].items())
            print(
                f"{kind:<22} {row['faults']:>5} faults {row['promoted']:>5} promoted ({row['promoted_by_the_next']} by "
                f"the next delivery) {row['bad']:>3} bad, most lost: {lost or 'nothing'}"
            )
        print(f"taken back after so many sound batches: {told['taken_back_after']}")
        print(f"{told['bad']} bad promotions of {told['faults']:,} faults: at most {told['bound']:.4%}")
        write_json(self.name, told)
        draw(self.name, found, told)


def drawn(rng: Rng, *values: Any) -> Any:
    """One of the values."""
    return values[int(rng.integers(len(values)))]


def damage(weights: Sequence[Tensor], how: str, rng: Rng) -> None:
    """Hit one of the weights, matrices or more, in place, as on their way to somewhere."""
    weight = weights[int(rng.integers(len(weights)))]
    rows = int(rng.integers(weight.shape[0]))
    match how:
        case "bits":
            flat = weight.view(-1).view(torch.int32)
            places = torch.from_numpy(rng.integers(0, flat.numel(), int(drawn(rng, 1, 8, 64))))
            flat[places] ^= 1 << int(rng.integers(20, 31))
        case "noise":
            noise = torch.from_numpy(rng.standard_normal(tuple(weight.shape))).float()
            weight.add_(noise * weight.std() * float(drawn(rng, 0.3, 1.0, 3.0)))
        case "zeros":
            weight[rows:].zero_()
        case "scale":
            weight.mul_(float(drawn(rng, -1.0, 0.1, 10.0, 1e3)))
        case "not a number":
            weight[rows].view(-1)[0] = torch.nan
        case _:
            raise ValueError(f"weights are not hit by {how}")


def follow_up(
    scene: AnyScene, kind: str, what: str, answer: AnyAnswer, number: int, margins: Mapping[str, float]
) -> Planted:
    """What a faulty delivery, the line's batch of that number, came to, or the sound one after it."""
    stopped_by, delivered = answer.stopped_by, 1
    if answer.after is not None:
        scene, delivered = answer.after, 2
        answer = scene.take(scene.delivery(number + 1))
    if answer.promoted is None:
        return Planted(kind, what, stopped_by, None)
    planted = Planted(kind, what, stopped_by, scene.lost(answer.promoted), None, delivered)
    if not is_bad(planted, margins):
        return planted
    return replace(planted, back_after=scene.taken_back_after(answer.promoted, number + delivered - 1))
