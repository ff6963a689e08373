from pathlib import Path

import pytest

from deployments.definitions import definitions
from deployments.pipeline import PipelineConfig
from deployments.pipeline_files import load_pipeline
from deployments.representation_pipeline import RepresentationPipeline

PIPELINES = Path(__file__).parents[2] / "deployments" / "pipelines"
LEAST = "name: x\ntask: representation\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text)
    return path


def test_every_example_is_read_as_what_its_task_is() -> None:
    kinds = {path.stem: type(load_pipeline(path)) for path in PIPELINES.glob("*.yaml")}
    assert kinds.pop("ecg-beats") is RepresentationPipeline
    assert set(kinds.values()) == {PipelineConfig}


def test_a_name_and_the_task_are_enough(tmp_path: Path) -> None:
    config = load_pipeline(write(tmp_path, LEAST))
    assert (config.task, config.metric) == ("representation", "element_recall_at_1")


def test_keypoints_that_follow_one_another_are_decoded_so_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    ordered, decodings = LEAST + "data: {keypoints: [rise, fall], ordered: true}\n", list[str]()
    for model in ("", "model: {dropout: 0.0}", "model: {decoding: median}"):
        config = load_pipeline(write(tmp_path, ordered + model))
        assert isinstance(config, RepresentationPipeline)
        decodings.append(config.model.decoding)
    assert decodings == ["ordered", "ordered", "median"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {decoding: ordered}", "model.decoding: ordered needs data.ordered: true"),
        ("gate: {metric: accuracy}", "gate.metric: input should be 'element_recall_at_1'"),
        ("gate: {thresholds: {accuracy: 1}}", "gate.thresholds"),
        (
            "gate: {metric: keypoint_mae}",
            "gate.metric: keypoint_mae needs keypoints; name their columns in data.keypoi",
        ),
        ("gate: {judges: [me]}", "gate.judges: nobody is named as annotator"),
        ("data: {weights: {auto: 0.1}}", "weights: nobody is named as annotator"),
        ("data: {keypoints: [element_ids]}", "'element_ids' is already named by element; a column has one role"),
        ("data: {samples: {min: 9, max: 8}}", "min: 9 is more than max, 8"),
        ("data: {target: y}", "data.target: unknown key; allowed are annotator, element"),
        ("update: {strategy: replay}", "update: unknown key"),
        ("trigger: {any: [{kind: score_drift, detector: adwin}]}", "score_drift does not fit representation"),
    ],
)
def test_a_mistake_says_where_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match="not a valid pipeline file") as caught:
        load_pipeline(write(tmp_path, LEAST + text))
    assert said in str(caught.value)


def test_what_works_on_rows_refuses_signals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"works on rows; .* task: representation\. For signals there are lehr run, "):
        PipelineConfig.load(write(tmp_path, LEAST))


def test_it_is_scheduled_as_any_other() -> None:
    found = definitions([PIPELINES / "ecg-beats.yaml", PIPELINES / "weather.yaml"])
    told = [d.description.rsplit(": ", 1)[-1] for d in found if d.flow == "learn-continuously"]
    assert told == ["representation of `signals`.", "classification of `target`."]
