import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from learning.search.halving import Halving, next_to_promote
from learning.search.objectives import front_of, pick
from learning.search.running import run_search
from learning.search.samplers import Sampler
from learning.search.space import Point
from learning.search.storage import open_storage
from learning.search.study import Measured, OutOfTimeError, Study, Trial
from tests.forked import fork
from tests.learning.search.searches import ONE, TWO, Bowl, make_search, work


def found(trials: list[Trial]) -> list[tuple[Point, int, object]]:
    return [(t.point, t.epochs, t.values) for t in trials]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "nsga3", "random"])
def test_every_sampler_finds_the_same_again_to_the_bit(tmp_path: Path, sampler: Sampler) -> None:
    objectives = TWO if sampler.startswith("nsga") else ONE
    once = run_search(make_search(tmp_path / "1", 9, sampler, objectives=objectives), Bowl(tmp_path / "a"))
    again = run_search(make_search(tmp_path / "2", 9, sampler, objectives=objectives), Bowl(tmp_path / "b"))
    other = run_search(make_search(tmp_path / "3", 9, sampler, objectives=objectives, seed=1), Bowl(tmp_path / "c"))
    assert found(once) == found(again) != found(other)
    assert len(once) == 9


def test_tpe_finds_a_better_point_than_chance(tmp_path: Path) -> None:
    best: dict[str, list[float]] = {"tpe": [], "random": []}
    for sampler in ("tpe", "random"):
        for seed in range(3):
            search = make_search(tmp_path / f"{sampler}{seed}", 30, sampler, seed=seed)
            trials = run_search(search, Bowl(tmp_path / "calls"))
            best[sampler].append(max(t.values["score"] for t in trials if t.values))
    assert sum(best["tpe"]) > sum(best["random"])


def test_a_small_space_is_tried_whole_and_each_point_once(tmp_path: Path) -> None:
    space = {"units": [1, 2, 3], "x": {"values": [0, 1], "when": {"units": [1, 2]}}}
    bowl = Bowl(tmp_path / "calls")
    trials = run_search(make_search(tmp_path, 100, space=space), bowl)
    assert len(trials) == bowl.calls == len({t.key for t in trials}) == 5


def test_repeats_are_answered_without_measuring_again(tmp_path: Path) -> None:
    bowl = Bowl(tmp_path / "calls")
    search = make_search(tmp_path, 20, "tpe", space={"x": [-1, 0, 1, 2, 3], "units": [1, 2, 3, 4, 5]})
    trials = run_search(search, bowl)
    assert len(trials) == bowl.calls == len({t.key for t in trials}) == 20
    assert run_search(search, bowl) == trials
    assert bowl.calls == 20


def test_a_point_that_cannot_be_trained_is_kept_and_not_tried_again(tmp_path: Path) -> None:
    trials = run_search(make_search(tmp_path, 3, space={"x": [-2, 0, 1]}), Bowl(tmp_path / "calls"))
    assert [t.error for t in trials if t.point["x"] == -2] == ["too far left"]
    assert len(trials) == 3


@pytest.mark.parametrize("objectives", [ONE, TWO])
def test_halving_trains_few_in_full_and_keeps_the_best(tmp_path: Path, objectives: tuple[object, ...]) -> None:
    halving = Halving()
    search = make_search(tmp_path / "h", 30, "random", halving, objectives=objectives)  # pyright: ignore
    trials = run_search(search, Bowl(tmp_path / "calls"))
    by_epochs = {epochs: [t for t in trials if t.epochs == epochs] for epochs in (1, 3, 9)}
    assert len(by_epochs[1]) == 30
    assert 1 <= len(by_epochs[9]) <= len(by_epochs[3]) <= 15
    cost = sum(len(trials) * share for trials, share in zip(by_epochs.values(), (1, 2, 6), strict=True))
    assert cost <= 0.4 * 9 * 30
    best = max(t.values["score"] for t in by_epochs[9] if t.values)
    assert best == max(t.values["score"] for t in trials if t.values)


def test_halving_costs_no_more_where_every_point_is_better_than_those_before() -> None:
    seen: dict[int, dict[str, dict[str, float]]] = {1: {}, 3: {}, 9: {}}
    for number in range(30):
        seen[1][str(number)] = {"score": float(number)}
        while (found := next_to_promote(seen, ONE, 3, last=number == 29)) is not None:
            seen[found[1]][found[0]] = {"score": float(found[0])}
    assert [len(points) for points in seen.values()] == [30, 10, 3]
    assert max(map(int, seen[9])) >= 25


def test_halving_trains_one_in_full_however_few_there_are(tmp_path: Path) -> None:
    trials = run_search(make_search(tmp_path, 2, "random", Halving()), Bowl(tmp_path / "calls"))
    assert sum(t.epochs == 9 for t in trials) == 1


