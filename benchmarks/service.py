"""The service over real sockets: predictions beside a bare onnxruntime loop, followers of a training, pauses.

`python -m benchmarks.service [--followers 200] [--swaps 100]`: starts `lehr serve` in a process of its own, on a home
of its own. Predictions: the time of one row over a kept connection, and samples a second in requests of 64 rows,
against onnxruntime called in a loop in this process, in turn. Swaps: the champion changes while three connections ask.
Followers: how long after an epoch is in the ledger each of them hears of it, and what they slow a training by. Pauses:
from the request to the last batch. Writes benchmarks/out/service.json.
"""

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.results import write_json
from data.ledger import Ledger
from data.sources import Arrival
from data.training_runs import TrainingRuns
from deployments.pipeline import PipelineConfig
from deployments.portable import unpack
from deployments.scoring import OnnxModel
from deployments.settings import Settings
from deployments.training import read_given, train_on
from deployments.versions import save_version
from service.core import now
from service.tokens import make_token, tokens_path

PORT = 8_431
FEATURES, ROWS = 20, 2_000
EPOCH_TRAINING = "/api/v1/epoch-training"


class Client:
    """One kept connection."""

    def __init__(self, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        self._connection.request(method, path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def json(self, method: str, path: str, document: Any = None) -> Any:
        """The answer's document, over a new connection: idle ones are closed after a while."""
        self._connection.close()
        status, body = self.ask(method, path, None if document is None else json.dumps(document).encode())
        assert status < 300, body
        return json.loads(body)


@contextmanager
def serving(home: Path) -> Generator[str]:
    """Inside, a service answers; the token of an admin."""
    token = make_token(tokens_path(home), "benchmark", ["admin"], None, now())
    environment = {**os.environ, "LEHR_HOME": str(home), "LEHR_SERVE_PORT": str(PORT), "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[1]
    command = [sys.executable, str(root / "lehr.py"), "serve"]
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: is_live(token))
            yield token
        finally:
            process.terminate()
            process.wait(30)


def is_live(token: str) -> bool:
    """Whether it answers."""
    try:
        return Client(token).ask("GET", "/v2/health/ready")[0] == 200
    except OSError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def history() -> bytes:
    """Twenty readings, and what follows from them."""
    rng = np.random.default_rng(0)
    readings = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    target = np.where(readings[:, :5].sum(1) + 0.3 * rng.normal(size=ROWS) > 0, "good", "bad")
    frame = pl.DataFrame(readings, schema=[f"s{i}" for i in range(FEATURES)]).with_columns(pl.Series("quality", target))
    return frame.write_csv().encode()


def put_into_production(home: Path, seeds: int) -> list[bytes]:
    """Register that many versions of one pipeline and promote the first; their ONNX files."""
    ledger, files = Ledger(Settings(home=home).ledger_url, now), list[bytes]()
    ledger.declare_schema("bench", {"columns": []})
    for seed in range(seeds):
        training = {"epochs": 2, "seed": seed}
        document = {"name": "bench", "task": "classification", "data": {"target": "quality"}, "training": training}
        trained = train_on(read_given(PipelineConfig.parse(document, "here"), Arrival("h.csv", history(), "csv")))
        contents = unpack(trained.onnx)
        folder = home / "bench" / "versions" / str(seed + 1)
        digest = save_version(folder, trained.onnx, contents.card, contents.reference, contents.memory)
        ledger.register_version("bench", seed + 1, digest, None, 1, "bootstrap")
        files.append(trained.onnx)
    ledger.promote("bench", 1, None, None, "first")
    return files


def packed(rows: int) -> tuple[bytes, dict[str, str], Any]:
    """A request of so many rows as bytes, its headers, and the readings."""
    inputs = np.random.default_rng(rows).normal(size=(rows, FEATURES)).astype(np.float32)
    tensor: dict[str, Any] = {"name": "inputs", "datatype": "FP32", "shape": list(inputs.shape)}
    tensor["parameters"] = {"binary_data_size": inputs.nbytes}
    wanted = [{"name": "prediction", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    return head + inputs.tobytes(), {"Inference-Header-Content-Length": str(len(head))}, inputs


def predictions(token: str, onnx: bytes, seconds: float) -> dict[str, float]:
    """Milliseconds of one row, and rows a second in 64s over one connection, over four, and in a bare loop."""
    model, client, path = OnnxModel(onnx), Client(token), "/v2/models/bench/infer"
    one, headers, _ = packed(1)
    times = [seconds_of(lambda: client.ask("POST", path, one, **headers)) for _ in range(600)][100:]
    body, headers, inputs = packed(64)
    rounds: list[tuple[float, float, float]] = []
    for _ in range(3):
        bare = 64 * count(lambda: model.predict(inputs), seconds)
        single = 64 * count(lambda: client.ask("POST", path, body, **headers), seconds)
        clients = [Client(token) for _ in range(4)]
        four = 64 * together([partial(c.ask, "POST", path, body, **headers) for c in clients], seconds)
        rounds.append((bare, single, four))
    bare, single, four = (float(np.median(column)) for column in zip(*rounds, strict=True))
    p50, p99 = (1000 * float(np.quantile(times, q)) for q in (0.5, 0.99))
    return {
        "one_row_ms_p50": p50,
        "one_row_ms_p99": p99,
        "bare_rows_per_second_64": bare,
        "one_connection_rows_per_second_64": single,
        "four_connections_rows_per_second_64": four,
        "share_of_bare_64": max(single, four) / bare,
    }


def seconds_of(do: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def count(do: Callable[[], Any], seconds: float) -> float:
    """How often a second it can be done."""
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        do()
        done += 1
    return done / (time.perf_counter() - began)


def together(dos: list[Callable[[], Any]], seconds: float) -> float:
    """How often a second all of them together, a thread each."""
    rates: list[float] = []

    def measure(do: Callable[[], Any]) -> None:
        rates.append(count(do, seconds))

    threads = [threading.Thread(target=measure, args=(do,)) for do in dos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def swaps(token: str, home: Path, versions: int, many: int) -> dict[str, int]:
    """Change the champion so often under load; what failed, and how many versions answered."""
    ledger, going = Ledger(Settings(home=home).ledger_url, now), [True]
    answered: list[int] = []
    failed: list[int] = []

    def ask() -> None:
        client, (body, headers, _) = Client(token), packed(8)
        while going[0]:
            status, content = client.ask("POST", "/v2/models/bench/infer", body, **headers)
            if status == 200:
                answered.append(int(json.loads(content[: content.index(b"]}") + 2])["model_version"]))
            else:
                failed.append(status)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = 1
    for swap in range(many):
        version = (swap + 1) % versions + 1
        ledger.promote("bench", version, before, None, "swap")
        wait_for(lambda version=version: answered[-1:] == [version])
        before = version
    going[0] = False
    for thread in threads:
        thread.join()
    seen = int(np.count_nonzero(np.diff(answered))) if answered else 0
    return {"swaps": many, "requests": len(answered), "failed": len(failed), "changes_seen": seen}


async def follow(token: str, task_id: str, heard: list[tuple[int, float]], drop: bool) -> None:
    """Read a stream of events from a raw socket, and note when each came; drop: reconnect once on the way."""
    last = 0
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        head = f"GET {EPOCH_TRAINING}/stream-progress/{task_id} HTTP/1.1\r\nHost: localhost\r\n"
        writer.write(f"{head}Authorization: Bearer {token}\r\nLast-Event-ID: {last}\r\n\r\n".encode())
        ended = False
        while line := await reader.readline():
            if line.startswith(b"id: "):
                last = int(line[4:])
                heard.append((last, time.time()))
                if drop and len(heard) == 10:
                    break
            if b'"type": "complete"' in line:
                ended = True
            elif ended and line == b"\r\n":
                writer.close()
                return
        writer.close()


def followers(token: str, runs: TrainingRuns, task_id: str, many: int) -> dict[str, float]:
    """Follow a training to its end; how late each heard of each epoch, and whether anything was lost or doubled."""
    heard: list[list[tuple[int, float]]] = [[] for _ in range(many)]

    async def all_of_them() -> None:
        await asyncio.gather(*(follow(token, task_id, mine, i % 4 == 0) for i, mine in enumerate(heard)))

    asyncio.run(all_of_them())
    events = {event.sequence: event for event in runs.events(task_id)}
    told = {n: event.at.timestamp() for n, event in events.items() if event.kind == "epoch"}
    connected = max(told) // 2  # by then all have connected, and a quarter of them twice
    late = [1000 * (at - told[n]) for mine in heard for n, at in mine if n in told and n > connected]
    whole = [[n for n, _ in mine] == sorted(events) for mine in heard]
    return {
        "followers": many,
        "epoch_to_event_ms_p50": float(np.quantile(late, 0.5)),
        "epoch_to_event_ms_p95": float(np.quantile(late, 0.95)),
        "streams_with_a_loss_or_a_double": whole.count(False),
    }


def begin(client: Client, file_id: str, epochs: int) -> str:
    """Start a training of that many epochs."""
    asked: dict[str, Any] = {"name": "bench", "epochs": epochs, "batch_size": 2, "target_column": "quality"}
    asked["early_stopping_patience"] = epochs
    source = {"kind": "file", "file_id": file_id}
    asked |= {"feature_columns": [f"s{i}" for i in range(FEATURES)], "data_source": source}
    return client.json("POST", f"{EPOCH_TRAINING}/start", asked)["task_id"]


def state_of(client: Client, task_id: str) -> str:
    """What a training is doing."""
    return client.json("GET", f"{EPOCH_TRAINING}/progress/{task_id}")["progress"]["training_state"]


def trainings(token: str, home: Path, many: int, epochs: int) -> dict[str, float]:
    """Epoch times alone and with followers, in turn; and how soon a pause takes effect."""
    client, runs = Client(token), TrainingRuns(Settings(home=home).ledger_url, now)
    sent = client.ask("POST", "/api/v1/files?name=h.csv", history(), **{"Content-Type": "application/octet-stream"})
    file_id = json.loads(sent[1])["file_id"]
    followed: dict[str, float] = {}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for with_followers in (False, True, False, True):
        task_id = begin(client, file_id, epochs)
        if with_followers:
            followed = followers(token, runs, task_id, many)
        wait_for(lambda task_id=task_id: runs.get(task_id).finished, 300)
        epoch_events = [event for event in runs.events(task_id) if event.kind == "epoch"]
        seconds[with_followers].append(float(np.median([e.payload["metrics"]["time_per_epoch"] for e in epoch_events])))
    slower = min(seconds[True]) / min(seconds[False])
    return {**followed, "training_slowed_by": slower - 1, **pauses(client, runs, begin(client, file_id, 20_000))}


def epochs_of(runs: TrainingRuns, task_id: str) -> int:
    """How many epochs were told of."""
    return sum(event.kind == "epoch" for event in runs.events(task_id))


def pauses(client: Client, runs: TrainingRuns, task_id: str, many: int = 10) -> dict[str, float]:
    """From the request to the event that says paused, which is written after the checkpoint."""
    took: list[float] = []
    for _ in range(many):
        learned = epochs_of(runs, task_id)
        wait_for(lambda learned=learned: epochs_of(runs, task_id) > learned)
        asked = datetime.now(UTC)
        client.json("POST", f"{EPOCH_TRAINING}/pause/{task_id}")
        wait_for(lambda: state_of(client, task_id) == "paused")
        paused = [event.at for event in runs.events(task_id) if event.payload.get("state") == "paused"]
        took.append(1000 * (paused[-1] - asked).total_seconds())
        client.json("POST", f"{EPOCH_TRAINING}/resume/{task_id}")
    client.json("POST", f"{EPOCH_TRAINING}/cancel/{task_id}")
    return {"pause_ms_median": float(np.median(took)), "pause_ms_max": max(took)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        onnx = put_into_production(home, 4)
        with serving(home) as token:
            results: dict[str, Any] = {"predictions": predictions(token, onnx[0], arguments.seconds)}
            results["swaps"] = swaps(token, home, 4, arguments.swaps)
            results["trainings"] = trainings(token, home, arguments.followers, arguments.epochs)
    print(json.dumps(results, indent=2))
    write_json("service", results)


if __name__ == "__main__":
    main()
