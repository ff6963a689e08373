"""Representations over real sockets, beside predictions of rows."""

import json
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import torch

from data.ledger import Ledger
from data.row_hashes import hash_signal
from deployments.predicting import record_path
from deployments.settings import Settings
from deployments.signal_export import SignalModel, export_signals
from deployments.versions import save_version
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet
from service.core import now

INFER = "/v2/models/presses/infer"
SIGNALS = np.random.default_rng(0).standard_normal((3, 2, 40)).astype(np.float32)
LENGTHS = np.array([40, 25, 31])


@pytest.fixture
def model(home: Path) -> SignalModel:
    """A version in production."""
    torch.manual_seed(0)
    network = HierarchicalSignalNet(2, ("on", "off"), HierarchicalConfig(channels=[4], hidden_units=4, embedding_dim=8))
    onnx = export_signals(network)
    card = {"pipeline": "presses", "config": {"task": "representation"}, "classes": None, "features": ["u", "v"]}
    digest = save_version(home / "presses" / "versions" / "1", onnx, card, b"", pl.DataFrame())
    ledger = Ledger(Settings(home=home).ledger_url, now)
    ledger.declare_schema("presses", {"channels": ["u", "v"]})
    ledger.register_version("presses", 1, digest, None, 1, "bootstrap")
    ledger.promote("presses", 1, None, None, "the first")
    return SignalModel(onnx)


@pytest.fixture
def client(model: SignalModel, client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("predict")


def tensor(name: str, datatype: str, array: np.ndarray) -> dict:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.tolist()}


def asked(signals: np.ndarray = SIGNALS, lengths: np.ndarray | None = LENGTHS, **more) -> dict:
    inputs = [tensor("signals", "FP32", signals)]
    return {"inputs": inputs + ([] if lengths is None else [tensor("lengths", "INT64", lengths)]), **more}


def found(answer: httpx.Response) -> dict[str, np.ndarray]:
    assert answer.status_code == 200, answer.text
    return {o["name"]: np.reshape(o["data"], o["shape"]) for o in answer.json()["outputs"]}


def test_signals_of_different_lengths_are_represented(client: httpx.Client, model: SignalModel) -> None:
    answer = client.post(INFER, json=asked(id="7"))
    expected, outputs = model.represent(SIGNALS, LENGTHS), found(answer)
    assert answer.json()["id"] == "7"
    assert answer.json()["parameters"].keys() == {"keypoints", "receipt_id"}
    assert answer.json()["parameters"]["keypoints"] == ["on", "off"]
    np.testing.assert_allclose(outputs["embeddings"], expected.embeddings_BE, atol=1e-6)
    np.testing.assert_allclose(outputs["positions"], expected.positions_BK, atol=1e-4)
    assert outputs["keypoint_logits"].shape == expected.keypoint_logits_BLK.shape
    whole = found(client.post(INFER, json=asked(lengths=None, outputs=[{"name": "embeddings"}])))
    np.testing.assert_allclose(whole["embeddings"], model.represent(SIGNALS).embeddings_BE, atol=1e-6)
    assert set(whole) == {"embeddings"}


def test_each_answer_has_a_receipt(client: httpx.Client, model: SignalModel, home: Path) -> None:
    first, second = (client.post(INFER, json=asked()).json()["parameters"]["receipt_id"] for _ in range(2))
    ledger = Ledger(Settings(home=home).ledger_url, now)
    expected = model.represent(SIGNALS, LENGTHS)
    for receipt in (first, second):
        request, row = receipt.split("-")
        kept = eventually(lambda request=request: ledger.prediction(request))
        assert (kept.pipeline, kept.version) == ("presses", 1)
        record = pl.read_parquet(record_path(home / "presses", kept))
        answer = record.row(int(row), named=True)  # the signal after the first
        assert answer["row_sha256"] == hash_signal(np.ascontiguousarray(SIGNALS[1, :, : LENGTHS[1]]))
        np.testing.assert_allclose(answer["embedding"], expected.embeddings_BE[1], atol=1e-6)
        assert answer["position.off"] == pytest.approx(expected.positions_BK[1, 1], abs=1e-4)


def eventually(look: Callable[[], Any]) -> Any:
    """What is found within ten seconds."""
    for _ in range(200):
        if (found := look()) is not None:
            return found
        sleep(0.05)
    raise AssertionError("nothing was found")


def test_signals_may_be_sent_as_bytes(client: httpx.Client, model: SignalModel) -> None:
    parts = [SIGNALS.astype("<f4").tobytes(), LENGTHS.astype("<i8").tobytes()]
    document = asked(outputs=[{"name": "positions", "parameters": {"binary_data": True}}])
    for given, content in zip(document["inputs"], parts, strict=True):
        del given["data"]
        given["parameters"] = {"binary_data_size": len(content)}
    head = json.dumps(document).encode()
    answer = client.post(
        INFER, content=b"".join([head, *parts]), headers={"Inference-Header-Content-Length": str(len(head))}
    )
    assert answer.status_code == 200, answer.text
    behind = answer.content[int(answer.headers["Inference-Header-Content-Length"]) :]
    positions = np.frombuffer(behind, "<f4").reshape(3, 2)
    np.testing.assert_allclose(positions, model.represent(SIGNALS, LENGTHS).positions_BK, atol=1e-4)


def test_it_says_what_it_takes_and_answers(client: httpx.Client) -> None:
    told = client.get("/v2/models/presses").json()
    assert [(t["name"], t["datatype"], t["shape"]) for t in told["inputs"]] == [
        ("signals", "FP32", [-1, 2, -1]), ("lengths", "INT64", [-1]),
    ]  # fmt: skip
    assert {t["name"]: t["shape"] for t in told["outputs"]} == {
        "embeddings": [-1, 8], "keypoint_logits": [-1, -1, 2], "offsets": [-1, -1, 2], "positions": [-1, 2],
    }  # fmt: skip
    assert told["parameters"] == {"version": "1", "keypoints": ["on", "off"]}
    assert client.get("/v2/models/presses/ready").status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputs": [tensor("inputs", "FP32", SIGNALS)]}, "expected 'signals' and perhaps 'lengths'"),
        (asked(SIGNALS[:, :1]), "signals: expected FP32 of shape [-1, 2, -1]"),
        (asked(lengths=np.array([40, 41, 3])), "lengths: expected 1 to 40 samples, got 3 to 41"),
        (asked(lengths=np.array([40, 0, 3])), "lengths: expected 1 to 40 samples, got 0 to 40"),
        (asked(lengths=np.array([40])), "lengths: expected INT64 of shape [3]"),
        (asked(lengths=np.array([1.5, 2, 3])), "lengths: expected whole numbers"),
        (asked(outputs=[{"name": "label"}]), "outputs: expected embeddings or keypoint_logits"),
        ({"inputs": [{**tensor("signals", "FP32", SIGNALS), "data": ["a"] * 240}]}, "expected numbers in data"),
        ({"inputs": [{**tensor("signals", "FP32", SIGNALS), "data": [1.0]}]}, "expected 240 numbers"),
        ({"inputs": [{**tensor("signals", "FP32", SIGNALS), "data": [1e300] * 240}]}, "expected finite numbers"),
        (
            {"inputs": [{**asked()["inputs"][0], "data": None, "parameters": {"binary_data_size": 4}}]},
            "binary_data_size up to 0",
        ),
    ],
)
def test_what_cannot_be_represented_says_why(client: httpx.Client, body: dict, said: str) -> None:
    answer = client.post(INFER, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
