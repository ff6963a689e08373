"""A model file that is kept fresh, as users of the earlier training module called it."""

from pathlib import Path

import onnx
import polars as pl
import pytest

from data.ledger import Ledger
from deployments.line import open_ledger
from deployments.scoring import OnnxModel
from deployments.settings import Settings
from learning.continuous import ContinuousLearningSystem

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def exported(line_home: Path) -> tuple[Path, list[Path]]:
    """The exported first champion of a synthetic line, and the files of the batches after it."""
    versions = line_home / "line" / "versions"
    return versions / "1" / "model.onnx", sorted((line_home.parent / "source").glob("*.csv"))[1:]


@pytest.fixture
def model_path(exported: tuple[Path, list[Path]], tmp_path: Path) -> Path:
    path = tmp_path / "models" / "lstm_model.onnx"
    path.parent.mkdir()
    path.write_bytes(exported[0].read_bytes())
    return path


def ledger_of(model_path: Path) -> Ledger:
    return open_ledger(Settings(home=model_path.with_suffix(".lehr")))


def test_it_learns_on_from_the_file_alone(model_path: Path, exported: tuple[Path, list[Path]]) -> None:
    _, files = exported
    before = model_path.read_bytes()
    system = ContinuousLearningSystem(model_path=str(model_path))
    first = system.update_model(pl.read_csv(files[0]), performance_threshold=0.3)
    assert first.promoted, first.reason
    assert first.reason == "all checks passed"
    assert first.version == 2
    assert first.batches[0]["score_before"]["accuracy"] > 0.5, "the file's network scored the batch first"
    assert model_path.read_bytes() != before
    OnnxModel(model_path)

    pandas_frames = (pl.read_csv(file).to_pandas() for file in files[1:])
    later = ContinuousLearningSystem(model_path).update_model(pandas_frames, performance_threshold=0.3)
    assert [record["status"] for record in later.batches] == ["accepted", "accepted"]
    assert [record["batch"] for record in later.batches] == [2, 3]
    again = system.update_model(files[0], performance_threshold=0.3)
    assert again.batches[0]["status"] == "accepted", "the bytes of a CSV are not those of the frame"
    history = ledger_of(model_path).history("line")
    assert history[0].reason == "adopted from lstm_model.onnx"
    assert history[1].previous == 1


def test_a_worse_model_never_takes_the_files_place(model_path: Path, exported: tuple[Path, list[Path]]) -> None:
    before = model_path.read_bytes()
    updated = ContinuousLearningSystem(model_path).update_model(exported[1][0], performance_threshold=1.01)
    assert not updated.promoted
    assert "threshold" in updated.reason
    assert updated.version == 1
    assert model_path.read_bytes() == before


def test_bad_data_are_refused_with_the_reason(model_path: Path) -> None:
    updated = ContinuousLearningSystem(model_path).update_model(pl.DataFrame({"a": [1.0]}))
    assert not updated.promoted
    assert updated.batches[0]["status"] == "quarantined"
    assert "missing" in updated.reason


def test_what_is_no_data_is_refused(model_path: Path) -> None:
    system = ContinuousLearningSystem(model_path)
    with pytest.raises(ValueError, match="new_data is a int; give a data frame, an iterable of them, or a path"):
        system.update_model(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="new_data holds a str; each item must be a data frame"):
        system.update_model(["a"])  # type: ignore[list-item]


def test_a_file_without_state_is_refused_with_what_to_do(model_path: Path) -> None:
    document = onnx.load(model_path)
    for wanted in ("lehr.files/card.json", "lehr.state"):
        kept = [p for p in document.metadata_props if p.key != wanted]
        del document.metadata_props[:]
        document.metadata_props.extend(kept)
        onnx.save(document, model_path)
        with pytest.raises(
            ValueError, match=r"lstm_model\.onnx: this ONNX file .*so learning cannot continue"
        ) as error:
            ContinuousLearningSystem(model_path)
        assert "use a model.onnx that lehr exported" in str(error.value)
    with pytest.raises(ValueError, match="cannot read the model file"):
        ContinuousLearningSystem(model_path.with_name("nothing.onnx"))


def test_another_file_in_the_models_place_is_refused(model_path: Path, exported: tuple[Path, list[Path]]) -> None:
    system = ContinuousLearningSystem(model_path)
    system.update_model(exported[1][0], performance_threshold=0.3)
    document = onnx.load(exported[0])
    document.doc_string = "another"
    onnx.save(document, model_path)
    with pytest.raises(ValueError, match=r"is none of the versions in .*put back the file that was there"):
        system.update_model(exported[1][1])
