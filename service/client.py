"""`Client`: the service's API from Python, on any machine that has httpx and NumPy.

from lehr import Client

client = Client("http://plant:8000", token)          # or LEHR_URL and LEHR_TOKEN
job = client.jobs.send("january.csv", pipeline="glass-line", site="kostroma")
client.jobs.save_model(client.jobs.wait(job["job_id"])["job_id"], "model.onnx")
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.calls import Answer, Calls, ServiceError, checked, one_kind_of_error, unreached

API = "/api/v1"
ENDED = ("registered", "refused", "failed", "cancelled")
LEAST_SECONDS, MOST_SECONDS = 0.2, 5.0
"""Between two looks at a job: at first, and after a while."""
MOST_BREAKS = 5
"""In a row, of a stream that brings nothing in between."""


@dataclass(frozen=True)
class Predictions:
    """outputs: probabilities by class, or values, a sample each; labels: the likeliest classes; None for values."""

    outputs: NDArray[np.float32]
    labels: list[str] | None
    version: int
    receipt_id: str


class Client:
    """One service, by its address and a token; default: LEHR_URL (or http://127.0.0.1:8000) and LEHR_TOKEN.

    Every method raises ServiceError where the service refuses or cannot be reached.
    """

    def __init__(self, url: str | None = None, token: str | None = None, timeout: float = 60) -> None:
        address = url or os.environ.get("LEHR_URL") or "http://127.0.0.1:8000"
        secret = token or os.environ.get("LEHR_TOKEN")
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        self._calls = Calls(httpx.Client(base_url=address, headers=headers, timeout=timeout))
        self.files = Files(self._calls)
        self.trainings = Trainings(self._calls)
        self.jobs = Jobs(self._calls)
        self.pipelines = Pipelines(self._calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._calls.client.close()

    def predict(
        self, pipeline: str, inputs: ArrayLike, version: int | None = None, allow_missing: bool = False
    ) -> Predictions:
        """Predict with what is in production, or with a version.

        inputs: (B, C), or (B, L, C) for windows, the features in the order of `pipelines.describe`. allow_missing: NaN
        is a missing reading instead of a mistake.
        """
        array = np.ascontiguousarray(np.asarray(inputs, dtype="<f4"))
        tensor = {"name": "inputs", "datatype": "FP32", "shape": list(array.shape)}
        sized = {**tensor, "parameters": {"binary_data_size": array.nbytes}}
        head = json.dumps({"inputs": [sized], "parameters": {"allow_missing": allow_missing}}).encode()
        of_version = "" if version is None else f"/versions/{version}"
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        answer = self._calls.json(
            "POST", f"/v2/models/{pipeline}{of_version}/infer", content=head + array.tobytes(), headers=headers
        )
        found = {output["name"]: output for output in answer["outputs"]}
        outputs = np.asarray(found["prediction"]["data"], np.float32).reshape(found["prediction"]["shape"])
        labels = found["label"]["data"] if "label" in found else None
        return Predictions(outputs, labels, int(answer["model_version"]), answer["parameters"]["receipt_id"])


class Files:
    """Files to train on."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def send(self, file: Path | str) -> Answer:
        """Send a CSV or Parquet file; the answer has its `file_id` and columns."""
        return self._calls.send(f"{API}/files", {"file": file}, {})

    def describe(self, file_id: str) -> Answer:
        """What is known of a file."""
        return self._calls.json("GET", f"{API}/files/{file_id}")

    def remove(self, file_id: str) -> None:
        """Remove it."""
        self._calls.json("DELETE", f"{API}/files/{file_id}")


class Trainings:
    """Epoch trainings."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._place = calls, f"{API}/epoch-training"

    def start(self, key: str | None = None, **config: Any) -> str:
        """Start a training with the fields of `POST /api/v1/epoch-training/start`; its task_id."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._calls.json("POST", f"{self._place}/start", json=config, headers=headers)["task_id"]

    def progress(self, task_id: str) -> Answer:
        """How far it is."""
        return self._calls.json("GET", f"{self._place}/progress/{task_id}")["progress"]

    def history(self, task_id: str) -> list[Answer]:
        """Every epoch so far."""
        return self._calls.json("GET", f"{self._place}/history/{task_id}")["history"]

    def follow(self, task_id: str) -> Iterator[Answer]:
        """Each event as it happens, until the training is over; a broken connection goes on where it was."""
        after, breaks = 0, 0
        while True:
            try:
                for number, event in self._events(task_id, after):
                    after, breaks = number, 0
                    yield event
                    if event["type"] in ("complete", "error"):
                        return
            except ServiceError as error:
                breaks += 1
                if error.status or breaks == MOST_BREAKS:
                    raise
                time.sleep(LEAST_SECONDS * 2**breaks)

    def _events(self, task_id: str, after: int) -> Iterator[tuple[int, Answer]]:
        headers, number = {"Last-Event-ID": str(after)}, after
        with (
            one_kind_of_error(),
            self._calls.client.stream("GET", f"{self._place}/stream-progress/{task_id}", headers=headers) as answer,
        ):
            if answer.is_error:
                answer.read()
            checked(answer)
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    number = int(value)
                elif field == "data":
                    yield number, json.loads(value)
        raise unreached("the stream ended before its training")

    def pause(self, task_id: str) -> Answer:
        """Pause it before its next batch."""
        return self._calls.json("POST", f"{self._place}/pause/{task_id}")

    def resume(self, task_id: str) -> Answer:
        """Let it go on."""
        return self._calls.json("POST", f"{self._place}/resume/{task_id}")

    def cancel(self, task_id: str) -> Answer:
        """End it for good."""
        return self._calls.json("POST", f"{self._place}/cancel/{task_id}")

    def save_model(self, task_id: str, target: Path | str) -> Path:
        """Write the trained model into a file."""
        return self._calls.save(f"{self._place}/model/{task_id}", target)


class Jobs:
    """Retraining jobs."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._place = calls, f"{API}/retraining/jobs"

    def send(
        self,
        file: Path | str,
        pipeline: str | None = None,
        config: Mapping[str, Any] | str | None = None,
        site: str | None = None,
        model: Path | str | None = None,
        card: Path | str | None = None,
        key: str | None = None,
    ) -> Answer:
        """Send a file to learn from; the arguments are the form's parts and fields. The answer has the `job_id`."""
        given = {"file": file, "model": model, "card": card}
        files = {part: path for part, path in given.items() if path is not None}
        text = json.dumps(config) if isinstance(config, Mapping) else config
        return self._calls.send(self._place, files, {"pipeline": pipeline, "config": text, "site": site}, key)

    def all(self, site: str | None = None) -> list[Answer]:
        """Jobs, the newest first; of one site where one is named."""
        return self._calls.json("GET", self._place, params={} if site is None else {"site": site})["jobs"]

    def get(self, job_id: str) -> Answer:
        """How far a job is."""
        return self._calls.json("GET", f"{self._place}/{job_id}")

    def follow(self, job_id: str) -> Iterator[Answer]:
        """The job at each new stage or epoch, until it is over."""
        told, pause = None, LEAST_SECONDS
        while True:
            job = self.get(job_id)
            now = (job["stage"], job["progress"])
            if now != told:
                told, pause = now, LEAST_SECONDS
                yield job
            if job["stage"] in ENDED:
                return
            time.sleep(pause)
            pause = min(1.3 * pause, MOST_SECONDS)

    def wait(self, job_id: str) -> Answer:
        """The job once it is over."""
        *_, last = self.follow(job_id)
        return last

    def save_model(self, job_id: str, target: Path | str) -> Path:
        """Write the model of a job that passed the gate into a file: .onnx, or .safetensors with its card."""
        form = "safetensors" if str(target).endswith(".safetensors") else "onnx"
        return self._calls.save(f"{self._place}/{job_id}/model", target, params={"form": form})

    def remove(self, job_id: str) -> None:
        """End a job that is not judged yet, and remove its files."""
        self._calls.json("DELETE", f"{self._place}/{job_id}")


class Pipelines:
    """Pipelines, and deliveries to them."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._place = calls, f"{API}/pipelines"

    def all(self) -> list[Answer]:
        """Every pipeline, and where it stands."""
        return self._calls.json("GET", self._place)["pipelines"]

    def describe(self, name: str) -> Answer:
        """What its champion takes and answers: features in order, classes, versions."""
        return self._calls.json("GET", f"/v2/models/{name}")

    def deliver(self, name: str, file: Path | str, key: str | None = None) -> Answer:
        """Deliver a batch; the answer has its `batch_id`."""
        return self._calls.send(f"{self._place}/{name}/batches", {"file": file}, {}, key)

    def deliver_labels(self, name: str, file: Path | str, key: str | None = None, new_classes: bool = False) -> Answer:
        """Deliver labels that come later than their rows, or than the predictions that the column prediction_id names.

        new_classes: labels by receipt may be of classes that no version knows yet.
        """
        place = f"{self._place}/{name}/labels{'?new_classes=true' * new_classes}"
        return self._calls.send(place, {"file": file}, {}, key)

    def tell_labels(self, name: str, labels: Mapping[str, str | float], new_classes: bool = False) -> Answer:
        """Tell what turned out to be true of predictions: the target by receipt; how the versions did is answered."""
        target = self.describe(name)["parameters"]["target"]
        rows = [{"prediction_id": receipt, target: label} for receipt, label in labels.items()]
        place = f"{self._place}/{name}/labels{'?new_classes=true' * new_classes}"
        return self._calls.json("POST", place, json={"labels": rows})

    def batch(self, name: str, batch_id: str) -> Answer:
        """What has become of a delivery."""
        return self._calls.json("GET", f"{self._place}/{name}/batches/{batch_id}")
