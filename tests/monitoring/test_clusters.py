import json

import numpy as np
import pytest

from data.signals import make_signals
from monitoring.clusters import ClusterReference, ClusterState, check_clusters, make_clusters
from monitoring.config import ClusterDriftConfig

SIZE = 8
CONFIG = ClusterDriftConfig(false_alarms_per_year=0.05)


class Plant:
    """Elements whose sessions scatter around a centre, and signals around their session."""

    def __init__(self, seed: int, elements: int = 6) -> None:
        self.rng = np.random.default_rng(seed)
        self.centres = self.rng.standard_normal((elements, SIZE))
        self.sessions = 0

    def signals(self, sessions: int, per_session: int = 4, moved: float = 0.0, elements=None):
        """So many sessions of each element (or of those given): their embeddings and ids."""
        embeddings, ids = [], []
        for element in range(len(self.centres)) if elements is None else elements:
            for _ in range(sessions):
                self.sessions += 1
                middle = self.centres[element] + moved + 0.2 * self.rng.standard_normal(SIZE)
                embeddings += [middle + 0.3 * self.rng.standard_normal(SIZE) for _ in range(per_session)]
                ids += [(f"e{element}", str(self.sessions))] * per_session
        values = [np.zeros((1, 1))] * len(ids)
        return np.array(embeddings, np.float32), make_signals(values, [e for e, _ in ids], [s for _, s in ids])

    def reference(self, held_out: int = 3) -> ClusterReference:
        return make_clusters(*self.signals(4), *self.signals(held_out))


def watch(plant: Plant, reference: ClusterReference, batches: int, seed: int = 0, **of_batch) -> list:
    state, reports = None, []
    for number in range(batches):
        report, state = check_clusters(reference, state, *plant.signals(**of_batch), CONFIG, seed + number)
        state = ClusterState.from_json(json.loads(json.dumps(state.to_json())))
        reports.append(report)
    return reports


def test_stationary_clusters_hardly_ever_alarm_in_a_year() -> None:
    alarmed = 0
    for seed in range(40):
        plant = Plant(seed)
        element = [int(plant.rng.integers(6))]
        reports = watch(plant, plant.reference(), 60, sessions=1, elements=element)
        alarmed += any(report.drifted for report in reports)
    assert alarmed <= 2


def test_clusters_that_move_are_found_and_named() -> None:
    found = []
    for seed in range(5):
        plant = Plant(100 + seed)
        reference = plant.reference(held_out=8)
        assert not any(report.drifted for report in watch(plant, reference, 5, sessions=1))
        reports = watch(plant, reference, 6, sessions=1, moved=0.5, elements=[0, 1, 2])
        found.append(next((n for n, report in enumerate(reports) if report.drifted), None))
        assert {carrier.feature for carrier in reports[-1].evidence.carriers[:3]} == {"e0", "e1", "e2"}
        assert reports[-1].features["e0"].distance > reports[-1].features["e0"].threshold
    assert all(batch is not None for batch in found), found


def test_new_elements_are_named_and_no_evidence() -> None:
    plant = Plant(0)
    reference = plant.reference()
    plant.centres = np.concatenate([plant.centres, 9 + plant.rng.standard_normal((1, SIZE))])
    report, state = check_clusters(reference, None, *plant.signals(3, elements=[6]), CONFIG, 0)
    assert (report.drifted, report.note) == (False, "new elements: e6")
    assert state == ClusterState()


def test_too_few_held_out_sessions_say_so() -> None:
    plant = Plant(0)
    reference = make_clusters(*plant.signals(4), *plant.signals(1))
    report, _ = check_clusters(reference, None, *plant.signals(1), CONFIG, 0)
    assert report.note == "all elements: 6 sessions are held out beside others of their element, 10 are needed"
    assert not report.drifted


def test_sessions_of_another_size_are_no_drift() -> None:
    plant = Plant(7)
    reference = make_clusters(*plant.signals(6, 12), *plant.signals(6, 12))
    scores = reference.scores_S
    assert np.mean(scores**2) == pytest.approx(1.0, abs=0.35)
    reports = watch(plant, reference, 10, sessions=1, per_session=1)
    assert not any(report.drifted for report in reports)


def test_held_out_elements_have_centres_of_their_own() -> None:
    plant = Plant(1)
    reference = make_clusters(*plant.signals(4, elements=[0, 1, 2]), *plant.signals(4, elements=[3, 4, 5]))
    assert set(reference.elements) == {f"e{n}" for n in range(6)}
    assert len(reference.scores_S) == 12


def test_a_reference_is_kept_as_it_is() -> None:
    reference = Plant(0).reference()
    again = ClusterReference.load(reference.save())
    assert (again.elements, again.between, again.within) == (reference.elements, reference.between, reference.within)
    np.testing.assert_array_equal(again.centres_ME, reference.centres_ME)
    np.testing.assert_array_equal(again.scores_S, reference.scores_S)
