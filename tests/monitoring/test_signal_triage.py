from dataclasses import replace

import numpy as np
import pytest

from monitoring.causes import Readings, Triage
from monitoring.signal_triage import Described, triage_signals

CHANNELS = ("force", "path", "sound")
Values = np.ndarray


def described(seed: int, elements: range = range(6), sessions: int = 4, each: int = 5) -> Described:
    """Elements whose channels swing and lie each in their own way, sessions that scatter around them."""
    rng, ids = np.random.default_rng(seed), [(e, s) for e in elements for s in range(sessions) for _ in range(each)]
    element_N = np.array([e for e, _ in ids])
    session_N = np.array([f"{e}\n{seed}.{s}" for e, s in ids])
    of_element = np.random.default_rng(99).normal(0, 0.5, (100, 6))[element_N]
    of_session = rng.normal(0, 0.08, (len(ids), 6))[np.unique(session_N, return_inverse=True)[1]]
    values = of_element + of_session + rng.normal(0, 0.05, (len(ids), 6))
    still = rng.uniform(0.1, 0.4, (len(ids), 3))
    return Described(np.array([f"e{e}" for e in element_N]), session_N, values[:, :3], np.exp(values[:, 3:]), still)


def found(
    now: Described, before: Described | None = None, new: tuple[str, ...] = (), moved: str | None = None
) -> Triage:
    return triage_signals(CHANNELS, before or described(0), now, new, moved)


def scaled(now: Described, channels: list[int], factor: float) -> Described:
    deviations_NC = now.deviations_NC.copy()
    deviations_NC[:, channels] *= factor
    return replace(now, deviations_NC=deviations_NC)


@pytest.mark.parametrize("seed", range(1, 21))
def test_nothing_is_named_where_nothing_happened(seed: int) -> None:
    triage = found(described(seed, sessions=1))
    assert (triage.cause, triage.also, triage.set_aside) == ("none", (), ())


@pytest.mark.parametrize("seed", range(1, 6))
def test_one_channel_that_swings_otherwise_is_a_faulty_sensor_and_all_of_them_a_process_that_moved(seed: int) -> None:
    now = described(seed, sessions=2)
    one = found(scaled(now, [1], 2.0))
    assert (one.cause, one.features) == ("sensor_fault", ("path",))
    assert one.set_aside == (Readings("path", 0, len(now.elements_N) - 1),)
    assert "path swings 2" in one.reason
    assert one.reason.endswith("the other channels as before")
    every = found(scaled(now, [0, 1, 2], 2.0))
    assert (every.cause, every.set_aside) == ("covariate", ())
    level = replace(now, means_NC=now.means_NC + np.array([0.0, 0.0, 4.0]))
    assert (found(level).cause, found(level).features) == ("sensor_fault", ("sound",))


def test_signals_in_which_a_channel_stands_still_are_set_aside_and_no_others() -> None:
    now, still = described(1, sessions=1), described(1, sessions=1).still_NC.copy()
    still[[3, 4, 9], 0] = 1.0
    still[9, 2] = 0.9
    triage = found(replace(now, still_NC=still))
    assert (triage.cause, triage.features) == ("sensor_fault", ("force", "sound"))
    assert triage.set_aside == (Readings("force", 3, 4), Readings("force", 9, 9), Readings("sound", 9, 9))
    assert triage.reason == "force stands still in 3 of 30 signals; sound stands still in 1 of 30 signals"
    usual = replace(described(0), still_NC=np.ones_like(described(0).still_NC))
    assert found(replace(now, still_NC=still), usual).cause == "none", "it always may"
    assert triage_signals(CHANNELS, None, replace(now, still_NC=still), (), None).features == ("force",)
    still[:, 0] = 1.0
    assert triage_signals(CHANNELS, None, replace(now, still_NC=still), (), None).cause == "none", "it is not in use"


def test_elements_never_seen_and_clusters_that_moved_are_named_beside_a_fault() -> None:
    now = described(2, sessions=2)
    triage = found(scaled(now, [0], 0.4), new=tuple("abcdefg"), moved="drift in e1")
    assert (triage.cause, triage.also) == ("sensor_fault", ("covariate", "regime"))
    assert triage.reason.endswith("; also: drift in e1; also: a, b, c, d, e and 2 more")
    assert found(now, new=("e9",)).cause == "regime"
    assert found(now, moved="drift in e1").cause == "covariate"


def test_a_single_channel_and_elements_hardly_known_tell_of_no_scale() -> None:
    now = scaled(described(3, sessions=2), [1], 3.0)
    unknown = described(0, elements=range(10, 16))
    assert found(now, unknown).cause == "none"
    one, before = (
        replace(d, means_NC=d.means_NC[:, :1], deviations_NC=d.deviations_NC[:, :1], still_NC=d.still_NC[:, :1])
        for d in (scaled(now, [0], 3.0), described(0))
    )
    alone = triage_signals(("force",), before, one, (), None)
    assert alone.cause == "covariate", "with no other channel it cannot be told from a process that moved"