def test_of_several_objectives_the_front_and_its_pick(tmp_path: Path) -> None:
    values = [
        {"score": 1.0, "cost": 9.0},
        {"score": 0.995, "cost": 2.0},
        {"score": 0.9, "cost": 1.0},
        {"score": 0.8, "cost": 1.0},
    ]
    assert front_of(values, TWO) == [0, 1, 2]
    assert pick(values, TWO) == 1
    assert pick(values, TWO, given_up=0.0) == 0
    assert pick(values, ONE) == 0


class Impatient:
    """Runs out of time at its third call, once."""

    def __init__(self, bowl: Bowl) -> None:
        self.bowl, self.calls = bowl, 0

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        self.calls += 1
        if self.calls == 3:
            raise OutOfTimeError
        return self.bowl(point, epochs, until)


def test_out_of_time_the_study_goes_on_with_the_very_same_points(tmp_path: Path) -> None:
    undisturbed = run_search(make_search(tmp_path / "1", 12, "tpe"), Bowl(tmp_path / "a"))
    impatient = Impatient(Bowl(tmp_path / "b"))
    assert len(run_search(make_search(tmp_path / "2", 12, "tpe"), impatient)) == 2
    assert found(run_search(make_search(tmp_path / "2", 12, "tpe"), impatient)) == found(undisturbed)


def test_a_budget_of_time_ends_it(tmp_path: Path) -> None:
    trials = run_search(make_search(tmp_path, 1000, "random"), Bowl(tmp_path / "calls", 0.05), minutes=0.5 / 60)
    assert 1 <= len(trials) < 20


def test_a_killed_study_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    search = make_search(tmp_path / "killed", 12, "tpe")
    bowl = Bowl(tmp_path / "calls", 0.05)
    for wanted in (2, 6):
        process = fork(work, search, bowl, 0)
        assert process.pid is not None
        _wait_for(lambda wanted=wanted: len(Study(search).trials()) >= wanted)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    before = found(Study(search).trials())
    trials = run_search(search, bowl)
    assert found(trials)[: len(before)] == before
    assert found(trials) == found(run_search(make_search(tmp_path / "calm", 12, "tpe"), Bowl(tmp_path / "other")))


def test_two_of_four_workers_killed_lose_no_finished_trial(tmp_path: Path) -> None:
    search = make_search(tmp_path, 24, "tpe")
    bowl = Bowl(tmp_path / "calls", 0.1)
    workers = [fork(work, search, bowl, i) for i in range(1, 5)]
    _wait_for(lambda: len(Study(search).trials()) >= 6)
    for worker in workers[:2]:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
    before = found(Study(search).trials())
    for worker in workers:
        worker.join()
    after = found(Study(search).trials())
    assert all(trial in after for trial in before)
    assert len({str(point) for point, _, _ in after}) == len(after) == 24


def test_several_processes_find_each_point_once(tmp_path: Path) -> None:
    bowl = Bowl(tmp_path / "calls", 0.02)
    trials = run_search(make_search(tmp_path, 12, "random"), bowl, workers=2)
    assert len(trials) == len({t.key for t in trials}) == bowl.calls == 12


def test_what_is_told_while_another_process_looks_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make_search(tmp_path, 1, "random")
    first, second = Study(search, 1), Study(search, 2)
    claimed = first._claim()  # pyright: ignore[reportPrivateUsage]
    assert claimed is not None
    reads, read = 0, second._all  # pyright: ignore[reportPrivateUsage]

    def read_and_be_overtaken() -> object:
        nonlocal reads
        found, reads = read(), reads + 1
        if reads == 2:  # the first is for the dead
            first._tell(claimed[0], Measured({"score": 1.0}))  # pyright: ignore[reportPrivateUsage]
        return found

    monkeypatch.setattr(second, "_all", read_and_be_overtaken)
    assert second._claim() is None  # pyright: ignore[reportPrivateUsage]
    assert len(first.trials()) == 1


def test_a_database_keeps_a_study_too(tmp_path: Path) -> None:
    search = replace(make_search(tmp_path, 6, "tpe"), place=f"sqlite:///{tmp_path / 'studies.db'}")
    trials = run_search(search, Bowl(tmp_path / "calls"))
    assert Study(search).trials() == trials
    assert found(trials) == found(run_search(make_search(tmp_path / "journal", 6, "tpe"), Bowl(tmp_path / "other")))


def test_a_journal_whose_last_line_was_cut_is_read(tmp_path: Path) -> None:
    search = make_search(tmp_path, 4, "random")
    trials = run_search(search, Bowl(tmp_path / "calls"))
    with Path(search.place).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    assert Study(search).trials() == trials
    open_storage(search.place)


@pytest.mark.parametrize(
    ("place", "said"), [("oracle9://x", "oracle9"), ("postgresql+psycopg://nowhere", "postgresql")]
)
def test_a_database_that_is_not_there_is_said(place: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        open_storage(place)


def _wait_for(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # pyright: ignore
        assert time.monotonic() < deadline
        time.sleep(0.02)
