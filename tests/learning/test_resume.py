import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from learning.callbacks import Callback
from learning.checkpoint import CorruptCheckpointError, load_checkpoint
from learning.config import TrainingConfig
from learning.control import Control
from learning.fitting import fit
from learning.metrics import Training
from learning.normalisation import fit_normalisers
from learning.resume import Checkpoints
from learning.state import TrainingState
from models.network import Network, build_network
from tests.forked import fork
from tests.learning.streams import FEATURES, LENGTHS, MODELS, make_batch
from tests.learning.training_process import digest, tell, train

KILLS = int(os.environ.get("LEHR_KILLS", "3"))

WAYS = {
    "adamw": {},
    "sgd": {"optimiser": {"kind": "sgd"}, "schedule": {"kind": "plateau", "patience": 0}},
    "averaged": {"ema_decay": 0.9, "schedule": {"kind": "one_cycle"}, "clip_norm": 0.5},
    "augmented": {"augmentations": [{"kind": "noise"}, {"kind": "mixup"}], "schedule": {"kind": "cosine"}},
}


class PauseAt(Callback):
    """Pauses before one batch of one epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self._place = (epoch, step)

    def batch_start(self, state: TrainingState) -> None:
        if (state.epoch, state.step) == self._place:
            state.stop("paused")


def config_of(way: str) -> TrainingConfig:
    return TrainingConfig.model_validate({"epochs": 5, "batch_size": 32, "learning_rate": 1e-2, **WAYS[way]})


def run(
    architecture: str, config: TrainingConfig, folder: Path | None, callbacks: Sequence[Callback] = ()
) -> tuple[Network, Training]:
    samples = make_batch(1, "classification", LENGTHS[architecture], count=200)
    torch.manual_seed(0)
    network = build_network(MODELS[architecture], FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    kept = None if folder is None else Checkpoints(folder, every_seconds=0.0)
    return network, fit(network, samples, config, callbacks, kept)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", MODELS)
def test_a_pause_anywhere_leaves_no_trace(architecture: str, way: str, tmp_path: Path) -> None:
    config = config_of(way)
    undisturbed, expected = run(architecture, config, None)
    for epoch, step in ((1, 0), (2, 3), (4, 4)):
        _, paused = run(architecture, config, tmp_path, [PauseAt(epoch, step)])
        assert paused.outcome == "paused"
        torch.manual_seed(99)  # what ran in between is of no matter
    network, resumed = run(architecture, config, tmp_path)
    assert resumed.outcome == expected.outcome
    assert digest(network) == digest(undisturbed)
    times = {"time_per_epoch": 0.0}
    assert [m.to_dict() | times for m in resumed.history] == [m.to_dict() | times for m in expected.history]
    assert resumed.cost.samples == expected.cost.samples
    assert resumed.notes == ()


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first, training = run("mlp", config_of("adamw"), tmp_path)
    again, nothing = run("mlp", config_of("adamw"), tmp_path, [PauseAt(1, 0)])
    assert digest(first) == digest(again)
    assert nothing.history == training.history
    assert nothing.outcome == "completed"


def test_another_trainings_checkpoint_is_refused(tmp_path: Path) -> None:
    run("mlp", config_of("adamw"), tmp_path, [PauseAt(2, 0)])
    with pytest.raises(ValueError, match="belongs to a training of another network, configuration or data"):
        run("mlp", config_of("sgd"), tmp_path)


def test_a_broken_checkpoint_is_passed_over_and_said(tmp_path: Path) -> None:
    undisturbed, _ = run("mlp", config_of("adamw"), None)
    run("mlp", config_of("adamw"), tmp_path, [PauseAt(3, 2)])
    newest = max(tmp_path.iterdir())
    content = bytearray((newest / "tensors.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "tensors.safetensors").write_bytes(content)
    network, resumed = run("mlp", config_of("adamw"), tmp_path)
    assert digest(network) == digest(undisturbed)
    assert resumed.notes[0].startswith("a broken checkpoint was passed over: ")


def test_other_threads_are_said(tmp_path: Path) -> None:
    run("mlp", config_of("adamw"), tmp_path, [PauseAt(2, 0)])
    for path in tmp_path.iterdir():
        text = (path / "config.json").read_text().replace('"torch": "', '"torch": "an older ')
        (path / "config.json").write_text(text)
        _rehash(path)
    _, resumed = run("mlp", config_of("adamw"), tmp_path)
    (note,) = resumed.notes
    assert note.startswith("weights may differ in their last bits from an uninterrupted run: torch was an older ")


def test_a_cancelled_training_stops_and_says_so() -> None:
    wishes = iter(["run", "run", "cancel"])
    _, training = run("mlp", config_of("adamw"), None, [Control(lambda: next(wishes, "run"), every_seconds=0.0)])
    assert training.outcome == "cancelled"
    assert training.history == ()


def test_weights_are_the_same_after_kills_at_any_moment(tmp_path: Path) -> None:
    expected, chance = train(tmp_path / "undisturbed"), random.Random(0)
    folder, kills = tmp_path / "killed", 0
    outputs: list[str] = []
    while True:
        told = tmp_path / f"told-{kills}"
        process = fork(tell, str(folder), str(told))
        if kills < KILLS:
            before = _newest(folder)
            while _newest(folder) == before and process.exitcode is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.08))
            (process.terminate if kills % 3 == 2 else process.kill)()  # SIGTERM, SIGKILL
        process.join(120)
        outputs.append(told.read_text() if told.exists() else "")
        kills += 1
        if len(outputs[-1]) == 64:
            break
    assert outputs[-1] == expected
    assert all(output in ("", "paused", expected) for output in outputs)


@pytest.mark.parametrize("corruptions", [60])
def test_no_corrupted_checkpoint_loads_wrong(corruptions: int, tmp_path: Path) -> None:
    """Of the newest checkpoint any byte may flip, vanish or be cut: the one before it is used, or none."""
    run("mlp", config_of("averaged"), tmp_path, [PauseAt(3, 2)])
    older, newest = sorted(tmp_path.iterdir())
    sound = load_checkpoint(tmp_path)
    assert sound is not None and sound.number == int(newest.name)
    files = {path: path.read_bytes() for path in newest.iterdir()}
    chance = random.Random(1)
    for _ in range(int(os.environ.get("LEHR_CORRUPTIONS", str(corruptions)))):
        path = chance.choice(sorted(files))
        path.write_bytes(_corrupted(files[path], chance))
        found = load_checkpoint(tmp_path)
        assert found is not None and found.number == int(older.name) and len(found.refused) == 1
        path.write_bytes(files[path])
    for path in tmp_path.glob("*/hashes.json"):
        path.unlink()
    with pytest.raises(CorruptCheckpointError, match="no checkpoint is whole"):
        load_checkpoint(tmp_path)


def _corrupted(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    match chance.randrange(3):
        case 0:
            return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
        case 1:
            return content[:place]
        case _:
            return content[:place] + bytes(min(64, len(content) - place)) + content[place + 64 :] + b"\1"


def _newest(folder: Path) -> str:
    return max((path.name for path in folder.glob("*") if path.name.isdigit()), default="")


def _rehash(path: Path) -> None:
    import hashlib
    import json

    names = ("tensors.safetensors", "config.json")
    hashes = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}
    (path / "hashes.json").write_text(json.dumps(hashes))
