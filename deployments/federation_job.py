"""A federation between machines, at its coordinator: what nodes answered is on disk before they are told so.

A folder holds the job, the state after the last whole round, and the answers since. Whoever opens it again plays those
answers to a new coordinator, and stands where the one before was stopped.
"""

import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import Annotated, Any

from pydantic import Field, field_validator

from data.config import Config
from data.files import sync_folder, write_whole
from deployments.federation import Name
from deployments.federation_files import onnx_of, save_model
from learning.config import TrainingConfig
from learning.federation.config import FederationConfig
from learning.federation.coordinator import Coordinator
from learning.federation.messages import RefusedError
from learning.federation.state import State
from models.config import ModelConfig

JobName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
_JOB, _STATE, _REPORT, _MODEL, _FAILED = "job.json", "state.bin", "report.json", "model.onnx", "failed.txt"
_CLOSED = "closed"


class JobConfig(Config):
    """What a federation between machines is started with. nodes: the names of their tokens."""

    name: JobName
    nodes: list[Name] = Field(min_length=1, max_length=1000)
    model: ModelConfig | None = None
    training: TrainingConfig = TrainingConfig()
    federation: FederationConfig = FederationConfig()

    @field_validator("nodes")
    @classmethod
    def _names_differ(cls, nodes: list[str]) -> list[str]:
        if len({*nodes}) < len(nodes):
            raise ValueError("a node is named twice")
        return sorted(nodes)


