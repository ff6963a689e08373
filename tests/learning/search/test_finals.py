"""The best are held against one another again: luck in the search does not decide."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from learning.search.finals import finalists_of, means_of, run_finals
from learning.search.halving import Halving
from learning.search.objectives import Objective
from learning.search.results import conclude
from learning.search.running import run_search
from learning.search.space import Point
from learning.search.study import Evaluate, Measured, Search
from tests.learning.search.searches import make_search

SPACE = {"x": [0, 1, 2, 3, 4]}


@dataclass(frozen=True)
class Lucky:
    """The further from 0 the worse, but one point is lucky in the search."""

    luck: float

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        return Measured({"score": (self.luck if point["x"] == 4 else 0.0) - point["x"]})


def searched(folder: Path, **changed: object) -> Search:
    return make_search(folder, 5, space=SPACE, **changed)  # pyright: ignore[reportArgumentType]


FAIR: list[Evaluate] = [Lucky(0.0)] * 2


def test_luck_in_the_search_is_found_out(tmp_path: Path) -> None:
    search = searched(tmp_path)
    trials = run_search(search, Lucky(5.0))
    assert conclude(search, trials, None).best.point == {"x": 4}
    finals = run_finals(search, trials, None, FAIR, 3)
    assert {t.point["x"] for t in finals} == {4, 0, 1}
    assert len(finals) == 3 * 2
    tuned = conclude(search, trials, None, finals)
    assert tuned.best.point == {"x": 0}
    assert tuned.best.values == {"score": 0.0}
    assert tuned.finals == finals


def test_the_parameters_as_they_were_are_always_among_them(tmp_path: Path) -> None:
    search = searched(tmp_path)
    trials = run_search(search, Lucky(0.0))
    assert [point["x"] for _, point in finalists_of(search, trials, {"x": 3}, 3)] == [3, 0, 1]
    finals = run_finals(search, trials, {"x": 3}, FAIR, 3)
    tuned = conclude(search, trials, {"x": 3}, finals)
    assert "with the parameters as they were" in tuned.why


def test_of_equals_the_parameters_as_they_were_stay(tmp_path: Path) -> None:
    search = make_search(tmp_path, 2, space={"x": [0], "units": [1, 2]})
    trials = run_search(search, Lucky(0.0))
    for own in ({"x": 0, "units": 1}, {"x": 0, "units": 2}):
        tuned = conclude(search, trials, own, run_finals(search, trials, own, FAIR, 2))
        assert tuned.best.point == own


def test_where_few_were_trained_in_full_the_best_of_the_others_are_among_them(tmp_path: Path) -> None:
    search = searched(tmp_path, halving=Halving(), sampler="random")
    trials = run_search(search, Lucky(0.0))
    assert sum(trial.epochs == 9 for trial in trials) == 1
    assert [point["x"] for _, point in finalists_of(search, trials, None, 3)] == [0, 1, 2]


def test_the_parameters_as_they_were_are_shown_by_the_same_trainings_as_the_pick(tmp_path: Path) -> None:
    search = searched(tmp_path)
    trials = run_search(search, Lucky(5.0))
    own = conclude(search, trials, {"x": 4}, run_finals(search, trials, {"x": 4}, FAIR, 3)).baseline
    assert own is not None and own.values == {"score": -4.0}


def test_nothing_is_trained_again_where_there_is_nothing_to_choose(tmp_path: Path) -> None:
    search = searched(tmp_path)
    trials = run_search(search, Lucky(0.0))
    assert run_finals(search, trials, None, FAIR, 1) == ()
    assert run_finals(search, trials, None, FAIR, 3, until=monotonic() - 1) == ()
    two = (Objective("score", False), Objective("size_mb", True))
    assert run_finals(searched(tmp_path / "two", objectives=two), trials, None, FAIR, 3) == ()


def test_a_finalist_that_could_not_be_trained_everywhere_is_out(tmp_path: Path) -> None:
    search = searched(tmp_path)
    finals = run_finals(search, run_search(search, Lucky(0.0)), None, FAIR, 3)
    assert len(means_of(finals)) == 3
    assert len(means_of(finals[1:])) == 2
