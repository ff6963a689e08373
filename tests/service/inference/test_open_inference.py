"""Predictions over real sockets."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from deployments.predicting import record_path
from deployments.receipts import find_prediction, receipt_of
from deployments.scoring import OnnxModel
from tests.service.conftest import Secrets
from tests.service.inference.asking import INFER, INPUTS, body, wait_until
from tests.service.plant import Plant, trained_version


@pytest.fixture
def other_client(plant: Plant, address: str, secrets: Secrets) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    client._headers = {"Authorization": f"Bearer {secrets['predict']}"}  # pyright: ignore[reportAttributeAccessIssue]
    yield client
    client.close()


def expected(seed: int = 0) -> Any:
    return OnnxModel(trained_version(seed).onnx).predict(INPUTS)


def test_an_answer_names_its_version_and_a_receipt_that_can_be_explained(
    client: httpx.Client, plant: Plant, home: Path
) -> None:
    answer = client.post(INFER, json=body()).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("line", "1", "7")
    prediction, label = answer["outputs"]
    assert np.reshape(prediction["data"], prediction["shape"]) == pytest.approx(expected(), abs=1e-6)
    assert label["data"][:2] == ["good", "bad"]
    receipt = answer["parameters"]["receipt_id"]
    second = client.post(INFER, json=body(INPUTS[:1])).json()["parameters"]["receipt_id"]
    assert receipt.endswith("-1")
    wait_until(lambda: plant.ledger.prediction(second.split("-")[0]) is not None)
    place = find_prediction(plant.ledger, home, receipt)
    explained = receipt_of(plant.ledger, place)
    assert explained["prediction"]["prediction"] == "good"
    assert explained["model"]["version"] == 1
    assert explained["production"]["reason"] == "seed 0"
    kept = pl.read_parquet(record_path(home / "line", place.request))
    assert kept["prediction"].to_list()[:2] == ["good", "bad"]
    twin = receipt_of(plant.ledger, find_prediction(plant.ledger, home, second))
    assert twin["prediction"]["row_sha256"] == explained["prediction"]["row_sha256"]


def test_another_systems_client_reads_metadata_and_infers_both_ways(
    other_client: triton.InferenceServerClient, secrets: Secrets
) -> None:
    headers = {"Authorization": f"Bearer {secrets['predict']}"}
    assert other_client.is_server_live(headers=headers)
    assert other_client.is_server_ready(headers=headers)
    assert other_client.is_model_ready("line", headers=headers)
    assert other_client.is_model_ready("line", "1", headers=headers)
    assert not other_client.is_model_ready("line", "9", headers=headers)
    assert other_client.get_server_metadata(headers=headers)["extensions"] == ["binary_tensor_data"]
    metadata: Any = other_client.get_model_metadata("line", headers=headers)
    assert metadata["inputs"] == [{"name": "inputs", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["parameters"]["features"] == ["heat", "speed"]
    for binary_in in (False, True):
        for binary_out in (False, True):
            inputs = triton.InferInput("inputs", [3, 2], "FP32")
            inputs.set_data_from_numpy(INPUTS, binary_data=binary_in)
            wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("prediction", "label")]
            result = other_client.infer("line", [inputs], outputs=wanted, headers=headers)
            assert result.as_numpy("prediction") == pytest.approx(expected(), abs=1e-6)
            labels = [str(x, "utf-8") if isinstance(x, bytes) else x for x in result.as_numpy("label")]
            assert labels[:2] == ["good", "bad"]
    by_default = other_client.infer("line", [inputs], headers=headers)
    assert by_default.as_numpy("prediction") == pytest.approx(expected(), abs=1e-6)
    inputs = triton.InferInput("inputs", [3, 2], "FP64")
    inputs.set_data_from_numpy(INPUTS.astype(np.float64))
    with pytest.raises(InferenceServerException, match="expected FP32 of shape"):
        other_client.infer("line", [inputs], headers=headers)


def test_what_is_not_there_is_not_found(client: httpx.Client) -> None:
    for path in ("/v2/models/nowhere", "/v2/models/nowhere/ready", "/v2/models/line/versions/9", "/v2/models/%2e%2e"):
        assert client.get(path).status_code == 404
    for path in ("/v2/models/nowhere/infer", "/v2/models/line/versions/9/infer"):
        assert client.post(path, json=body()).status_code == 404
    assert client.post("/v2/models/line/versions/0/infer", json=body()).status_code == 422


def test_a_wrong_request_is_told_what_is_expected(client: httpx.Client) -> None:
    answer = client.post(INFER, json=body(INPUTS[:, :1]))
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["detail"] == "inputs: expected FP32 of shape [samples, 2], got FP32 of shape [3, 1]"
    assert client.post(INFER, content=b"x", headers={"Content-Encoding": "gzip"}).status_code == 415


def test_the_champion_is_swapped_without_a_failed_request(client: httpx.Client, plant: Plant) -> None:
    seeds = {1: 0}
    answers: dict[int, list[Any]] = {}
    failures: list[int] = []
    going = True

    def ask(connection: httpx.Client) -> None:
        while going:
            answer = connection.post(INFER, json=body())
            if answer.status_code != 200:
                failures.append(answer.status_code)
                continue
            document = answer.json()
            answers.setdefault(int(document["model_version"]), []).append(document["outputs"][0]["data"])

    def connect() -> httpx.Client:
        return httpx.Client(base_url=client.base_url, headers=client.headers, timeout=30, trust_env=False)

    connections = [connect() for _ in range(3)]
    threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for swap in range(1, 6):
        number = plant.promote(swap % 3)
        seeds[number] = swap % 3
        wait_until(lambda number=number: len(answers.get(number, [])) > 3)
    going = False
    for thread, connection in zip(threads, connections, strict=True):
        thread.join()
        connection.close()
    assert failures == []
    assert sorted(answers) == [1, 2, 3, 4, 5, 6]
    for version, given in answers.items():
        for data in given:
            assert np.reshape(data, (3, 2)) == pytest.approx(expected(seeds[version]), abs=1e-6)
    old = client.post("/v2/models/line/versions/1/infer", json=body()).json()
    assert old["model_version"] == "1"
    assert np.reshape(old["outputs"][0]["data"], (3, 2)) == pytest.approx(expected(0), abs=1e-6)


def test_a_changed_version_does_not_go_live(client: httpx.Client, plant: Plant, home: Path) -> None:
    assert client.post(INFER, json=body()).json()["model_version"] == "1"
    card = home / "line" / "versions" / "2" / "card.json"
    number = plant.ledger.next_version("line")
    plant.ledger.register_version("line", number, "0" * 64, None, 1, "bootstrap")
    plant.ledger.promote("line", number, 1, None, "nothing behind it")
    time.sleep(0.3)
    assert not card.exists()
    assert client.post(INFER, json=body()).json()["model_version"] == "1"
