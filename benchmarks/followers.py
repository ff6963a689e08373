"""200 followers of a training: how late they hear of an epoch, what is lost, what they slow it by; and pauses.

`python -m benchmarks.followers [--followers 200] [--pairs 12] [--epochs 6] [--pauses 10]`: `lehr serve` in a process of
its own, over real sockets. Within one training so many epochs run without followers and as many with them, in turn; a
quarter of them reconnects on the way. Slowed by: the median over pairs of the epochs' median times. Pauses: from the
request to the event that says paused, which is written after the checkpoint. Writes benchmarks/out/followers.json.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from benchmarks.results import write_json
from benchmarks.service_process import Client, serving, wait_for
from benchmarks.serving import FEATURES, history
from data.training_runs import TrainingEvent, TrainingRuns
from deployments.settings import Settings
from service.core import now

EPOCH_TRAINING = "/api/v1/epoch-training"
DROP_AFTER = 5


@dataclass
class Follower:
    """One stream of events from a raw socket; drop: it reconnects once on the way."""

    port: int
    token: str
    task_id: str
    last: int
    drop: bool
    heard: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    connected: bool = False

    async def follow(self) -> None:
        """Until cancelled, or the stream ends."""
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            head = f"GET {EPOCH_TRAINING}/stream-progress/{self.task_id} HTTP/1.1\r\nHost: localhost\r\n"
            said = f"Authorization: Bearer {self.token}\r\nLast-Event-ID: {self.last}\r\n\r\n"
            writer.write((head + said).encode())
            await self._read(reader)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self.connected = True
            if line.startswith(b"id: "):
                self.last = int(line[4:])
                self.heard.append((self.last, time.time()))
                if self.drop and len(self.heard) == DROP_AFTER:
                    self.drop = False
                    return

    @property
    def whole(self) -> bool:
        """Whether each event came once, in order."""
        return bool((np.diff([number for number, _ in self.heard]) == 1).all())


def begin(client: Client, epochs: int) -> str:
    """Start a training of that many epochs, in small batches."""
    kind = {"Content-Type": "application/octet-stream"}
    sent = client.ask("POST", "/api/v1/files?name=h.csv", history().content, **kind)
    asked: dict[str, Any] = {"name": "bench", "epochs": epochs, "batch_size": 2, "target_column": "quality"}
    source = {"kind": "file", "file_id": json.loads(sent[1])["file_id"]}
    asked |= {"early_stopping_patience": epochs, "data_source": source}
    asked |= {"feature_columns": [f"s{i}" for i in range(FEATURES)]}
    return client.json("POST", f"{EPOCH_TRAINING}/start", asked)["task_id"]


def epochs_of(runs: TrainingRuns, task_id: str, after: int = 0) -> list[TrainingEvent]:
    """The epochs that were told of after an event."""
    return [event for event in runs.events(task_id, after) if event.kind == "epoch"]


async def block(
    runs: TrainingRuns, task_id: str, followers: list[Follower], epochs: int
) -> tuple[list[TrainingEvent], int]:
    """So many whole epochs with these followers, and the last event of all."""
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    while not all(follower.connected for follower in followers):
        await asyncio.sleep(0.05)
    began = runs.events(task_id)[-1].sequence
    while len(found := epochs_of(runs, task_id, began)) < epochs + 1:
        await asyncio.sleep(0.2)
    last = found[-1].sequence
    await asyncio.sleep(0.3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found[1 : epochs + 1], last


async def in_turn(runs: TrainingRuns, task_id: str, port: int, token: str, arguments: Any) -> dict[str, float]:
    """Blocks without and with followers; what they slow the training by, how late they hear, and what they miss.

    The one goes first in one pair and the other in the next, so that what drifts with time counts for neither.
    """
    slower: list[float] = []
    late: list[float] = []
    broken = 0
    while not epochs_of(runs, task_id):
        await asyncio.sleep(0.2)
    alone: list[TrainingEvent] = []
    for pair in range(arguments.pairs):
        if pair % 2 == 0:
            alone, _ = await block(runs, task_id, [], arguments.epochs)
        last = runs.events(task_id)[-1].sequence
        each = [Follower(port, token, task_id, last, i % 4 == 0) for i in range(arguments.followers)]
        followed, last = await block(runs, task_id, each, arguments.epochs)
        if pair % 2 == 1:
            alone, _ = await block(runs, task_id, [], arguments.epochs)
        slower.append(seconds_of(followed) / seconds_of(alone) - 1)
        told = {event.sequence: event.at.timestamp() for event in followed}
        late += [1000 * (at - told[number]) for follower in each for number, at in follower.heard if number in told]
        broken += sum(not follower.whole or follower.last < last for follower in each)
    return {
        "followers": arguments.followers,
        "epoch_to_event_ms_p50": float(np.quantile(late, 0.5)),
        "epoch_to_event_ms_p95": float(np.quantile(late, 0.95)),
        "streams_with_a_loss_or_a_double": broken,
        "training_slowed_by": float(np.median(slower)),
        "training_slowed_by_between": interval_of(slower),  # pyright: ignore[reportReturnType]
        "training_slowed_by_in_each_pair": sorted(slower),  # pyright: ignore[reportReturnType]
    }


def interval_of(values: list[float]) -> list[float]:
    """Between which of the values their median lies with 95 % confidence, whatever their distribution."""
    outside = int(binom.ppf(0.025, len(values), 0.5))
    ordered = sorted(values)
    return [ordered[max(0, outside - 1)], ordered[min(len(values) - 1, len(values) - outside)]]


def seconds_of(epochs: list[TrainingEvent]) -> float:
    """The median epoch's."""
    return float(np.median([event.payload["metrics"]["time_per_epoch"] for event in epochs]))


def pauses(client: Client, runs: TrainingRuns, task_id: str, many: int) -> dict[str, float]:
    """Pause and resume again and again."""
    took: list[float] = []
    for _ in range(many):
        learned = len(epochs_of(runs, task_id))
        wait_for(lambda learned=learned: len(epochs_of(runs, task_id)) > learned)
        asked = datetime.now(UTC)
        client.json("POST", f"{EPOCH_TRAINING}/pause/{task_id}")
        wait_for(lambda: runs.get(task_id).state == "paused")
        paused = [event.at for event in runs.events(task_id) if event.payload.get("state") == "paused"]
        took.append(1000 * (paused[-1] - asked).total_seconds())
        client.json("POST", f"{EPOCH_TRAINING}/resume/{task_id}")
    client.json("POST", f"{EPOCH_TRAINING}/cancel/{task_id}")
    return {"pause_ms_median": float(np.median(took)), "pause_ms_max": max(took)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pauses", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with serving(home) as (port, token):
            client, runs = Client(port, token), TrainingRuns(Settings(home=home).ledger_url, now)
            task_id = begin(client, 20_000)
            results = asyncio.run(in_turn(runs, task_id, port, token, arguments))
            print(json.dumps(results), flush=True)
            results |= pauses(client, runs, task_id, arguments.pauses)
    print(json.dumps(results, indent=2))
    write_json("followers", results)


if __name__ == "__main__":
    main()
