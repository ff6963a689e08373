import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest
import safetensors.torch
import torch

from data.sources import Arrival
from deployments.drafts import load_draft
from deployments.job_training import train_job
from deployments.pipeline import PipelineConfig
from deployments.sent_models import CARD, as_weights, check_sent, open_sent
from deployments.training import Trained, read_given, train_on
from tests.deployments.jobs import DOCUMENT, make_job, site_csv


@cache
def trained() -> Trained:
    config = PipelineConfig.parse(DOCUMENT, "the test")
    return train_on(read_given(config, Arrival("h.csv", site_csv(), "csv")))


def write(folder: Path, content: bytes, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_from_scratch_it_is_what_a_training_of_its_own_makes(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", site_csv())
    train_job(folder)
    outcome = folder.outcome()
    assert outcome is not None
    assert (outcome.reason, outcome.rows, outcome.rows_quarantined) == (None, 400, 0)
    candidate, classes = load_draft(folder.draft)
    expected = trained().candidate.state_tensors()
    assert classes == ["bad", "good"]
    assert all((tensor == expected[name]).all() for name, tensor in candidate.state_tensors().items())
    told = [json.loads(line) for line in folder.progress.read_text().splitlines()]
    assert told[:2] == [{"stage": "validating"}, {"stage": "training"}]
    assert [line["epoch"]["epoch"] for line in told[2:]] == list(range(1, 1 + len(told[2:])))
    (folder.work / "outcome.json").unlink()
    train_job(folder)  # killed after its last checkpoint, it has nothing left to learn
    again, _ = load_draft(folder.draft)
    assert all((tensor == expected[name]).all() for name, tensor in again.state_tensors().items())
    assert len(folder.progress.read_text().splitlines()) == 2


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_with_a_model_it_is_fine_tuned(tmp_path: Path, suffix: str) -> None:
    model = trained().onnx if suffix == ".onnx" else as_weights(trained().onnx)
    folder = make_job(tmp_path / "job", site_csv(seed=1), model=model, suffix=suffix, number=5)
    train_job(folder)
    outcome = folder.outcome()
    assert outcome is not None
    assert outcome.reason is None
    candidate, _ = load_draft(folder.draft)
    numbers = candidate.memory.samples.batches_B
    assert candidate.trained_through == 5
    assert set(numbers.tolist()) == ({0, 5} if suffix == ".onnx" else {5})  # weights alone remember nothing
    before, after = trained().candidate.state_tensors(), candidate.state_tensors()
    first = next(name for name in before if name.endswith("weight"))
    moved = float((after[first] - before[first]).norm() / before[first].norm())
    assert 0 < moved < 0.7
    assert open_sent(write(tmp_path, folder.packed.read_bytes())).classes == ["bad", "good"]


def other(**changes: Any) -> dict[str, Any]:
    return {**DOCUMENT, **changes}


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        (site_csv().replace(b"\n", b"\nx", 1), {}, "heat"),
        (b"heat,speed\n1,2\n", {}, "quality"),
        (b"heat,speed,quality\n1,2,good\n", {}, "there is nothing to learn in 1 rows"),
        (b"heat,speed,quality\n" + b",,good\n,,bad\n" * 50, {}, "not one reading in 100 rows"),
        (site_csv(), {"sha256": "0" * 64}, "was changed since it came"),
        (site_csv().replace(b"good", b"great"), {"model": True}, "does not know the class 'great'"),
        (site_csv().replace(b"speed", b"pace"), {"model": True}, "the model reads heat, speed"),
        (site_csv(), {"model": True, "document": other(task="regression")}, "the model's task is classification"),
        (site_csv(), {"model": True, "document": other(update={"strategy": "scratch"})}, "without a model"),
        (site_csv(), {"model": True, "document": other(update={"strategy": "replay"})}, "heads"),
        (site_csv(), {"model": True, "known": True}, "has learned from h.csv before"),
    ],
)
def test_what_cannot_be_learned_from_is_said(tmp_path: Path, content: bytes, more: dict[str, Any], said: str) -> None:
    if more.get("model"):
        more = {**more, "model": trained().onnx}
    folder = make_job(tmp_path / "job", content, **more)
    train_job(folder)
    outcome = folder.outcome()
    assert outcome is not None
    assert said in str(outcome.reason)
    assert not folder.draft.exists()


def test_rows_that_are_no_readings_are_left_out(tmp_path: Path) -> None:
    content = site_csv() + b",,good\n" * 4
    folder = make_job(tmp_path / "job", content)
    train_job(folder)
    outcome = folder.outcome()
    assert outcome is not None
    assert (outcome.rows, outcome.rows_quarantined) == (400, 4)


def foreign() -> bytes:
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])).SerializeToString()


def altered(key: str) -> bytes:
    document = onnx.load_model_from_string(trained().onnx)
    (found,) = [p for p in document.metadata_props if p.key == key]
    found.value = found.value.replace("mlp", "cnn") if "config" in key else found.value[::-1]
    return document.SerializeToString()


def weights(card: Any) -> bytes:
    metadata = {} if card is None else {CARD: card if isinstance(card, str) else json.dumps(card)}
    return safetensors.torch.save({"a": torch.zeros(1)}, metadata)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.onnx", lambda: pickle.dumps({"a": 1}), "pickle"),
        ("model.safetensors", lambda: b"PK\x03\x04" + bytes(40), "never opened"),
        ("model.onnx", foreign, "no training state"),
        ("model.onnx", lambda: trained().onnx[:5000], "no ONNX file"),
        ("model.onnx", lambda: altered("lehr.config"), "changed after it was exported"),
        ("model.onnx", lambda: altered("lehr.files/card.json"), "changed after it was exported"),
        ("model.safetensors", lambda: weights(None), "without their card"),
        ("model.safetensors", lambda: weights("{"), "not JSON"),
        ("model.safetensors", lambda: weights("[" * 100_000), "not JSON"),
        ("model.safetensors", lambda: weights({"config": {}}), "needs the keys"),
        ("model.safetensors", lambda: b"\xff" * 100, "no safetensors file"),
    ],
)
def test_what_is_no_model_of_ours_is_refused(tmp_path: Path, name: str, content: Any, said: str) -> None:
    path = write(tmp_path, content(), name)
    with pytest.raises(ValueError, match=said):
        check_sent(path, path.suffix, None)


def test_a_card_that_describes_other_weights_is_refused(tmp_path: Path) -> None:
    card = json.loads(safetensors_card(as_weights(trained().onnx)))
    with pytest.raises(ValueError, match="does not fit its own description"):
        open_sent(write(tmp_path, weights(card), "model.safetensors"))
    beside = json.dumps({**card, "state": {}}).encode()
    with pytest.raises(ValueError, match="does not describe its weights"):
        open_sent(write(tmp_path, weights(None), "model.safetensors"), beside)


def safetensors_card(content: bytes) -> str:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"][CARD]