class FederationJob:
    """One federation at work; used from any number of threads. clock: seconds, for the deadline of each phase."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.folder, self._clock, self._lock = folder, clock, RLock()
        document = json.loads((folder / _JOB).read_bytes())
        self.config = JobConfig.model_validate(document["config"])
        self._id, self._secret = document["id"], bytes.fromhex(document["secret"])
        self._coordinator: Coordinator | None = None
        if not self.over:
            self._reopen()

    @classmethod
    def start(cls, folder: Path, config: JobConfig, clock: Callable[[], float]) -> "FederationJob":
        """A new job; raises ValueError where its parts do not fit together, or one of this name is at work."""
        if (folder / _JOB).exists() and not cls(folder, clock).over:
            raise ValueError(f"the federation {config.name} is at work; cancel it first, or take another name")
        secret, name = secrets.token_bytes(32), f"{config.name}-{secrets.token_hex(4)}"
        _coordinator(config, name, secret, None)
        if folder.exists():
            folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}"))
        document = {"config": config.model_dump(mode="json"), "id": name, "secret": secret.hex()}
        folder.mkdir(parents=True, mode=0o700)
        write_whole(folder / _JOB, json.dumps(document).encode())
        return cls(folder, clock)

    @property
    def over(self) -> bool:
        """Whether there is a result, or there will be none."""
        return (self.folder / _REPORT).exists() or (self.folder / _FAILED).exists()

    @property
    def model(self) -> bytes | None:
        """The global model as ONNX; None before the end, and where what is personal leaves none for all."""
        path = self.folder / _MODEL
        return path.read_bytes() if path.exists() else None

    def status(self) -> dict[str, Any]:
        """Where it stands, as JSON."""
        with self._lock:
            rounds, nodes = self.config.federation.rounds, self.config.nodes
            said: dict[str, Any] = {"name": self.config.name, "nodes": nodes, "rounds": rounds, "reason": None}
            if (self.folder / _FAILED).exists():
                reason = (self.folder / _FAILED).read_text(encoding="utf-8")
                return {**said, "state": "failed", "round": None, "waiting_for": [], "reason": reason}
            if self._coordinator is None:
                return {**said, "state": "completed", "round": rounds, "waiting_for": []}
            ask = self._coordinator.ask
            silent = sorted({*ask.messages} - {*self._coordinator.replies})
            return {**said, "state": "running", "round": min(ask.round, rounds), "waiting_for": silent}

    def report(self) -> dict[str, Any] | None:
        """What the result is, without weights; None before the end."""
        path = self.folder / _REPORT
        return json.loads(path.read_bytes()) if path.exists() else None

    def question_for(self, node: str) -> bytes | None:
        """What the node is asked now; None: nothing."""
        with self._lock:
            message = None if self._coordinator is None else self._coordinator.message_for(node)
            return None if message is None else message.encode()

    def receive(self, node: str, answer: bytes) -> None:
        """Take a node's answer and keep it; raises RefusedError for one that does not count."""
        with self._lock:
            if self._coordinator is None:
                raise RefusedError("the federation is over")
            self._coordinator.receive(node, answer)
            write_whole(self._phase() / f"{node}.answer", answer)
            if self._coordinator.ready:
                self._close()

    def look(self) -> None:
        """End a phase whose time is over, if enough nodes answered; without a quorum it goes on waiting."""
        with self._lock:
            if self._coordinator is None or not self._coordinator.enough:
                return
            if self._clock() - self._since >= self.config.federation.deadline_seconds:
                self._close()

    def fail(self, reason: str) -> None:
        """End it without a result."""
        with self._lock:
            if not self.over:
                write_whole(self.folder / _FAILED, reason.encode())
            self._coordinator = None

    def _phase(self) -> Path:
        assert self._coordinator is not None
        return self.folder / "answers" / f"{self._coordinator.ask.round:06}-{self._count:02}"

    def _close(self) -> None:
        """On to the next phase; after a whole round its state is kept, and its answers are not needed any more."""
        write_whole(self._phase() / _CLOSED, b"")
        self._advance()
        coordinator = self._coordinator
        if coordinator is None:
            return
        reached = _whole_rounds(coordinator.state)
        if reached > self._kept:
            write_whole(self.folder / _STATE, coordinator.state.to_bytes())
            self._kept, self._count = reached, 0
            _forget_through(self.folder / "answers", self._kept)

    def _advance(self) -> None:
        coordinator = self._coordinator
        assert coordinator is not None
        try:
            coordinator.advance()
        except ValueError as error:  # what all said does not fit together: no later answer changes that
            self.fail(str(error))
            return
        self._count, self._since = self._count + 1, self._clock()
        if coordinator.result is None:
            return
        model = coordinator.result
        write_whole(self.folder / "model.bin", save_model(model))
        federation = model.plan.federation
        if federation.units.kind != "personal" and not federation.personal:
            write_whole(self.folder / _MODEL, onnx_of(model))
        write_whole(self.folder / _REPORT, json.dumps(model.to_dict(), indent=2, allow_nan=False).encode() + b"\n")
        self._coordinator = None

    def _reopen(self) -> None:
        path = self.folder / _STATE
        state = State.from_bytes(path.read_bytes()) if path.exists() else None
        self._kept, self._count, self._since = _whole_rounds(state), 0, self._clock()
        _forget_through(self.folder / "answers", self._kept)
        self._coordinator = coordinator = _coordinator(self.config, self._id, self._secret, state)
        while self._play(coordinator):
            pass

    def _play(self, coordinator: Coordinator) -> bool:
        """Hand in what was answered in a phase; whether that had ended, and another follows."""
        phase = self._phase()
        for answer in sorted(phase.glob("*.answer")):
            coordinator.receive(answer.stem, answer.read_bytes())
        if not ((phase / _CLOSED).exists() or coordinator.ready):
            return False
        self._close()
        return self._coordinator is not None


def _coordinator(config: JobConfig, name: str, secret: bytes, state: State | None) -> Coordinator:
    return Coordinator(name, config.nodes, config.model, config.training, config.federation, secret, None, state)


def _whole_rounds(state: State | None) -> int:
    """The last whole round; 0: all have joined, −1: not yet."""
    return -1 if state is None or state.plan is None else state.round


def _forget_through(answers: Path, round_number: int) -> None:
    """Remove the answers of rounds whose state is kept."""
    old: Sequence[Path] = [p for p in answers.glob("*") if int(p.name.split("-")[0]) <= round_number]
    for phase in old:
        shutil.rmtree(phase)
    if old:
        sync_folder(answers)
