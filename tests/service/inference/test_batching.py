import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

from service.inference.batching import MOST_WAITING, Batcher, Pace, TooBusyError, pace_of


class Slow:
    """Doubles its inputs, and notes how many samples each run had."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def predict(self, inputs: Any) -> Any:
        if np.isnan(inputs).any():
            raise ValueError("not a number")
        self.runs.append(len(inputs))
        time.sleep(0.02)
        return 2 * inputs.reshape(len(inputs), -1)[:, 0]


def test_what_comes_while_the_network_computes_is_answered_by_its_next_run() -> None:
    model = Slow()

    async def ask() -> list[Any]:
        batcher = Batcher(model, threads=1)  # pyright: ignore[reportArgumentType]
        first = asyncio.create_task(batcher.infer(np.full((1, 2), 1, np.float32)))
        await asyncio.sleep(0.005)
        rest = [batcher.infer(np.full((i, 2), i, np.float32)) for i in range(2, 6)]
        windows = batcher.infer(np.full((3, 4, 2), 9, np.float32))
        return [await first, *await asyncio.gather(*rest, windows)]

    answers = asyncio.run(ask())
    assert [a.tolist() for a in answers] == [[2], [4] * 2, [6] * 3, [8] * 4, [10] * 5, [18] * 3]
    assert model.runs == [1, 14, 3]


def test_a_failed_run_fails_those_who_were_in_it_alone_and_too_much_is_refused() -> None:
    async def ask() -> Any:
        batcher = Batcher(Slow(), threads=1)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="not a number"):
            await batcher.infer(np.full((1, 2), np.nan, np.float32))
        waiting = asyncio.create_task(batcher.infer(np.zeros((MOST_WAITING, 2), np.float32)))
        await asyncio.sleep(0)
        with pytest.raises(TooBusyError):
            await batcher.infer(np.zeros((1, 2), np.float32))
        await waiting
        return (await batcher.infer(np.ones((1, 2), np.float32))).tolist()

    assert asyncio.run(ask()) == [2]


def test_what_is_quick_is_computed_where_it_came_in_and_only_so_much_is_joined() -> None:
    model = Slow()

    async def ask() -> list[Any]:
        batcher = Batcher(model, Pace(quick=2, at_once=6), threads=1)  # pyright: ignore[reportArgumentType]
        quick = batcher.infer(np.full((1, 2), 1, np.float32))
        with pytest.raises(StopIteration) as answer:  # it has its answer before anything else had a turn
            quick.send(None)
        rest = [batcher.infer(np.full((i, 2), i, np.float32)) for i in (2, 3, 4, 5)]
        return [answer.value.value, *await asyncio.gather(*rest)]

    assert [a.tolist() for a in asyncio.run(ask())] == [[2], [4] * 2, [6] * 3, [8] * 4, [10] * 5]
    assert model.runs == [1, 5, 4, 5]


class Joint(Slow):
    """Ends a run only once another three have begun."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(4)

    def predict(self, inputs: Any) -> Any:
        self._together.wait(30)
        return super().predict(inputs)


def test_as_many_runs_go_at_once_as_there_are_threads() -> None:
    model = Joint()

    async def ask() -> None:
        batcher = Batcher(model, Pace(at_once=2), threads=4)  # pyright: ignore[reportArgumentType]
        answers = await asyncio.gather(*(batcher.infer(np.full((2, 2), i, np.float32)) for i in range(8)))
        assert [a.tolist() for a in answers] == [[2 * i] * 2 for i in range(8)]

    asyncio.run(ask())
    assert model.runs == [2] * 8


class Paced:
    """Takes so long for each sample, and for more than 64 at once twice as long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def zeros(self, length: int) -> Any:
        return np.zeros((1, length, 2), np.float32)

    def predict(self, inputs: Any) -> Any:
        time.sleep(self._seconds * len(inputs) * (2 if len(inputs) > 64 else 1))
        return inputs


def test_a_networks_pace_is_found_by_trying() -> None:
    pace = pace_of(Paced(0.0001), 3)  # pyright: ignore[reportArgumentType]
    assert pace.at_once in (8, 64)
    assert pace.quick in (0, 6)
