"""Candidates of the loop, spoilt one by one, through the real gate; `benchmarks.planted` has more seeds."""

from pathlib import Path

from benchmarks.planted import better, open_scene, plant


def test_no_spoilt_candidate_passes_and_the_honest_one_does(tmp_path: Path) -> None:
    with open_scene(tmp_path, "classification", seed=0) as scene:
        assert scene.judge(scene.honest).passed
        passed = [kind for kind, candidate in plant(scene, 0).items() if scene.judge(candidate).passed]
    assert passed == []


def test_better_candidates_pass(tmp_path: Path) -> None:
    with open_scene(tmp_path, "regression", seed=0, learned=1) as scene:
        verdicts = [scene.judge(candidate) for candidate in better(scene, 0, 2).values()]
    assert all(verdict.passed for verdict in verdicts), [verdict.reason for verdict in verdicts]
