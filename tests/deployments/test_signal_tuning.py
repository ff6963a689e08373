"""What a pipeline of signals is tuned on, and what it cannot be."""

from pathlib import Path
from typing import Any

import pytest

from data.npz_files import write_npz
from data.synthetic_signals import KEYPOINTS, SignalPlan, synthetic_signals
from deployments.kinds import tunable_of_source
from deployments.settings import Settings
from deployments.tuning import Budget, overrides_of, tune

PIPELINE = """
name: machines
task: representation
data: {keypoints: [rise, peak, fall], ordered: true, holdout: {by: session, share: 0.4}}
model: {channels: [4], hidden_units: 4, embedding_dim: 4}
training: {epochs: 2, batches: 2, p_elements: 4, k_samples: 3, loss: {temperature: 0.2}}
gate: {metric: keypoint_mae}
tuning:
  trials: 2
  finalists: 1
  space: {decoding: [median, ordered], loss.metric: [contrastive, triplets]}
"""


def write(folder: Path, elements: int, text: str = PIPELINE) -> Path:
    signals = synthetic_signals(SignalPlan(tuple(range(elements)), (0, 1, 2, 3, 4), signals=4, samples=32), seed=1)
    arrays = {name: signals.keypoints[name] for name in KEYPOINTS}
    ids = {"element_ids": signals.element_ids_N, "session_ids": signals.session_ids_N}
    (folder / "source").mkdir()
    (folder / "source" / "1.npz").write_bytes(
        write_npz({"signals": signals.values_NCT, "lengths": signals.lengths_N, **ids, **arrays})
    )
    (folder / "source" / "2.npz").write_bytes(b"no signals")
    pipeline = folder / "machines.yaml"
    pipeline.write_text(text)
    return pipeline


def tuned(folder: Path, pipeline: Path) -> dict[str, Any]:
    return tune(tunable_of_source(pipeline, [folder / "source"], 60), Settings(home=folder / "home"), Budget())


def test_a_source_is_searched_as_the_loop_would_learn_from_it(tmp_path: Path) -> None:
    pipeline = write(tmp_path, 8)
    tunable = tunable_of_source(pipeline, [tmp_path / "source"], 60)
    everything = 8 * 5 * 4
    assert 0.4 * everything < len(tunable.material) < 0.8 * everything, "the gate's sessions are left out"
    result = tuned(tmp_path, pipeline)
    assert (result["rows"], result["metric"], result["task"]) == (
        len(tunable.material), "keypoint_mae", "representation",
    )  # fmt: skip
    assert [o["lower_is_better"] for o in result["objectives"]] == [True]
    found = overrides_of(result).apply(tunable.config)
    assert found.model.model_dump()["decoding"] == result["best"]["point"]["decoding"]
    assert found.training.model_dump()["loss"]["temperature"] == 0.2, "what is not searched stays"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "machines.yaml", "source"], "no suite is made"
    again = tuned(tmp_path, pipeline)
    assert again["trials"] == result["trials"]


def test_what_the_pipeline_has_is_a_point_of_the_usual_space(tmp_path: Path) -> None:
    text = PIPELINE[: PIPELINE.index("tuning:")] + "tuning: {trials: 1, finalists: 1, halving: false}"
    own = tuned(tmp_path, write(tmp_path, 6, text))["baseline"]["point"]
    assert (own["channels"], own["hidden_units"], own["temperature"]) == ([4], 4, 0.2)


@pytest.mark.parametrize(
    ("elements", "was", "now", "said"),
    [
        (
            8,
            "loss.metric: [",
            "units: [8, ",
            "search_space.units: nothing is configured by it; allowed are",
        ),
        (8, "ordered: true", "ordered: false", "{'decoding': 'ordered', 'loss.metric': 'contrastive'} does not fit"),
        (2, "by: session, share: 0.4", "by: element, share: 0.1", "elements are too few to tune on; 4 at least"),
        (8, "share: 0.4", "share: 0.89", "too few to tune on; two elements at least, and two sessions of one"),
    ],
)
def test_what_cannot_be_tuned_is_said(tmp_path: Path, elements: int, was: str, now: str, said: str) -> None:
    pipeline = write(tmp_path, elements, PIPELINE.replace(was, now))
    with pytest.raises(ValueError) as refused:
        tuned(tmp_path, pipeline)
    assert said in str(refused.value)


def test_a_source_of_which_nothing_is_sound_is_said(tmp_path: Path) -> None:
    pipeline = write(tmp_path, 2)
    (tmp_path / "source" / "1.npz").unlink()
    with pytest.raises(ValueError, match=r"2\.npz: the file is not a readable npz file"):
        tuned(tmp_path, pipeline)
