"""A checkpoint that is whole or refused: tensors and JSON in one folder, hashed, the one before it kept.

`save_checkpoint` writes a new folder beside the old ones, and only then removes those before the last good one.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

KEPT = 2


class CorruptCheckpointError(ValueError):
    """A checkpoint's bytes are not those that were written."""


class OtherTrainingError(ValueError):
    """A checkpoint belongs to another training."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors, the JSON that describes them, and the number it was saved under.

    refused: why newer checkpoints were passed over, newest first.
    """

    number: int
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    refused: tuple[str, ...] = ()

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors that `grouped` put under a name."""
        prefix = name + "/"
        return {key.removeprefix(prefix): tensor for key, tensor in self.tensors.items() if key.startswith(prefix)}


def grouped(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Copies of several parts' tensors under one roof, on the CPU."""
    return {f"{group}/{name}": t.detach().cpu().clone() for group, ts in groups.items() for name, t in ts.items()}


def save_checkpoint(folder: Path, number: int, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """Write checkpoint `number` under `folder`; at any moment of a crash the last good one is still there."""
    folder.mkdir(parents=True, exist_ok=True)
    final, unfinished = folder / f"{number:08d}", folder / f"{number:08d}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    contents = {"tensors.safetensors": save_tensors(dict(tensors)), "config.json": json.dumps(config).encode()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    for name, content in {**contents, "hashes.json": json.dumps(hashes).encode()}.items():
        _write_durably(unfinished / name, content)
    _sync_folder(unfinished)
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)
    _sync_folder(folder)
    for old in _finished(folder)[KEPT:]:
        shutil.rmtree(old)
    return final


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint under `folder`; None where none was ever saved.

    Raises CorruptCheckpointError, naming each file and what is wrong with it, where all of them are broken.
    """
    refused: list[str] = []
    for path in _finished(folder):
        try:
            contents = _read_verified(path)
        except CorruptCheckpointError as error:
            refused.append(str(error))
            continue
        tensors = load_tensors(contents["tensors.safetensors"])
        return Checkpoint(int(path.name), tensors, json.loads(contents["config.json"]), tuple(refused))
    if refused:
        raise CorruptCheckpointError(f"no checkpoint is whole: {'; '.join(refused)}")
    return None


def _read_verified(path: Path) -> dict[str, bytes]:
    try:
        hashes: dict[str, str] = json.loads((path / "hashes.json").read_bytes())
        contents = {name: (path / name).read_bytes() for name in ("tensors.safetensors", "config.json")}
    except (OSError, ValueError) as error:
        raise CorruptCheckpointError(f"{path}: {error}") from error
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes.get(name):
            raise CorruptCheckpointError(f"{path / name}: its SHA-256 is not the one noted when it was written")
    return contents


def _finished(folder: Path) -> list[Path]:
    """Checkpoints under `folder`, newest first."""
    return sorted((p for p in folder.glob("*") if p.name.isdigit()), key=lambda p: int(p.name), reverse=True)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
